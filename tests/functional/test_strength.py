"""κ = α ⟨|P s|⟩ L: known angles, what leaves it as it is, and that it costs no evaluation."""

import json
import math

import known
import pytest
import torch

from geodesic_lightning.errors import UserError
from geodesic_lightning.functional.strength import PIECES, Strength, pull
from geodesic_lightning.geometry.manifold import Euclidean, Sphere
from geodesic_lightning.geometry.path import Path
from geodesic_lightning.models.exact.problems import cloud
from geodesic_lightning.optimizers.semi_implicit import SemiImplicit
from geodesic_lightning.optimizers.solve import solve
from geodesic_lightning.problems.boundary_value import Problem

SEEDS = range(12)


def straight(seed, d=7, n=5):
    torch.manual_seed(seed)
    a, b = torch.randn(2, d, dtype=torch.float64)
    share = torch.linspace(0, 1, n, dtype=torch.float64)[:, None]
    return a + share * (b - a), torch.randn(n, d, dtype=torch.float64)


def test_a_constant_score_turns_a_straight_line_by_its_part_across_times_the_length():
    x = torch.tensor([[0.0, 0], [1, 0], [2, 0], [4, 0]], dtype=torch.float64)
    scores = torch.tensor([[5.0, 3.0]] * 4, dtype=torch.float64)
    assert pull(x, scores, Euclidean()) == pytest.approx(3 * 4, rel=1e-14)


def test_on_a_great_circle_only_the_part_out_of_its_plane_turns():
    angle = torch.linspace(0, math.pi / 2, 5, dtype=torch.float64)
    x = 2 * torch.stack([angle.cos(), angle.sin(), 0 * angle], -1)
    scores = torch.tensor([[0.3, -0.7, 1.5]] * 5, dtype=torch.float64)
    assert pull(x, scores, Sphere(2.0)) == pytest.approx(1.5 * math.pi, rel=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_it_has_no_unit(seed):
    """Lengths c times as long have scores c times as small: the same angle."""
    x, scores = straight(seed)
    for c in (1e-3, 7.0):
        assert pull(c * x, scores / c, Euclidean()) == pytest.approx(
            pull(x, scores, Euclidean()), rel=1e-12
        )


@pytest.mark.parametrize("seed", SEEDS)
def test_it_knows_no_axes_and_no_score_along_the_path(seed):
    x, scores = straight(seed)
    turn = torch.linalg.qr(torch.randn(7, 7, dtype=torch.float64))[0]
    along = (x[-1] - x[0]) * torch.randn(len(x), 1, dtype=torch.float64)
    asked = pull(x, scores, Euclidean())
    assert pull(x @ turn, scores @ turn, Euclidean()) == pytest.approx(asked, rel=1e-12)
    assert pull(x, scores + along, Euclidean()) == pytest.approx(asked, rel=1e-10)


@pytest.mark.parametrize("name", ["mixture", "ring", "sphere_cloud"])
def test_nothing_is_scored_for_it_and_the_nodes_are_those_of_its_alpha(name):
    counted = []
    problem = known.exact_problem(name)
    for alpha in (Strength(0.8), None):
        path = Path(problem.path.start, problem.path.end, problem.manifold)
        score = Counting(problem.score)
        made = Problem(path, score, counted[0][0] if alpha is None else alpha)
        solve(made, SemiImplicit, 16)
        counted.append((made.alpha, score.count, path.points()))
    (found, asked, nodes), (_, given, same) = counted
    assert found > 0
    assert asked == given
    assert torch.equal(nodes, same)


class Counting:
    """A score that counts the points it was asked for."""

    def __init__(self, score):
        self.score, self.count = score, 0

    def __getattr__(self, name):
        return getattr(self.score, name)

    def __call__(self, x, u, rng_step=None):
        self.count += len(x)
        return self.score(x, u, rng_step)


@pytest.mark.parametrize("strength", [0.0, 0.7, 3.0])
def test_given_and_found_are_one_number(strength):
    problem = known.exact_problem("mixture")
    path = Path(problem.path.start, problem.path.end, problem.manifold)
    found = Problem(path, problem.score, Strength(strength))
    assert found.strength == pytest.approx(strength, rel=1e-12)
    # By hand: the mean over the interior of PIECES, all of it across.
    x = path.baseline(PIECES)
    scores = problem.score(path.chart(x), torch.linspace(0, 1, PIECES + 1)).flatten(1)
    assert found.alpha == pytest.approx(strength / pull(x, scores, problem.manifold), rel=1e-12)


@pytest.mark.parametrize("sphere", [False, True])
def test_one_number_bends_alike_in_any_dimension(sphere):
    """A noised cloud in 64 and 16,384 dimensions: the same bend, where one α for both would differ 250-fold."""
    bends, alphas = [], []
    for dimension in (64, 16384):
        density = cloud(dimension, seed=1, sphere=sphere)
        score = known.exact_score(density)
        path = Path(*density.ends, density.manifold)
        problem = Problem(path, score, Strength(1.0))
        solve(problem, SemiImplicit, 8)
        first = path.baseline(8)
        moved = (path.points() - first).norm(dim=-1).max()
        bends.append(float(moved / density.manifold.dist(first[1:], first[:-1]).sum()))
        alphas.append(problem.alpha)
    assert alphas[0] > 150 * alphas[1]
    assert bends[1] == pytest.approx(bends[0], rel=0.1)  # clouds of one kind, not one cloud


def test_a_density_that_does_not_pull_bends_nothing():
    assert Strength(2.0).alpha(0.0) == 0.0


@pytest.mark.parametrize("value", [-1.0, math.inf, math.nan])
def test_what_is_no_strength(value):
    with pytest.raises(UserError, match=r"solver\.strength: got"):
        Strength(value)


RING = ("model=exact", "model.density=ring", "callbacks=log", "solver.frames=3")


class TestCommandLine:
    def test_both_numbers_are_said_and_either_makes_the_other(self, geodesic):
        first = geodesic(*RING, "solver.strength=0.9", "hydra.run.dir=first")
        assert first.code == 0, first.err
        said = json.loads((first.folder / "summary.json").read_text())
        assert said["strength"] == pytest.approx(0.9, rel=1e-6)
        second = geodesic(*RING, f"solver.alpha={said['alpha']}", "hydra.run.dir=second")
        assert second.code == 0, second.err
        again = json.loads((second.folder / "summary.json").read_text())
        assert again["strength"] == pytest.approx(0.9, rel=1e-6)
        assert again["length"] == pytest.approx(said["length"], rel=1e-9)

    def test_an_exact_density_keeps_the_alpha_that_its_geodesic_is_known_for(self, geodesic):
        done = geodesic(*RING)
        assert json.loads((done.folder / "summary.json").read_text())["alpha"] == 0.3

    def test_one_of_both(self, geodesic):
        done = geodesic(*RING, "solver.strength=1", "solver.alpha=0.1")
        assert done.code == 1
        assert "solver.alpha=0.1 and solver.strength=1: one follows from the other" in done.err
