"""One optimizer for several paths: each leg has its own, all are fed from one batch.

Legs between fixed keyframes do not see each other: the operator T splits into blocks, one a leg,
and so does everything else of a step. So each leg keeps the optimizer, the levels and the history
it would have alone; a leg that is done leaves the batch. When the last one is done the path's
corners are rounded (rounding).
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.optim import Optimizer

from geodesic_lightning.problems.boundary_value import Problem
from geodesic_lightning.problems.legs import LegsProblem


class _Begun(Exception):
    """Raised in place of an evaluation: an optimizer has prepared its path."""


class Together(Optimizer):
    """Steps all legs side by side; one `step` is one batched score evaluation of all legs that are
    not finished.

    Args:
        make: makes a leg's optimizer from (parameters, problem=, segments=).
        problem: the problem of all legs, which `closure` evaluates.
        segments: N of each leg.

    Attributes:
        sharp: the points of the solved legs before their corners were rounded, None before.
    """

    def __init__(self, make: Callable[..., Optimizer], problem: LegsProblem, segments: int) -> None:
        self.parts = [
            make([leg.path.nodes], problem=leg, segments=segments) for leg in problem.legs
        ]
        super().__init__([{"params": [leg.path.nodes]} for leg in problem.legs], {})
        self.problem, self.begun = problem, False
        self.report: dict[str, float] = {}
        self.sharp: Tensor | None = None

    @property
    def finished(self) -> bool:
        return all(part.finished for part in self.parts)

    @property
    def converged(self) -> bool:
        return all(part.converged for part in self.parts)

    @property
    def evaluations_left(self) -> int:
        """The most score evaluations to come."""
        return sum(part.evaluations_left for part in self.parts)

    def step(self, closure: Callable[[], Tensor]) -> Tensor:  # type: ignore[override]
        """Evaluate all legs by `closure`, then step each."""
        if self.finished:  # as a run that is resumed after its end is
            return closure()
        if not self.begun:
            self.begun = True
            for part in self.parts:
                _begin(part)
        self.problem.awake = [k for k, part in enumerate(self.parts) if not part.finished]
        loss = closure()
        for k in self.problem.awake:
            self.parts[k].step(lambda: loss)
        reports = [part.report for part in self.parts]
        self.report = {
            key: max(float(report.get(key, 0.0)) for report in reports) for key in reports[0]
        }
        self.report["legs_left"] = sum(not part.finished for part in self.parts)
        if self.finished:
            self._settle()
        return loss

    @torch.no_grad()
    def _settle(self) -> None:
        path = self.problem.path
        if hasattr(path, "round"):
            self.sharp = path.points()
            path.round()

    def state_dict(self) -> dict:
        """The state of every leg's optimizer."""
        return super().state_dict() | {
            "begun": self.begun,
            "sharp": self.sharp,
            "legs": [part.state_dict() for part in self.parts],
        }

    def load_state_dict(self, state_dict: dict) -> None:
        """The inverse of `state_dict`."""
        self.begun, self.sharp = state_dict["begun"], state_dict["sharp"]
        for part, saved in zip(self.parts, state_dict["legs"]):
            part.load_state_dict(saved)


def _begin(part: Optimizer) -> None:
    """Let an optimizer prepare its path: it does so in its first step, before it evaluates."""

    def ask() -> Tensor:
        raise _Begun

    try:
        part.step(ask)
    except _Begun:
        return


def optimizer_for(
    problem: Problem | LegsProblem, make: Callable[..., Optimizer], segments: int
) -> Optimizer:
    """The optimizer of a path's nodes, or of all its legs' nodes together."""
    if isinstance(problem, LegsProblem):
        return Together(make, problem, segments)
    return make([problem.path.nodes], problem=problem, segments=segments)
