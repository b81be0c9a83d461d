"""The benchmark counts what it says it counts."""

import json
from functools import partial

import pytest

from geodesic_lightning.benchmark import __main__ as command
from geodesic_lightning.benchmark import problems, solvers
from geodesic_lightning.benchmark.trace import Trace, trace
from geodesic_lightning.optimizers.paper import Paper
from geodesic_lightning.optimizers.semi_implicit import SemiImplicit


@pytest.fixture
def ring():
    return next(problems.exact(["ring"]))


def test_evaluations_are_those_of_the_model(ring):
    """The problem's count is the number of points that the density was asked for."""
    problem = ring.fresh()
    model = problem.score.model
    before = model.evaluations
    run = trace(problem, SemiImplicit, 16, lambda points: 1.0)
    assert run.evaluations == model.evaluations - before
    assert run.network_seconds < run.seconds


def test_rows_against_the_reference(ring):
    fast, slow = solvers.compare(
        ring, {"fast": SemiImplicit, "paper": partial(Paper, lr=0.03, iterations=20)}
    )
    assert abs(fast.excess) < 1e-3
    assert fast.evaluations <= 130
    assert fast.to_percent <= fast.to_permille <= fast.evaluations
    assert slow.length > fast.length
    assert fast.start == pytest.approx(4.2149 / 2.01407, rel=1e-3)  # straight line over geodesic
    assert solvers.table([fast, slow]).count("\n") == 3


def test_within_means_and_stays():
    run = Trace(9, 3, [(1, 1.005), (2, 1.5), (3, 1.009), (4, 1.0)], 1.0, 0.5, True)
    assert run.within(1.0, 1e-2) == 3
    assert run.within(1.0, 1e-9) == 4
    assert run.within(0.5, 1e-2) is None


def test_a_scheme_that_diverges_has_no_length(ring):
    """As shipped the paper's scheme leaves the ring: its step is too long for so narrow a density."""
    (row,) = solvers.compare(ring, {"paper": partial(Paper, lr=5.0), "fast": SemiImplicit})[:1]
    assert row.failure
    assert row.excess is None
    assert "diverged" in solvers.table([row])


@pytest.mark.parametrize(
    "bad", [["--pairs", "0"], ["--pairs", "11"], ["estimators", "--seeds", "0"]]
)
def test_bad_numbers_are_one_sentence(bad, tmp_path):
    with pytest.raises(SystemExit, match=r"Error: --(pairs|seeds): got -?\d+, expected"):
        command.main([*bad, "--output", str(tmp_path / "out.json")])


def test_an_interrupted_benchmark_keeps_its_rows(ring, tmp_path, monkeypatch, capsys):
    compare, rows = solvers.compare, []

    def stopped(*_):
        if rows:
            raise KeyboardInterrupt
        rows.extend(compare(ring, {"fast": SemiImplicit}))
        return rows

    monkeypatch.setattr(solvers, "compare", stopped)
    with pytest.raises(SystemExit, match=r"Interrupted; the rows so far are in .*out\.json"):
        command.main(["--output", str(tmp_path / "out.json")])
    assert len(json.loads((tmp_path / "out.json").read_text())["rows"]) == 1


def test_an_estimate_for_many_devices():
    """One device exchanges nothing; devices beyond the nodes only add latency."""
    from geodesic_lightning.benchmark import devices

    assert devices.sweep(1, 16) == (15 * devices.NETWORK, 0.0)
    assert devices.sweep(8, 16)[0] == 2 * devices.NETWORK
    assert devices.sweep(64, 16)[0] == devices.sweep(16, 16)[0] == devices.NETWORK
    assert devices.sweep(64, 16)[1] > devices.sweep(16, 16)[1]
    table = devices.table(list(devices.estimate()))
    assert len(table.splitlines()) == 2 + len(devices.COUNTS)
