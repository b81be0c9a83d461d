"""Cost against segments: one sweep of the fast solver at 16 to 256 segments, split into the network and all else."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from statistics import median

from geodesic_lightning.benchmark.markdown import markdown
from geodesic_lightning.benchmark.problems import Case
from geodesic_lightning.benchmark.timed_process import usage
from geodesic_lightning.benchmark.trace import Stopwatch
from geodesic_lightning.optimizers.batched import Batched
from geodesic_lightning.optimizers.semi_implicit import SemiImplicit
from geodesic_lightning.problems.boundary_value import Problem

SEGMENTS = (16, 32, 64, 128, 256)


@dataclass(frozen=True)
class Row:
    """One sweep: evaluations, seconds of the score and of everything else (medians), and the process's peak memory."""

    segments: int
    evaluations: int
    network_seconds: float
    other_seconds: float
    peak_megabytes: float


def study(case: Case, sweeps: int = 3) -> Iterator[Row]:
    """Rows from few segments to many, so that the peak of memory is each row's own."""
    for segments in SEGMENTS:
        fresh = case.fresh()
        clock = Stopwatch(fresh.score)
        problem = Problem(fresh.path, clock, fresh.alpha)
        path = problem.legs[0].path
        path.set_nodes(path.baseline(segments)[1:-1])
        make = partial(SemiImplicit, tolerance=1e-12, coarse_iterations=0)
        made = Batched(make, problem, segments)
        made.prepare()
        while made.report.get("level") != segments:
            made.step(problem.evaluate())
        network, other = [], []
        for _ in range(sweeps):
            before, began = clock.seconds, time.perf_counter()
            made.step(problem.evaluate())
            total = time.perf_counter() - began
            network.append(clock.seconds - before)
            other.append(total - network[-1])
        yield Row(segments, segments - 1, median(network), median(other), usage()[1] / 2**20)


def table(rows: list[Row]) -> str:
    """The rows as a Markdown table."""
    head = (
        "segments",
        "evaluations a sweep",
        "network, ms",
        "ms a node",
        "all else, ms",
        "peak memory, MB",
    )
    body = [
        (
            f"{r.segments}",
            f"{r.evaluations}",
            f"{1e3 * r.network_seconds:.0f}",
            f"{1e3 * r.network_seconds / r.evaluations:.1f}",
            f"{1e3 * r.other_seconds:.1f}",
            f"{r.peak_megabytes:.0f}",
        )
        for r in rows
    ]
    return markdown(head, body)
