"""Orders of accuracy, measured against geodesics that were integrated, not solved for.

Every error is fitted by C N^-p over N = 8 … 128. The orders are asymptotic, so the fit may miss the
whole number: by 0.1 where one power dominates from the start (the second-order rules), by more for
the fourth-order ones, whose first grids do better than their order.
"""

from __future__ import annotations

from functools import cache, partial

import pytest
import torch
from known import SEGMENTS, exact_problem, order, smooth_shots

from geodesic_lightning.functional import length, quadrature
from geodesic_lightning.models.exact.curve_length import curve_length
from geodesic_lightning.optimizers.semi_implicit import SemiImplicit
from geodesic_lightning.optimizers.solve import solve

shots = cache(smooth_shots)
NAMES = ["constant_score", "mixture in 3-D", "slope on a sphere", "mixture on a sphere"]
every = pytest.mark.parametrize("name", NAMES)


@every
def test_the_shot_is_the_geodesic_whose_length_it_says(name):
    # Two codes that share nothing agree: the integrated length, and Gauss quadrature of a spline.
    known = shots()[name]
    assert curve_length(known.problem, known.at(256)) == pytest.approx(known.length, rel=1e-11)


@every
def test_nodes_of_the_discrete_geodesic_are_of_order_two(name):
    known = shots()[name]
    errors = []
    for segments in SEGMENTS:
        problem = exact_problem(known.problem, segments)
        made = solve(problem, partial(SemiImplicit, tolerance=1e-12, iterations=60), segments)
        assert made.converged
        errors.append(float((problem.path.points() - known.at(segments)).norm(dim=-1).max()))
    assert order(SEGMENTS, errors) == pytest.approx(2, abs=0.1)


@every
def test_trapezoid_length_is_of_order_two(name):
    known = shots()[name]
    problem, errors = known.problem, []
    for segments in SEGMENTS:
        points = known.at(segments)
        found = length.action(points, problem.score(points), problem.alpha, problem.manifold)
        errors.append(abs(float(found.length) - known.length))
    assert order(SEGMENTS, errors) == pytest.approx(2, abs=0.1)


@every
def test_residual_of_the_true_geodesic_is_of_order_two(name):
    known = shots()[name]
    problem, scaled, turning = known.problem, [], []
    for segments in SEGMENTS:
        points = known.at(segments)
        scores = problem.score(points[1:-1])
        found = length.residual(points, scores, problem.alpha, problem.manifold)
        scaled.append(float((found.vector / found.spacing**2).norm(dim=-1).max()))
        turning.append(float(found.turning.max()))
    assert order(SEGMENTS, scaled) == pytest.approx(2, abs=0.1)
    assert order(SEGMENTS, turning) == pytest.approx(2, abs=0.1)


@every
def test_measured_log_density_and_length_are_of_order_four(name):
    known = shots()[name]
    problem, lengths, densities = known.problem, [], []
    for segments in SEGMENTS:
        points = known.at(segments)
        found = quadrature.measure(points, problem.score(points), problem.alpha, problem.manifold)
        lengths.append(abs(found.length - known.length))
        truth = problem.log_density(points)
        densities.append(float((found.log_density - (truth - truth[0])).abs().max()))
    assert order(SEGMENTS, lengths) > 3.8
    if name == "constant_score":  # an affine score is integrated exactly: only roundoff is left
        assert max(densities) < 1e-14
    else:
        assert order(SEGMENTS, densities) > 3.8


@every
def test_the_error_estimate_bounds_the_error_of_the_length(name):
    known = shots()[name]
    problem = known.problem
    for segments in SEGMENTS[1:]:
        points = known.at(segments)
        found = quadrature.measure(points, problem.score(points), problem.alpha, problem.manifold)
        assert abs(found.length - known.length) <= found.length_error + 1e-12
        truth = problem.log_density(points)
        error = (found.log_density - (truth - truth[0])).abs().max()
        assert error <= found.log_density_error + 1e-12


@every
def test_speed_in_the_metric_is_constant_in_its_own_parametrization(name):
    # Per unit of arc length the metric speed of any path is L p^-alpha: measured, not assumed.
    known = shots()[name]
    problem, points = known.problem, known.at(64)
    found = quadrature.measure(points, problem.score(points), problem.alpha, problem.manifold)
    truth = problem.log_density(points)
    speed = found.euclidean_length * torch.exp(-problem.alpha * (truth - truth[0]))
    torch.testing.assert_close(found.metric_speed, speed, rtol=1e-4, atol=0)
