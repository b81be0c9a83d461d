"""How far a path got that did not converge, what stopped it, and the one setting to change for that.

iterations used up, the excess still falling     more iterations
it falls no longer, near the tolerance           a larger tolerance
the pieces do not resolve the path               more segments
it does not fall                                 a lower strength; of plain descent, a smaller step
no test of convergence                           an optimizer or a score that has one
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from geodesic_lightning.functional.quadrature import Measurement
from geodesic_lightning.optimizers.batched import Batched
from geodesic_lightning.optimizers.descent import Descent
from geodesic_lightning.optimizers.frechet_mean import FrechetMean
from geodesic_lightning.optimizers.integrator import Integrator
from geodesic_lightning.optimizers.paper import Paper
from geodesic_lightning.optimizers.picard import PicardSweeps
from geodesic_lightning.optimizers.semi_implicit import SemiImplicit
from geodesic_lightning.problems.boundary_value import Problem

FALLING = (
    0.7  # of the least excess of a level's first half: below it in the second half, it still falls
)
FEW = 8  # steps that show no trend
NEAR = 30  # times the tolerance: an excess below that is near it
RESOLVED = 0.01  # relative error of the length above which its pieces are too few
MORE = 4  # times the iterations, where they were too few


@dataclass(frozen=True)
class Shortfall:
    """Of a path that did not converge.

    Attributes:
        reached: how far it got, in words.
        reason: what stopped it.
        setting, value: what to change, as on the command line.
        optimizer: name of the class whose setting it may be.
    """

    reached: str
    reason: str
    setting: str
    value: str
    optimizer: str = "SemiImplicit"

    def __str__(self) -> str:
        return self._told(f"{self.setting}={self.value}")

    def in_python(self, simple: bool = True) -> str:
        """As `str`, the setting as the Python interface has it.

        Args:
            simple: the function called has a `tolerance` of its own, which is the optimizer's.
        """
        group, _, name = self.setting.rpartition(".")
        if self.setting == "optimizer":
            return self._told("optimizer=SemiImplicit")
        value = f'"{self.value}"' if self.value.isalpha() else self.value
        if group == "optimizer" and not (simple and name == "tolerance"):
            return self._told(f"optimizer=partial({self.optimizer}, {name}={value})")
        return self._told(f"{name}={value}")

    def _told(self, setting: str) -> str:
        return f"Not converged: {self.reason} ({self.reached}); try {setting}."


def of_path(
    made: Batched, problem: Problem, measured: Measurement, max_steps: int = -1
) -> Shortfall:
    """Of a path, or of legs, one of which at least has not converged.

    Args:
        made: the optimizer, as it ended.
        measured: the path as it was left.
        max_steps: the trainer's limit, -1 for none.
    """
    part: Any
    leg, part = next((leg, one) for leg, one in zip(problem.legs, made.parts) if not one.converged)
    foreseen = measured.predicted_excess
    if not math.isfinite(foreseen) and made.excesses:
        foreseen = made.excesses[-1]
    reached = how_far(measured, foreseen)

    def found(reason: str, setting: str, value: str) -> Shortfall:
        return Shortfall(reached, reason, setting, value, type(part).__name__)

    if not part.finished:
        return limited(reached, max_steps)
    if isinstance(part, Paper):
        return found("optimizer=paper has no test of convergence", "optimizer", "semi_implicit")
    if isinstance(part, SemiImplicit) and part.noisy:
        if problem.score.stochastic:
            return found("of a noisy score nobody can tell", "score.timestep_range", "[0,0]")
        return found("optimizer.mode=noisy has no test of convergence", "optimizer.mode", "auto")
    too_few_segments = found(
        f"{made.segments} segments are too few for this path",
        "solver.segments",
        f"{2 * made.segments}",
    )
    tolerance, iterations = getattr(part, "tolerance", 0.0), getattr(part, "iterations", 0)
    solved = 0 <= part.report.get("predicted_excess", math.nan) < tolerance
    if solved and leg.latest is not None and not part.resolves(leg.latest):
        return too_few_segments
    if falling(made.excesses):
        return found(
            f"{iterations} iterations were too few", "optimizer.iterations", f"{MORE * iterations}"
        )
    stuck = "the excess no longer falls"
    if tolerance and made.excesses[-1] < NEAR * tolerance:
        return found(stuck, "optimizer.tolerance", f"{decade(made.excesses[-1]):g}")
    if measured.length_error > RESOLVED * measured.length:
        return too_few_segments
    if isinstance(part, Descent):
        return found("its steps are too long", "optimizer.lr", f"{part.lr / 4:.2g}")
    bent, by = (problem.strength, "strength") if problem.by_strength else (problem.alpha, "alpha")
    return found(f"the density pulls too hard, {stuck}", f"solver.{by}", f"{bent / 2:.2g}")


def of_mean(made: FrechetMean, measured: Measurement, max_steps: int = -1) -> Shortfall:
    """Of a mean whose centre does not rest yet; arguments as for `of_path`."""
    reached = how_far(measured, measured.predicted_excess)
    if not made.finished:
        return limited(reached, max_steps)
    moved = "" if math.isnan(made.drift) else f" by {made.drift:.2g} of its distance"
    reason = f"after {made.rounds} rounds the mean still moved{moved}"
    return Shortfall(reached, reason, "solver.rounds", f"{MORE * made.rounds}")


def of_shot(
    made: Integrator | PicardSweeps, measured: Measurement, max_steps: int = -1
) -> Shortfall:
    """Of a shot whose nodes still move; arguments as for `of_path`."""
    reached = how_far(measured, math.nan)
    if isinstance(made, Integrator) or not made.finished:
        return limited(reached, max_steps)
    return Shortfall(
        reached,
        f"{made.iterations} sweeps were too few",
        "optimizer.iterations",
        f"{MORE * made.iterations}",
        "PicardSweeps",
    )


def limited(reached: str, max_steps: int) -> Shortfall:
    """Of a run that the trainer ended before its solver did."""
    limit = "the trainer's limit" if max_steps < 0 else f"trainer.max_steps={max_steps}"
    return Shortfall(reached, f"{limit} ended it", "trainer.max_steps", "-1")


def how_far(measured: Measurement, excess: float) -> str:
    """Residual and estimated excess of length of a path, in words."""
    turning = float(measured.turning.mean()) if len(measured.turning) else 0.0
    left = f"residual {turning:.2g} rad"
    if not math.isfinite(excess):
        return left
    part = f"{100 * excess:.2g}" if excess > 1e-5 else "under 0.001"
    return f"{left}, an estimated {part} % too long"


def falling(excesses: list[float]) -> bool:
    """Whether an excess still falls, so that more iterations bring it further down; assumed of FEW and less."""
    half = len(excesses) // 2
    return len(excesses) <= FEW or min(excesses[half:]) < FALLING * min(excesses[:half])


def decade(number: float) -> float:
    """The power of ten above a number > 0."""
    return 10.0 ** (math.floor(math.log10(number)) + 1)
