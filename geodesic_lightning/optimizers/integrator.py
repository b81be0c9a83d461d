"""Integrators as optimizers: a step carries all shots of a fan to their next node.

The nodes ahead stand on the line or great circle along the present velocity, so that the path is
whole at every step: what is solved is bent, the rest is where it would go if nothing bent it.
Methods (geodesic_ode.py): rk4, fourth order, four calls of the score a step; strang, second order, one
call, for stiff or noisy fields.
"""

from typing import Any

import torch
from torch import Tensor

from geodesic_lightning.errors import UserError
from geodesic_lightning.integrators.adaptive import advance, straight
from geodesic_lightning.integrators.floor import kept_above
from geodesic_lightning.integrators.geodesic_ode import METHODS, State, begin
from geodesic_lightning.optimizers.base import Steps
from geodesic_lightning.problems.initial_value import InitialValueProblem


def refuse_other_problems(problem: object, name: str) -> None:
    """Raise UserError where an integrator is given anything but an initial value problem."""
    if not isinstance(problem, InitialValueProblem):
        raise UserError(
            f"optimizer={name} shoots from one image: use it with solver=ivp, or give solver=bvp "
            "optimizer=semi_implicit."
        )


class Integrator(Steps):
    """One `step` is one segment of every path.

    Args:
        problem: whose paths are drawn on.
        segments: N of each path.
        method: rk4 or strang.
        turning: the most radians by which the density may turn a path in one step of the method;
            None for one step a segment.

    Attributes:
        report: node, turning, speed_drift, log_density of the first path.
        finished, converged: all nodes have been reached.

    Raises:
        UserError: a setting is out of its range, or the problem is no initial value problem.
    """

    def __init__(
        self,
        problem: InitialValueProblem,
        segments: int,
        method: str = "rk4",
        turning: float | None = 0.5,
    ) -> None:
        super().__init__()
        if method not in METHODS:
            raise UserError(
                f"optimizer.method: got {method!r}, expected one of {', '.join(METHODS)}."
            )
        if turning is not None and not turning > 0:
            raise UserError(
                f"optimizer.turning: got {turning}, expected a number above 0, or null."
            )
        refuse_other_problems(problem, method)
        self.problem, self.segments, self.turning = problem, segments, turning
        self.method = METHODS[method]
        self._now = {"node": 0, "shots": None, "densities": None}

    @property
    def finished(self) -> bool:
        return self._now["node"] >= self.segments

    @property
    def converged(self) -> bool:
        return self.finished

    @property
    def evaluations_left(self) -> int | None:
        """Score evaluations to come, if the rest of the way is as hard as that gone; None before any."""
        node, spent = self._now["node"], self.problem.evaluations
        return round(spent / node * (self.segments - node)) if node else None

    @property
    def _like(self) -> Tensor:
        return self.problem.start

    @torch.no_grad()
    def step(self, problem: InitialValueProblem) -> None:
        """Carry all paths over one segment."""
        now, segments, medium = self._now, self.segments, problem.medium
        before = (
            begin(*medium.on_manifold(problem.start, problem.velocities))
            if now["shots"] is None
            else State(**now["shots"])
        )
        node = now["node"]
        span = torch.full_like(before.length, 1 / segments)
        after = advance(before, node * span, span, medium, self.method, self.turning)
        node += 1
        if problem.floor is not None:
            after = kept_above(after, node * span, span, medium, problem.floor)
        points = problem.points()
        left = segments - node
        ahead = straight(after.x, after.v * left / segments, max(left, 1), medium.manifold)[0]
        points[:, node:] = ahead[:, : left + 1]
        problem.set_points(points)
        so_far = before.log_density[:1] if now["densities"] is None else now["densities"]
        densities = torch.cat([so_far, after.log_density[:1]])
        problem.reached = float(after.length[0])
        problem.profile = torch.arange(node + 1) / segments, densities
        now.update(node=node, shots=after.tensors(), densities=densities)
        self.report = {
            "node": node,
            "turning": float(after.turning.max()) / segments,
            "speed_drift": float(after.drift.abs().max()),
            "log_density": float(after.log_density[0]),
        }

    def _of_former_version(self, state: dict[str, Any]) -> dict[str, Any]:
        return {"densities": None} | super()._of_former_version(state)
