"""One optimizer for all legs of a problem: each leg has its own, all are fed from one batch.

Legs between fixed keyframes do not see each other: the operator T splits into blocks, one a leg,
and so does everything else of a step. So each leg keeps the optimizer, the levels and the history
it would have alone; a leg that is done leaves the batch. When the last one is done the path's
corners, if it has any, are rounded (corner_rounding).
"""

from typing import Any

import torch
from torch import Tensor

from geodesic_lightning.problems.boundary_value import Problem
from geodesic_lightning.problems.evaluation import Evaluation
from geodesic_lightning.protocols import MakeOptimizer, PathOptimizer


class Batched:
    """Steps all legs side by side; one `step` is one batched score evaluation of all that are not finished.

    Args:
        make: makes a leg's optimizer from (path, segments=).
        problem: whose legs move.
        segments: N of each leg.

    Attributes:
        parts: the optimizer of each leg.
        report: the largest of each scalar of the legs; of several also legs_left.
        excesses: the largest predicted excess of the legs after each step on the finest level.
        sharp: the points of the solved legs before their corners were rounded; None before, and
            where there are none.

    Raises:
        UserError: the optimizer cannot bend by the problem's functional.
    """

    def __init__(self, make: MakeOptimizer, problem: Problem, segments: int) -> None:
        self.path = problem.path
        self.segments = segments
        self.parts: list[PathOptimizer] = [
            make(leg, segments=segments) for leg in problem.path.legs
        ]
        for part in self.parts:
            part.check(problem.alpha, problem.functional)
        self.report: dict[str, float] = {}
        self.excesses: list[float] = []
        self.sharp: Tensor | None = None

    @property
    def awake(self) -> list[int]:
        """Numbers of the legs that are not finished."""
        return [k for k, part in enumerate(self.parts) if not part.finished]

    @property
    def finished(self) -> bool:
        """All legs are."""
        return all(part.finished for part in self.parts)

    @property
    def converged(self) -> bool:
        """All legs have."""
        return all(part.converged for part in self.parts)

    @property
    def evaluations_left(self) -> int | None:
        """The most score evaluations to come; None where a leg cannot say."""
        known = [part.evaluations_left for part in self.parts]
        left = [one for one in known if one is not None]
        return sum(left) if len(left) == len(known) else None

    def prepare(self) -> None:
        """Put all legs as their first evaluation wants them."""
        for part in self.parts:
            part.prepare()

    def step(self, evaluation: Evaluation) -> None:
        """Step every leg that is not finished."""
        if self.finished:  # as in a run that is resumed after its end
            return
        for k in self.awake:
            self.parts[k].step(evaluation.legs[k])
        reports = [part.report for part in self.parts]
        self.report = {key: max(one.get(key, 0.0) for one in reports) for key in reports[0]}
        if self.report.get("level") == self.segments and "predicted_excess" in self.report:
            self.excesses.append(float(self.report["predicted_excess"]))
        if len(self.parts) > 1:
            self.report["legs_left"] = len(self.awake)
        if self.finished:
            with torch.no_grad():
                self.sharp = self.path.round()

    def state_dict(self) -> dict[str, Any]:
        """The state of every leg's optimizer."""
        parts = [part.state_dict() for part in self.parts]
        return {"sharp": self.sharp, "parts": parts, "excesses": list(self.excesses)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`; states of version 0.1 are read too.

        Raises:
            ValueError: the state is another optimizer's, or of another number of legs.
        """
        if "parts" not in state:
            state = {"sharp": state.get("sharp"), "parts": state.get("legs", [state])}
        for part, saved in zip(self.parts, state["parts"], strict=True):
            part.load_state_dict(saved)
        self.sharp = state["sharp"]
        self.excesses = list(state.get("excesses", []))  # earlier releases kept none
