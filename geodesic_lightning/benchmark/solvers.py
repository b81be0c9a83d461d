"""Solver × problem × score evaluations to 1 % and 0.1 % of the known, or best found, geodesic length.

Counted are evaluations: scores of single latents, the measure of work that does not depend on the machine. Lengths are
taken on the path resampled to the final number of segments, exactly on the exact densities and by spline quadrature on
the embedded model; taking them costs evaluations that are not counted. The reference of an embedded problem is the
shortest length that any of the solvers reached.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from geodesic_lightning.benchmark.markdown import markdown
from geodesic_lightning.benchmark.problems import Case
from geodesic_lightning.benchmark.trace import Trace, trace
from geodesic_lightning.optimizers.paper import Paper
from geodesic_lightning.optimizers.semi_implicit import SemiImplicit
from geodesic_lightning.protocols import MakeOptimizer

PAPER_RATES = (0.1, 0.03, 0.01)
SEGMENTS = 16


@dataclass(frozen=True)
class Row:
    """One solver on one problem; lengths relative to the reference, minus one; None where it never came there."""

    problem: str
    field: str
    solver: str
    evaluations: int
    calls: int
    excess: float | None
    to_percent: int | None
    to_permille: int | None
    seconds: float
    network_seconds: float
    converged: bool
    failure: str | None
    length: float | None
    start: float


def methods(rates: Iterable[float]) -> dict[str, MakeOptimizer]:
    """The fast solver, the paper's scheme as shipped, and with its levels run out at each learning rate."""
    found: dict[str, MakeOptimizer] = {"fast": SemiImplicit, "paper": Paper}
    for rate in rates:
        found[f"paper, lr {rate:g}, levels run out"] = partial(Paper, lr=rate, end_early=False)
    return found


def compare(case: Case, solvers: dict[str, MakeOptimizer]) -> list[Row]:
    """All solvers on one problem."""
    looks = 40 if case.reference else 8  # a look at a network costs as much as a sweep
    traces = {
        name: trace(case.fresh(), make, SEGMENTS, case.length, looks)
        for name, make in solvers.items()
    }
    start = case.length(case.fresh().legs[0].path.baseline(SEGMENTS))
    reference = case.reference or min(t.length for t in traces.values() if not t.failure)
    return [_row(case, name, t, reference, start) for name, t in traces.items()]


def _row(case: Case, name: str, run: Trace, reference: float, start: float) -> Row:
    return Row(
        problem=case.name,
        field=case.field,
        solver=name,
        evaluations=run.evaluations,
        calls=run.calls,
        excess=None if run.failure else run.length / reference - 1,
        to_percent=run.within(reference, 1e-2),
        to_permille=run.within(reference, 1e-3),
        seconds=run.seconds,
        network_seconds=run.network_seconds,
        converged=run.converged,
        failure=run.failure,
        length=None if run.failure else run.length,
        start=start / reference,
    )


def table(rows: list[Row]) -> str:
    """The rows as a Markdown table."""
    head = (
        "problem",
        "field",
        "solver",
        "evaluations",
        "calls",
        "excess of length",
        "to 1 %",
        "to 0.1 %",
        "seconds",
        "outside the network",
    )
    body = [
        (
            r.problem,
            r.field,
            r.solver,
            f"{r.evaluations:,}",
            f"{r.calls}",
            "diverged" if r.excess is None else f"{100 * r.excess:+.3f} %",
            "–" if r.to_percent is None else f"{r.to_percent:,}",
            "–" if r.to_permille is None else f"{r.to_permille:,}",
            f"{r.seconds:.2f}",
            f"{100 * (1 - r.network_seconds / r.seconds):.0f} %",
        )
        for r in rows
    ]
    return markdown(head, body)
