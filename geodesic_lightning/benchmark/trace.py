"""One solver on one problem, watched: how long the path was after how many score evaluations."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from geodesic_lightning.errors import UserError
from geodesic_lightning.geometry import spline
from geodesic_lightning.optimizers.batched import Batched
from geodesic_lightning.problems.boundary_value import Problem
from geodesic_lightning.protocols import MakeOptimizer, Manifold, Score


@dataclass(frozen=True)
class Trace:
    """What a run cost and what it reached.

    Attributes:
        evaluations, calls: scores of single latents, and batches of them.
        lengths: (evaluations so far, length of the path then), oldest first; the last is the result.
        seconds, network_seconds: of solving, and of that inside the score.
        converged: the solver's own criterion was met.
        failure: why there is no result, or None.
    """

    evaluations: int
    calls: int
    lengths: list[tuple[int, float]]
    seconds: float
    network_seconds: float
    converged: bool
    failure: str | None = None

    @property
    def length(self) -> float:
        """Length of the result; NaN where there is none."""
        return float("nan") if self.failure else self.lengths[-1][1]

    def within(self, reference: float, tolerance: float) -> int | None:
        """Evaluations after which the path stays within a relative tolerance of the reference; None if never."""
        if self.failure:
            return None
        found = None
        for evaluations, length in self.lengths:
            kept = evaluations if found is None else found
            found = kept if length <= reference * (1 + tolerance) else None
        return found


def trace(
    problem: Problem,
    optimizer: MakeOptimizer,
    segments: int,
    length: Callable[[Tensor], float],
    looks: int = 40,
) -> Trace:
    """Run the optimizer on a fresh problem to its end.

    Args:
        length: the length of a path given by points (segments+1, d).
        looks: lengths taken along the way, on the path resampled to `segments`; they cost evaluations of their own,
            which are not counted.
    """
    clock = Stopwatch(problem.score)
    problem = Problem(problem.path, clock, problem.alpha, problem.functional)
    made = Batched(optimizer, problem, segments)
    made.prepare()
    seen: list[tuple[int, Tensor]] = []
    began = time.perf_counter()
    try:
        while not made.finished:
            made.step(problem.evaluate())
            seen.append((problem.evaluations, problem.path.points()))
    except UserError as error:
        return Trace(
            problem.evaluations,
            len(seen),
            [],
            time.perf_counter() - began,
            clock.seconds,
            False,
            str(error),
        )
    seconds, network, spent = time.perf_counter() - began, clock.seconds, problem.evaluations
    if not torch.isfinite(seen[-1][1]).all():
        return Trace(spent, len(seen), [], seconds, network, False, "the path diverged")
    kept = seen[:: max(1, len(seen) // looks)]
    kept = [*kept, seen[-1]] if not kept or kept[-1] is not seen[-1] else kept
    lengths = [(count, length(_even(points, segments, problem.manifold))) for count, points in kept]
    if not math.isfinite(lengths[-1][1]):
        return Trace(spent, len(seen), [], seconds, network, False, "the path diverged")
    return Trace(spent, len(seen), lengths, seconds, network, made.converged)


def _even(points: Tensor, segments: int, manifold: Manifold) -> Tensor:
    return (
        points if len(points) == segments + 1 else manifold.projx(spline.resample(points, segments))
    )


class Stopwatch:
    """A score that knows how long it has taken."""

    def __init__(self, score: Score) -> None:
        self.score, self.seconds = score, 0.0
        self.model, self.field = score.model, score.field
        self.stochastic, self.curvature_bound = score.stochastic, score.curvature_bound
        self.at_level = score.at_level

    def __call__(self, x: Tensor, u: Tensor, rng_step: int | None = None) -> Tensor:
        began = time.perf_counter()
        found = self.score(x, u, rng_step)
        if found.is_cuda:
            torch.cuda.synchronize()
        self.seconds += time.perf_counter() - began
        return found
