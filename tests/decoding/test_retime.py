"""Re-timing: what is to grow evenly does."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from known import exact_problem

from geodesic_lightning.decoding import perceptual
from geodesic_lightning.decoding.beta import fitted
from geodesic_lightning.decoding.perceptual import distances
from geodesic_lightning.decoding.retime import (
    BetaPrior,
    EvenInDistance,
    EvenInMetricLength,
    EvenlyPerceived,
    inverse,
    snapped,
)
from geodesic_lightning.errors import UserError
from geodesic_lightning.geometry.manifold import Euclidean
from geodesic_lightning.geometry.piecewise_path import PiecewisePath
from geodesic_lightning.models.exact import ExactModel
from geodesic_lightning.optimizers.semi_implicit import SemiImplicit
from geodesic_lightning.optimizers.solve import solve


class TestInverse:
    def test_of_a_square_is_the_root(self):
        u = np.linspace(0, 1, 2001)
        shares = np.linspace(0, 1, 11)
        np.testing.assert_allclose(inverse(u, u**2, shares), np.sqrt(shares), atol=1e-3)

    def test_ends_are_exact(self):
        knots = np.array([0.0, 0.3, 1.0])
        found = inverse(knots, np.array([0.0, 5.0, 7.0]), np.array([0.0, 1.0]))
        assert found.tolist() == [0.0, 1.0]

    def test_what_stands_still_is_passed_over(self):
        knots = np.linspace(0, 1, 5)
        found = inverse(knots, np.array([0.0, 1.0, 1.0, 1.0, 2.0]), np.array([0.25, 0.75]))
        np.testing.assert_allclose(found, [0.125, 0.875], atol=1e-6)

    def test_what_never_grows_is_even(self):
        knots = np.linspace(0, 1, 5)
        np.testing.assert_allclose(inverse(knots, np.zeros(5), knots), knots)


def solved(name="mixture", segments=32):
    problem = exact_problem(name, segments)
    solve(problem, SemiImplicit, segments)
    return problem


def test_metric_length_is_shared_evenly():
    problem = solved()
    solver = SimpleNamespace(path=problem.path, measurement=problem.measure())
    u = EvenInMetricLength()(torch.linspace(0, 1, 9), solver)
    assert u[0] == 0
    assert u[-1] == 1
    dense = problem.path.at(torch.linspace(0, 1, 4001, dtype=torch.float64))
    density = problem.score.model.density
    weight = torch.exp(-problem.alpha * density.log_density(dense))
    pieces = (dense[1:] - dense[:-1]).norm(dim=-1) * (weight[1:] + weight[:-1]) / 2
    gone = torch.cat([torch.zeros(1).double(), pieces.cumsum(0)])
    shares = gone[(4000 * u).round().long()] / gone[-1]
    torch.testing.assert_close(shares, torch.linspace(0, 1, 9).double(), rtol=0, atol=0.01)


def test_frames_are_slow_where_the_density_is_low():
    problem = solved()
    solver = SimpleNamespace(path=problem.path, measurement=problem.measure())
    u = EvenInMetricLength()(torch.linspace(0, 1, 17), solver)
    at = problem.path.at(u)
    steps = (at[1:] - at[:-1]).norm(dim=-1)
    density = problem.score.model.density.log_density((at[1:] + at[:-1]) / 2)
    assert torch.corrcoef(torch.stack([steps.log(), density]))[0, 1] > 0.99


class Eye:
    """A model whose pictures are one pixel, and change as the cube of u."""

    def features(self, images):
        return [images]


EVEN = SimpleNamespace(by_distance=lambda shares: shares)  # a path of one leg


def cubic(path, u):
    """Pictures (m, 2, 1, 1): unit vectors that turn by u³, so that what is seen grows as u³."""
    angle = u.double() ** 3
    return torch.stack([angle.cos(), angle.sin()], -1)[..., None, None]


def test_perceived_changes_become_even():
    solver = SimpleNamespace(
        path=EVEN,
        rough=partial(cubic, None),
        problem=SimpleNamespace(score=SimpleNamespace(model=Eye())),
    )
    shares = torch.linspace(0, 1, 65)
    before = distances([cubic(None, shares)])
    after = distances([cubic(None, EvenlyPerceived(perceptual.embedded)(shares, solver))])
    assert before.std() / before.mean() > 0.8
    assert after.std() / after.mean() < 0.1


def jump(path, u):
    """Pictures that stand still but for a turn of 1.5 within a fiftieth of the path."""
    angle = 1.5 * torch.sigmoid((u.double() - 0.4) * 400)
    return torch.stack([angle.cos(), angle.sin()], -1)[..., None, None]


def test_another_round_looks_into_a_jump():
    """What jumps between two frames is laid out within it as if it were even; the next round knows better."""
    solver = SimpleNamespace(
        path=EVEN,
        rough=partial(jump, None),
        problem=SimpleNamespace(score=SimpleNamespace(model=Eye())),
    )
    shares = torch.linspace(0, 1, 17)
    uneven = []
    for rounds in (1, 2, 3):
        moved = distances(
            [jump(None, EvenlyPerceived(perceptual.embedded, rounds)(shares, solver))]
        )
        uneven.append(float(moved.std() / moved.mean()))
    assert uneven[1] < 0.7 * uneven[0]
    assert uneven[2] < uneven[1]


def test_no_round_is_refused():
    with pytest.raises(UserError, match=r"retime.rounds: got 0, expected at least 1"):
        EvenlyPerceived(perceptual.embedded, 0)


def test_distances_do_not_depend_on_contrast():
    images = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(distances([images]), distances([7 * images]))


def test_differences_of_many_frames_are_those_of_all_at_once():
    """They are taken some frames at a time, with none left out between."""
    images = torch.rand(30, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    found = perceptual.embedded(Eye(), images)
    torch.testing.assert_close(found, perceptual.squared([images]))


def test_on_a_chain_even_frames_are_even_in_distance_across_legs():
    stops = torch.tensor([[0.0, 0], [1, 0], [4, 0]], dtype=torch.float64)
    chain = PiecewisePath(stops, Euclidean(), 8)
    w = EvenInDistance()(torch.linspace(0, 1, 9, dtype=torch.float64), SimpleNamespace(path=chain))
    at = chain.at(w)
    torch.testing.assert_close(at[:, 0], torch.linspace(0, 4, 9).double())


@pytest.mark.parametrize("timing", ["u", "metric_length", "perceptual", "beta"])
def test_a_film_keeps_its_number_of_frames_and_its_ends(timing):
    model = ExactModel("ring")
    problem = solved("ring", 8)
    made = {
        "u": EvenInDistance(),
        "metric_length": EvenInMetricLength(),
        "perceptual": EvenlyPerceived(perceptual.embedded),
        "beta": BetaPrior(perceptual.embedded),
    }[timing]
    solver = SimpleNamespace(
        path=problem.path,
        rough=lambda u: model.decode(problem.path.at(u)),
        problem=problem,
        measurement=problem.measure(),
    )
    u = made(torch.linspace(0, 1, 6), solver)
    assert u.shape == (6,)
    assert u[0] == 0
    assert u[-1] == 1
    assert bool((u.diff() > 0).all())


class TestSnapped:
    def test_the_nearest_frame_shows_the_stop(self):
        stops = torch.tensor([0.0, 1 / 3, 1.0])
        found = snapped(torch.linspace(0, 1, 11), stops)
        assert found[3] == stops[1]
        assert found[[0, 10]].tolist() == [0.0, 1.0]
        others = [0, 1, 2, 4, 5, 6, 7, 8, 9, 10]
        assert torch.equal(found[others], torch.linspace(0, 1, 11)[others])

    def test_too_few_frames_stay(self):
        places = torch.linspace(0, 1, 3)
        assert torch.equal(snapped(places, torch.linspace(0, 1, 7)), places)


class TestBeta:
    @pytest.mark.parametrize(("a", "b"), [(1, 1), (2, 5), (0.7, 0.8), (20, 20)])
    def test_the_fit_finds_the_distribution(self, a, b):
        from scipy.stats import beta

        places = np.linspace(0, 1, 17)
        found = fitted(places, 3 + 2 * beta.cdf(places, a, b))
        assert found == pytest.approx((a, b), rel=1e-3)

    def test_what_does_not_grow_is_even(self):
        assert fitted(np.linspace(0, 1, 5), np.zeros(5)) == (1.0, 1.0)

    def test_frames_are_its_quantiles(self):
        """A film that changes by the square root of Beta(2, 2)'s function is shown at its quantiles."""
        from scipy.stats import beta

        shares = torch.linspace(0, 1, 9)
        solver = SimpleNamespace(
            path=EVEN,
            rough=lambda u: torch.from_numpy(beta.cdf(u.double().numpy(), 2, 2)),
            problem=SimpleNamespace(score=SimpleNamespace(model=None)),
        )
        found = BetaPrior(lambda model, film: film.diff().square())(shares, solver)
        torch.testing.assert_close(
            found, torch.from_numpy(beta.ppf(shares.double().numpy(), 2, 2)), rtol=0, atol=1e-3
        )
