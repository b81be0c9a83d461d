"""The solvers on a product of spheres with held means, where the answer is known: float64."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from known import exact_problem, exact_score, smooth_shots

from geodesic_lightning.functional import quadrature
from geodesic_lightning.geometry.held_means import HeldMeans
from geodesic_lightning.geometry.manifold import Sphere
from geodesic_lightning.geometry.piecewise_path import PiecewisePath
from geodesic_lightning.geometry.product import Product
from geodesic_lightning.geometry.star_path import StarPath
from geodesic_lightning.models.exact.families import Slope
from geodesic_lightning.optimizers.frechet_mean import FrechetMean
from geodesic_lightning.optimizers.semi_implicit import SemiImplicit
from geodesic_lightning.optimizers.solve import solve
from geodesic_lightning.problems.boundary_value import Problem

SHELL = HeldMeans(Product((Sphere(1.0), Sphere(0.6), Sphere(2.0))), (0.3, -0.2, 1.0))


def stops(count, seed=0):
    """Points on the shell, all within a quarter of a turn in every channel."""
    generator = torch.Generator().manual_seed(seed)
    base, *offsets = torch.randn(count + 1, 15, generator=generator, dtype=torch.float64)
    return SHELL.projx(base + 0.4 * torch.stack(offsets))


def uniform():
    """A density that is the same everywhere."""
    ends, slope = stops(2), torch.zeros(15, dtype=torch.float64)
    return Slope(name="flat", alpha=0.0, sigma=1.0, ends=ends, manifold=SHELL, slope=slope)


@pytest.mark.parametrize("segments", [16, 32])
def test_the_boundary_value_problem_finds_the_known_geodesic(segments):
    known = smooth_shots()["mixture on a shell"]
    problem = exact_problem(known.problem, segments)
    made = solve(problem, partial(SemiImplicit, tolerance=1e-8, iterations=80), segments)
    assert made.converged
    points, expected = problem.path.points(), known.at(segments)
    whole = float(known.problem.manifold.dist(*known.problem.ends))
    # The discrete equation is of second order: a quarter of the error at twice the segments.
    assert (points - expected).norm(dim=-1).max() < 0.02 * whole * (16 / segments) ** 2
    found = problem.measure()
    assert found.length == pytest.approx(known.length, rel=1e-3 * (16 / segments) ** 2)
    again = quadrature.measure(
        expected, known.problem.score(expected), known.problem.alpha, known.problem.manifold
    )
    assert again.length == pytest.approx(known.length, rel=2e-5)
    assert again.euclidean_length == pytest.approx(
        float(torch.from_numpy(known.solution(0.0)[8:16].copy()).norm()), rel=2e-5
    )


@pytest.mark.parametrize("seed", range(3))
def test_without_a_density_the_mean_is_where_the_logarithms_cancel(seed):
    points = stops(4, seed)
    star = StarPath(points, SHELL, 8)
    problem = Problem(star, exact_score(uniform()), 0.0)
    made = FrechetMean(partial(SemiImplicit, tolerance=1e-8), problem, 8, tolerance=1e-5)
    made.prepare()
    while not made.finished:
        made.step(problem.evaluate(made.awake))
    assert made.converged
    centre = star.end.flatten()
    logs = SHELL.logmap(centre, points)
    # V is measured on nodes of 8 segments: a fraction of the fourth power of their turning.
    assert logs.mean(0).norm() < 2e-4 * logs.norm(dim=-1).mean()
    found = made.distances.double()
    torch.testing.assert_close(found, logs.norm(dim=-1), rtol=1e-4, atol=0)


@pytest.mark.parametrize("closed", [False, True])
def test_without_a_density_legs_are_the_manifolds_own_geodesics(closed):
    points = stops(3)
    chain = PiecewisePath(points, SHELL, 8, closed, rounding=0.0)
    problem = Problem(chain, exact_score(uniform()), 0.0)
    solve(problem, SemiImplicit, 8)
    u = torch.linspace(0, 1, 9, dtype=torch.float64)
    for leg, a, b in zip(chain.legs, points, points.roll(-1, 0)):
        torch.testing.assert_close(leg.points(), SHELL.geodesic(a, b, u), rtol=0, atol=1e-6)
    chain.rounding = 0.5
    chain.round()
    means = chain.points().unflatten(-1, (3, 5)).mean(-1)
    torch.testing.assert_close(means, torch.tensor([SHELL.means]).double().expand_as(means))
