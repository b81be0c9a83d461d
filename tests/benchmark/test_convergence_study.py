"""The study of what has converged, a small slice of it; and the error bar of a length that is known."""

from __future__ import annotations

import pytest
from known import exact_problem

from geodesic_lightning.benchmark import convergence
from geodesic_lightning.benchmark.random_densities import ALL, BOUNDS, random_density
from geodesic_lightning.models.exact import DENSITIES, reference
from geodesic_lightning.optimizers.semi_implicit import SemiImplicit
from geodesic_lightning.optimizers.solve import solve


def test_a_problem_follows_from_its_kind_and_seed():
    ends = [random_density("mixture, high", seed).ends for seed in (0, 0, 1)]
    assert (ends[0] == ends[1]).all()
    assert ends[0].shape != ends[2].shape or (ends[0] != ends[2]).any()
    assert {random_density("L1", seed).bound for seed in range(5)} == set(BOUNDS)


def test_rows_that_are_known_are_not_computed_again():
    kinds = ["constant", "slope"]
    rows = list(convergence.run(1, {("constant", 0)}, kinds))
    assert [row.key for row in rows] == [("slope", 0)]
    text = convergence.table(rows)
    assert "| slope | 1 | 1 |" in text
    assert "length_error" in text


@pytest.mark.slow
def test_none_that_has_converged_is_ten_tolerances_too_long():
    rows = list(convergence.run(3))
    assert len(rows) == 3 * len(ALL)
    done = [row for row in rows if row.converged]
    assert len(done) > 0.9 * len(rows)
    assert max(row.excess for row in done) < 1e-3
    assert sum(row.excess > 2e-4 for row in done) <= 1
    assert all(row.excess <= row.start + 1e-9 for row in rows)


@pytest.mark.parametrize("name", [name for name in DENSITIES if name != "constant_score"])
def test_a_known_length_is_within_the_error_bar(name):
    problem = exact_problem(name)
    solve(problem, SemiImplicit, 16)
    found = problem.measure()
    assert abs(found.length - reference(name).length) <= found.geodesic_error
