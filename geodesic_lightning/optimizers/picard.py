"""Parallel-in-time shooting as an optimizer: a step moves all nodes of all shots (picard.py).

Each step scores, in one batch, the nodes that have moved since they were last scored, and sweeps.
The path is solved when no node has: then another sweep would change nothing.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.optim import Optimizer

from geodesic_lightning.errors import UserError
from geodesic_lightning.integrators import picard
from geodesic_lightning.optimizers.integrator import refuse_other_problems
from geodesic_lightning.problems.initial_value import Shot


class Sweeps(Optimizer):
    """One `step` is one batched call of the score and one sweep.

    Args:
        parameters: the nodes of all paths of the shot.
        problem: the shot.
        segments: N of each path.
        tolerance: a node that moves by less than this part of its path's length stands still, > 0.
        iterations: the most sweeps.
        shift: c of the quasi-Newton sweep as a part of its bound α|v|²λ, where the score has a
            bound λ of its curvature; 0 is the plain Picard sweep.

    Attributes:
        report: iteration, moving (nodes), change (the longest move, as a part of the length),
            turning (the most between two nodes), log_density (of the first shot's end).
        converged: all nodes stand still.
    """

    def __init__(
        self,
        parameters,
        problem: Shot,
        segments: int,
        tolerance: float = 1e-4,
        iterations: int = 40,
        shift: float = 0.25,
    ) -> None:
        if not tolerance > 0:
            raise UserError(
                f"optimizer.tolerance: got {tolerance}, expected a number above 0 (1e-4, say)."
            )
        if not 0 <= shift <= 1:
            raise UserError(f"optimizer.shift: got {shift}, expected a number from 0 to 1.")
        refuse_other_problems(problem, "picard")
        if problem.medium.gauge != "euclidean":
            raise UserError(
                "optimizer=picard takes solver.gauge=euclidean: use rk4 or strang for the other."
            )
        super().__init__(parameters, {})
        self.problem, self.segments = problem, segments
        self.tolerance, self.iterations, self.shift = tolerance, iterations, shift
        self.report: dict[str, float] = {}
        self._first = self.param_groups[0]["params"][0]
        self.state[self._first] = {"iteration": 0, "still": False, "sheet": None}

    @property
    def converged(self) -> bool:
        return self.state[self._first]["still"]

    @property
    def finished(self) -> bool:
        return self.converged or self.state[self._first]["iteration"] >= self.iterations

    @property
    def evaluations_left(self) -> int:
        """The most score evaluations to come: nodes that stand still are not scored again."""
        sweeps = 0 if self.finished else self.iterations - self.state[self._first]["iteration"]
        return sweeps * len(self.problem.paths) * (self.segments + 1)

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor]) -> Tensor:  # type: ignore[override]
        """Score what has moved, and sweep."""
        with torch.enable_grad():
            loss = closure()
        now, shot = self.state[self._first], self.problem
        sheet = (
            picard.open_sheet(shot.start, shot.velocities, self.segments, shot.medium)
            if now["sheet"] is None
            else picard.Sheet(**now["sheet"])
        )
        sheet = picard.ask(sheet, picard.stale(sheet, self.tolerance), shot.medium)
        bound = shot.problem.score.curvature_bound or 0.0
        square = float(shot.velocities.square().sum(-1).max())
        sheet = picard.sweep(sheet, shot.medium, self.shift * shot.medium.alpha * square * bound)
        moving = picard.stale(sheet, self.tolerance)
        shot.draw(sheet.x)
        shot.reached = float(sheet.length[0])
        shot.profile = torch.linspace(0, 1, self.segments + 1), sheet.log_density[0]
        now.update(
            iteration=now["iteration"] + 1, still=not bool(moving.any()), sheet=sheet.tensors()
        )
        self.report = {
            "iteration": now["iteration"],
            "moving": int(moving.sum()),
            "change": float(picard.moved(sheet).max()),
            "turning": float(picard.turning_rate(sheet, shot.medium).max()) / self.segments,
            "log_density": float(sheet.log_density[0, -1]),
        }
        return loss
