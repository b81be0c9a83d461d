"""The released scheme, written down a second time from its description, followed step by step."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from known import FLAT, exact_problem
from released import release, terms

from geodesic_lightning.errors import UserError
from geodesic_lightning.geometry.manifold import Sphere
from geodesic_lightning.models.exact import DENSITIES, density
from geodesic_lightning.models.exact.families import Slope
from geodesic_lightning.optimizers.paper import Paper, bisect, density_and_bend
from geodesic_lightning.optimizers.solve import solve

PROBLEMS = ["gaussian", "mixture", "tube_64", "cloud_64", "sphere_cloud"]
every = pytest.mark.parametrize("name", PROBLEMS)


class Followed(Paper):
    """Keeps the points of every evaluation."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.seen = []

    def step(self, evaluation):
        super().step(evaluation)
        self.seen.append(evaluation.points)


def run(name, segments=16, **options):
    problem = exact_problem(name, segments)
    made = solve(problem, partial(Followed, **options), segments).parts[0]
    return problem, [*made.seen, problem.path.points()], made


# -- against it


@every
@pytest.mark.parametrize("seed", range(3))
def test_the_two_terms_are_those_of_the_description(name, seed):
    problem = density(name)
    u = torch.linspace(0, 1, 9, dtype=torch.float64)
    line = problem.manifold.geodesic(*problem.ends, u)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(line.shape, generator=generator, dtype=torch.float64)
    size = 0.2 * (line[1] - line[0]).norm() / problem.dimension**0.5
    x = problem.manifold.projx(line + size * noise)
    score = problem.score(x[1:-1])
    found = density_and_bend(x, score, problem.alpha, problem.manifold)
    sphere = isinstance(problem.manifold, Sphere)
    expected = terms(x.numpy(), score.numpy(), problem.alpha, sphere)
    for one, other in zip(found, expected):
        # arccos loses half of the digits of small angles: that is the description's, not ours.
        torch.testing.assert_close(one, torch.from_numpy(other), rtol=1e-6, atol=1e-8)


@every
@pytest.mark.parametrize("end_early", [True, False])
def test_every_iteration_is_that_of_the_description(name, end_early):
    options = {"iterations": 8, "lr": 1e-4, "end_early": end_early}
    _, seen, made = run(name, **options)
    expected = [*release(density(name), 16, **options)]
    assert made.finished
    assert len(seen) == len(expected)
    for one, other in zip(seen, expected):
        torch.testing.assert_close(one, torch.from_numpy(other), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", ["gaussian", "constant_score"])
def test_the_released_settings_end_where_the_description_does(name):
    _, seen, _ = run(name)
    expected = [*release(density(name), 16)]
    assert len(seen) == len(expected)
    torch.testing.assert_close(seen[-1], torch.from_numpy(expected[-1]), rtol=1e-5, atol=1e-7)


def test_a_change_of_level_by_hand():
    """Constant score (0, 1) and α = 2 between (±1, 0), one iteration a level, lr = 0.4: on paper.

    Level 1: y = 0.4. Its natural spline has γ'' = (0, −3y/h² = −4.8) in the middle, h = ½, and half of
    that at the quarters; that through the new midpoints would have −5.486 and −1.371. With lr = 0.4 · ½/3
    the middle, γ' = (2, 0), moves by (1 − 4.8/4/2)/15, the left quarter, γ' = (2, 0.8), by
    (1 − 2.4/4.64/2)/15 times P (0, 1) = (−1.6, 4)/4.64.
    """
    slope = Slope(
        name="slope", alpha=2.0, sigma=1.0, manifold=FLAT,
        slope=torch.tensor([0.0, 1.0]).double(),
        ends=torch.tensor([[-1.0, 0.0], [1.0, 0.0]]).double(),
    )  # fmt: skip
    problem = exact_problem(slope)
    made = Paper(problem.path, 4, lr=0.4, iterations=1)
    made.prepare()
    made.step(problem.evaluate().legs[0])
    expected = [[-0.5, 0.2], [0, 0.4], [0.5, 0.2]]
    np.testing.assert_allclose(problem.path.points()[1:-1], expected, atol=1e-12)
    made.step(problem.evaluate().legs[0])
    along, up = 1.6 / 4.64, 4 / 4.64
    share = (1 - 2.4 / 4.64 / 2) / 15
    quarter = 0.5 + share * along, 0.2 + share * up
    expected = [[-quarter[0], quarter[1]], [0, 0.4 + 0.4 / 15], quarter]
    np.testing.assert_allclose(problem.path.points()[1:-1], expected, atol=1e-12)
    assert made.finished


@pytest.mark.parametrize("taken", [5, 6, 7])
def test_a_run_of_before_goes_on_as_it_was_up_to_its_next_change_of_level(taken):
    """Release 0.1 kept no spline: it was always one through all nodes."""
    problem = exact_problem("sphere_cloud", 8)
    options = {"iterations": 5, "lr": 1e-4, "end_early": False}
    made = Paper(problem.path, 8, **options)
    problem.path.set_nodes(problem.path.points()[[2, 4, 6]])
    former = {"begun": True, "level": 2, "iteration": taken}
    made.load_state_dict({"state": {0: former}, "param_groups": [{"params": [0]}]})
    begun = (problem.path.points().numpy(), 2, taken)
    expected = [*release(density("sphere_cloud"), 8, **options, begun=begun)]
    for points in expected[:-1]:
        np.testing.assert_allclose(problem.path.points(), points, rtol=1e-6, atol=1e-8)
        made.step(problem.evaluate().legs[0])
    np.testing.assert_allclose(problem.path.points(), expected[-1], rtol=1e-6, atol=1e-8)
    assert made.finished


def test_counts_2600_evaluations():
    problem, seen, _ = run("gaussian", end_early=False, lr=1e-4)
    assert problem.evaluations == 2 + 100 * (1 + 3 + 7 + 15)
    assert problem.evaluations == problem.score.model.evaluations
    assert len(seen) == 401


def test_the_learning_rate_falls_to_nothing_over_all_levels():
    problem = exact_problem("gaussian", 8)
    made = Paper(problem.path, 8, lr=0.3, iterations=5, end_early=False)
    rates = []
    made.prepare()
    while not made.finished:
        made.step(problem.evaluate().legs[0])
        rates.append(made.report["learning_rate"])
    nodes = np.repeat([1, 3, 7], 5)
    np.testing.assert_allclose(rates, 0.3 * (1 - np.arange(15) / 15) / nodes)


def test_an_early_end_takes_no_step_but_counts_an_iteration():
    # Alpha so small that the bend term is always the larger: every level ends at its first look,
    # except that on a straight line there is no bend at all.
    problem = exact_problem("gaussian", 8, alpha=1e-9)
    generator = torch.Generator().manual_seed(0)
    made = Paper(problem.path, 8)
    made.prepare()
    bent = problem.path.points()[1:-1] + torch.randn(1, 2, generator=generator).double()
    problem.path.set_nodes(bent)
    levels = []
    while not made.finished:
        made.step(problem.evaluate().legs[0])
        levels.append((made.report["level"], made.report["iteration"]))
        assert made.report["density_term"] < made.report["bend_term"]
    assert levels == [(2, 0), (4, 1), (8, 2)]
    torch.testing.assert_close(problem.path.points()[4:5], bent)


@pytest.mark.parametrize("name", ["ring", "sphere_cloud"])
def test_bisection_keeps_nodes_and_puts_others_half_way(name):
    problem = exact_problem(name, 4)
    before = problem.path.points()
    bisect(problem.path)
    after, manifold = problem.path.points(), problem.manifold
    torch.testing.assert_close(after[::2], before)
    sides = manifold.dist(after[1:], after[:-1])
    torch.testing.assert_close(sides[::2], sides[1::2])
    torch.testing.assert_close(sides[::2] + sides[1::2], manifold.dist(before[1:], before[:-1]))


@pytest.mark.parametrize("stopped", [9, 6, 12])  # within a level, and as one begins
def test_a_resumed_run_is_the_run_that_never_stopped(stopped):
    def make():
        problem = exact_problem("gaussian", 8)
        return problem, Paper(problem.path, 8, iterations=6, lr=1e-3, end_early=False)

    def finish(problem, made, steps=None):
        made.prepare()
        while not made.finished and steps != 0:
            made.step(problem.evaluate().legs[0])
            steps = None if steps is None else steps - 1

    problem, made = make()
    finish(problem, made, stopped)
    path, state = problem.path.state_dict(), made.state_dict()
    path = {key: value.clone() for key, value in path.items()}
    finish(problem, made)
    other, resumed = make()
    other.path.load_state_dict(path)
    resumed.load_state_dict(state)
    finish(other, resumed)
    assert torch.equal(problem.path.points(), other.path.points())


class TestRefuses:
    @pytest.mark.parametrize("segments", [-4, 0, 1, 3, 6, 12, 17])
    def test_segments_that_bisection_cannot_make(self, segments):
        problem = exact_problem("ring")
        with pytest.raises(UserError, match="power of two"):
            Paper(problem.path, segments)

    @pytest.mark.parametrize("segments", [2, 4, 32])
    def test_but_not_powers_of_two(self, segments):
        problem = exact_problem("ring")
        assert not Paper(problem.path, segments).finished

    def test_an_exponent_of_zero(self):
        problem = exact_problem("ring", alpha=0.0)
        with pytest.raises(UserError, match=r"solver\.alpha: got 0"):
            solve(problem, Paper, 16)


def test_every_standard_problem_is_covered_by_the_two_kinds_of_space():
    assert {isinstance(density(n).manifold, Sphere) for n in PROBLEMS} == {True, False}
    assert set(PROBLEMS) <= set(DENSITIES)
