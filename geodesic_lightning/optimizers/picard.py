"""Parallel-in-time shooting as an optimizer: a step moves all nodes of all shots (picard.py).

Each step scores, in one batch, the nodes that have moved since they were last scored, and sweeps.
The path is solved when no node has: then another sweep would change nothing.
"""

import torch
from torch import Tensor

from geodesic_lightning.errors import UserError
from geodesic_lightning.integrators import picard
from geodesic_lightning.optimizers.base import Steps
from geodesic_lightning.optimizers.integrator import refuse_other_problems
from geodesic_lightning.problems.initial_value import InitialValueProblem


class PicardSweeps(Steps):
    """One `step` is one batched call of the score and one sweep.

    Args:
        problem: whose paths are moved.
        segments: N of each path.
        tolerance: a node that moves by less than this part of its path's length stands still, > 0.
        iterations: the most sweeps.
        shift: c of the quasi-Newton sweep as a part of its bound α|v|²λ, where the score has a
            bound λ of its curvature; 0 is the plain Picard sweep.

    Attributes:
        report: iteration, moving (nodes), change (the longest move, as a part of the length),
            turning (the most between two nodes), log_density (of the first path's end).
        converged: all nodes stand still.

    Raises:
        UserError: a setting is out of its range, or the problem is no initial value problem.
    """

    def __init__(
        self,
        problem: InitialValueProblem,
        segments: int,
        tolerance: float = 1e-4,
        iterations: int = 40,
        shift: float = 0.25,
    ) -> None:
        super().__init__()
        if not tolerance > 0:
            raise UserError(
                f"optimizer.tolerance: got {tolerance}, expected a number above 0 (1e-4, say)."
            )
        if not 0 <= shift <= 1:
            raise UserError(f"optimizer.shift: got {shift}, expected a number from 0 to 1.")
        refuse_other_problems(problem, "picard")
        if problem.medium.parametrization != "euclidean":
            raise UserError(
                "optimizer=picard takes solver.gauge=euclidean: use rk4 or strang for the other."
            )
        if problem.floor is not None:
            raise UserError(
                "optimizer=picard takes solver.floor=null: use rk4 or strang, which know where a shot is low."
            )
        self.problem, self.segments = problem, segments
        self.tolerance, self.iterations, self.shift = tolerance, iterations, shift
        self._now = {"iteration": 0, "still": False, "sheet": None}

    @property
    def converged(self) -> bool:
        return self._now["still"]

    @property
    def finished(self) -> bool:
        return self.converged or self._now["iteration"] >= self.iterations

    @property
    def evaluations_left(self) -> int:
        """The most score evaluations to come: nodes that stand still are not scored again."""
        sweeps = 0 if self.finished else self.iterations - self._now["iteration"]
        return sweeps * len(self.problem.paths) * (self.segments + 1)

    @property
    def _like(self) -> Tensor:
        return self.problem.start

    @torch.no_grad()
    def step(self, problem: InitialValueProblem) -> None:
        """Score what has moved, and sweep."""
        now, medium = self._now, problem.medium
        sheet = (
            picard.open_sheet(problem.start, problem.velocities, self.segments, medium)
            if now["sheet"] is None
            else picard.Sheet(**now["sheet"])
        )
        sheet = picard.ask(sheet, picard.stale(sheet, self.tolerance), medium)
        bound = problem.score.curvature_bound or 0.0
        square = float(problem.velocities.square().sum(-1).max())
        sheet = picard.sweep(sheet, medium, self.shift * medium.alpha * square * bound)
        moving = picard.stale(sheet, self.tolerance)
        problem.set_points(sheet.x)
        problem.reached = float(sheet.length[0])
        problem.profile = torch.linspace(0, 1, self.segments + 1), sheet.log_density[0]
        now.update(
            iteration=now["iteration"] + 1, still=not bool(moving.any()), sheet=sheet.tensors()
        )
        self.report = {
            "iteration": now["iteration"],
            "moving": int(moving.sum()),
            "change": float(picard.moved(sheet).max()),
            "turning": float(picard.turning_rate(sheet, medium).max()) / self.segments,
            "log_density": float(sheet.log_density[0, -1]),
        }
