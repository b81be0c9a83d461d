"""What says that it has converged is as short as another code can make it, which knows nothing of the solvers'.

The references are of L-BFGS on the discrete length, by exact gradients of log p (benchmark/shortest.py). The first
problems are those on which solvers once stopped on the straight line, up to 27 % too long.
"""

from __future__ import annotations

import math
from functools import cache, partial

import pytest
import torch
from torch import Tensor

from geodesic_lightning.benchmark.random_densities import RandomDensity, random_density
from geodesic_lightning.benchmark.shortest import excess_of, log_reference, problem_of
from geodesic_lightning.errors import UserError
from geodesic_lightning.geometry.manifold import Euclidean
from geodesic_lightning.optimizers.descent import Descent
from geodesic_lightning.optimizers.paper import Paper
from geodesic_lightning.optimizers.semi_implicit import SemiImplicit
from geodesic_lightning.optimizers.solve import solve

TOLERANCE = 1e-4


def absolute(x: Tensor) -> Tensor:
    return -x.abs().sum(-1)


def stiff(x: Tensor) -> Tensor:
    return -(x[..., 0] ** 2 + x[..., 1] ** 2) / 2 - 5e5 * x[..., 2] ** 2


def round_(x: Tensor) -> Tensor:
    return -x.square().sum(-1) / 2


def made_of(log_density, d: int, strength: float, curvature: float | None, bound: str):
    ends = torch.zeros(2, d).double()
    ends[:, :2] = torch.tensor([[-1.0, 1.0], [1.0, 1.0]])
    return RandomDensity(
        "named", 0, log_density, ends, Euclidean(), None, strength, curvature, bound
    )


NAMED = {
    "L1": made_of(absolute, 2, 1.5, None, "estimated"),
    "stiff, told": made_of(stiff, 3, 4.0, 1e6, "right"),
    "stiff, estimated": made_of(stiff, 3, 4.0, 1e6, "estimated"),
    "told 10,000 times too large": made_of(round_, 3, 4.0, 1e4, "right"),
    "told a million times too large": made_of(round_, 3, 4.0, 1.0, "a million times too large"),
    "told a millionth": made_of(round_, 3, 4.0, 1.0, "a millionth"),
    "told right": made_of(round_, 3, 4.0, 1.0, "right"),
}


@cache
def solved(name: str):
    problem = problem_of(NAMED[name])
    made = solve(problem, SemiImplicit, 16)
    return problem.evaluations, made.converged, excess_of(NAMED[name], problem)


@pytest.mark.parametrize("name", NAMED)
def test_gets_there_whatever_is_told_of_the_curvature(name):
    evaluations, converged, excess = solved(name)
    assert converged
    assert excess < TOLERANCE
    assert evaluations <= 60


def test_the_known_lengths_are_reached():
    # Best known, by L-BFGS on 128 pieces.
    for name, length in (("L1", 1.31920), ("stiff, told", 0.84803)):
        problem = problem_of(NAMED[name])
        solve(problem, SemiImplicit, 16)
        shortest = math.exp(log_reference(NAMED[name], problem))
        assert shortest == pytest.approx(length, rel=2e-5)


OPTIMIZERS = {
    "fast": SemiImplicit,
    "safe": partial(SemiImplicit, mode="safe", iterations=60),
    "noisy": partial(SemiImplicit, mode="noisy"),
    "lbfgs": partial(Descent, method="lbfgs", lr=0.5, iterations=60),
    "adam": partial(Descent, method="adam", lr=0.01, iterations=150),
    "gradient_descent": partial(Descent, iterations=300),
    "paper": partial(Paper, iterations=10),
}
KINDS = [
    ("stiff, little pull", 3),
    ("rotated gaussian", 1),
    ("L1", 1),
    (
        "ReLU network",
        4,
    ),  # a geodesic that is no minimum, and of a length that 16 segments do not tell
    ("mixture, sphere", 3),
    ("constant", 3),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(("kind", "seed"), KINDS)
def test_no_optimizer_says_converged_where_it_is_not(optimizer, kind, seed):
    density = random_density(kind, seed)
    problem = problem_of(density)
    try:
        made = solve(problem, OPTIMIZERS[optimizer], 16)
    except UserError:  # it diverged, and was stopped
        assert optimizer == "gradient_descent"
        return
    if made.converged:  # three times: of a stretch that is not log-concave too little is foretold
        assert excess_of(density, problem) < 3 * TOLERANCE
    assert made.converged <= (optimizer not in ("noisy", "paper"))


@pytest.mark.parametrize("method", ["lbfgs", "gradient_descent"])
def test_a_descent_goes_on_where_the_bound_told_is_a_million_times_too_large(method):
    density = NAMED["told a million times too large"]
    problem = problem_of(density)
    made = solve(problem, partial(OPTIMIZERS[method], iterations=500), 16)
    assert made.converged
    assert excess_of(density, problem) < TOLERANCE


def test_a_path_of_too_few_segments_has_not_converged():
    density = random_density("rough", 17)
    for segments, expected in ((16, False), (64, True)):
        problem = problem_of(density)
        made = solve(problem, partial(SemiImplicit, iterations=60), segments)
        assert made.converged <= expected
        if not expected:
            assert made.report["excess_of_pieces"] > TOLERANCE


def test_a_descent_that_diverges_ends_with_the_shortest_path_it_saw():
    density = NAMED["told right"]
    problem = problem_of(density)
    start = float(problem.evaluate().legs[0].action.length)
    problem = problem_of(density)
    problem.path.refine(16)
    start = float(problem.evaluate().legs[0].action.length)
    made = solve(problem, partial(Descent, method="adam", lr=3.0, iterations=9), 16)
    assert not made.converged
    assert float(problem.evaluate().legs[0].action.length) <= start * (1 + 1e-12)
