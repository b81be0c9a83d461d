"""Torch's optimizers on the elastic string reach the geodesic that the fast one finds."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from known import exact_problem, random_mixture

from geodesic_lightning.errors import UserError
from geodesic_lightning.geometry.manifold import Sphere
from geodesic_lightning.models.exact import density
from geodesic_lightning.models.exact.curve_length import curve_length
from geodesic_lightning.optimizers.descent import Descent
from geodesic_lightning.optimizers.semi_implicit import SemiImplicit
from geodesic_lightning.optimizers.solve import solve

METHODS = {
    "gradient_descent": {"lr": 0.4, "iterations": 1500},
    "adam": {"lr": 0.003, "iterations": 1500},
    "lbfgs": {"lr": 0.5, "iterations": 300},
}
every = pytest.mark.parametrize("method", METHODS)
PROBLEMS = {
    "gaussian": density("gaussian"),
    "mixture in 3-D": random_mixture(3),
    "mixture on a sphere": random_mixture(1, 4, Sphere(1.0)),
}


def run(problem, method, **options):
    made = exact_problem(problem)
    options = {**METHODS[method], "tolerance": 1e-5, **options}
    return made, solve(made, partial(Descent, method=method, **options), 16)


@every
@pytest.mark.parametrize("name", PROBLEMS)
def test_reaches_the_same_geodesic(name, method):
    problem = PROBLEMS[name]
    known = exact_problem(problem)
    solve(known, partial(SemiImplicit, tolerance=1e-12, iterations=100), 16)
    found, made = run(problem, method)
    assert made.converged
    assert made.finished
    best = curve_length(problem, known.path.points())
    # A tolerance of 1e-5 of length is about its root, half a per cent, in the nodes.
    assert curve_length(problem, found.path.points()) < best * (1 + 3e-5)
    away = (found.path.points() - known.path.points()).norm(dim=-1).max()
    assert away < 0.01 * (problem.ends[1] - problem.ends[0]).norm()


@every
def test_evaluates_once_a_step_and_reports(method):
    problem, made = run(density("gaussian"), method, iterations=7, tolerance=1e-12)
    assert made.finished
    assert not made.converged
    assert problem.rng_step == 7
    assert problem.evaluations == 2 + 7 * 15
    assert set(made.report) == {
        "level",
        "iteration",
        "residual_norm",
        "predicted_excess",
        "excess_of_pieces",
    }
    assert made.report["level"] == 16
    assert made.report["iteration"] == 6


@every
def test_nodes_stay_on_the_sphere(method):
    problem, _ = run(PROBLEMS["mixture on a sphere"], method, iterations=5)
    points = problem.path.points()
    torch.testing.assert_close(points.norm(dim=-1), torch.ones(17, dtype=torch.float64))


def test_gradient_descent_is_the_plain_step_along_the_residual():
    problem = exact_problem("gaussian", 8)
    made = Descent(problem.path, 8, lr=0.25)
    latest = problem.evaluate().legs[0]
    made.step(latest)
    expected = latest.interior + 0.25 * latest.residual.vector
    torch.testing.assert_close(problem.path.points()[1:-1], expected)


@every
def test_a_resumed_run_is_the_run_that_never_stopped(method):
    def make():
        problem = exact_problem("gaussian", 8)
        lr = METHODS[method]["lr"]
        return problem, Descent(problem.path, 8, method, lr, 9, 1e-12)

    def finish(problem, made, steps=99):
        while not made.finished and steps:
            made.prepare()
            made.step(problem.evaluate().legs[0])
            steps -= 1

    problem, made = make()
    finish(problem, made, 4)
    saved = copy.deepcopy([problem.path.state_dict(), made.state_dict(), problem.state_dict()])
    finish(problem, made)
    other, resumed = make()
    other.path.load_state_dict(saved[0])
    resumed.load_state_dict(saved[1])
    other.load_state_dict(saved[2])
    finish(other, resumed)
    assert torch.equal(problem.path.points(), other.path.points())
    assert problem.evaluations == other.evaluations


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"segments": 1}, r"solver\.segments"),
        ({"tolerance": 0}, r"optimizer\.tolerance"),
        ({"lr": 0}, r"optimizer\.lr"),
        ({"method": "newton"}, "gradient_descent, adam, lbfgs"),
    ],
)
def test_refuses_what_it_cannot_do(options, said):
    problem = exact_problem("ring")
    with pytest.raises(UserError, match=said):
        Descent(problem.path, **{"segments": 16, **options})
