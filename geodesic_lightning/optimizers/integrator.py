"""Integrators as optimizers: a step carries all shots of a fan to their next node.

The nodes ahead stand on the line or great circle along the present velocity, so that the path is
whole at every step: what is solved is bent, the rest is where it would go if nothing bent it.
Methods (shooting.py): rk4, fourth order, four calls of the score a step; strang, second order, one
call, for stiff or noisy fields.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.optim import Optimizer

from geodesic_lightning.errors import UserError
from geodesic_lightning.integrators.adaptive import advance, straight
from geodesic_lightning.integrators.geodesic_ode import METHODS, State, begin
from geodesic_lightning.problems.initial_value import Shot


def refuse_other_problems(problem: object, name: str) -> None:
    """Raise UserError where an integrator is given anything but a shot."""
    if not isinstance(problem, Shot):
        raise UserError(
            f"optimizer={name} shoots from one image: use it with solver=ivp, or give solver=bvp "
            "optimizer=semi_implicit."
        )


class Integrator(Optimizer):
    """One `step` is one segment of every shot.

    Args:
        parameters: the nodes of all paths of the shot.
        problem: the shot.
        segments: N of each path.
        method: rk4 or strang.
        turning: the most radians by which the density may turn a path in one step of the method;
            None for one step a segment.

    Attributes:
        report: node, turning, speed_drift, log_density of the first shot.
        finished, converged: all nodes have been reached.
    """

    def __init__(
        self,
        parameters,
        problem: Shot,
        segments: int,
        method: str = "rk4",
        turning: float | None = 0.5,
    ) -> None:
        if method not in METHODS:
            raise UserError(
                f"optimizer.method: got {method!r}, expected one of {', '.join(METHODS)}."
            )
        if turning is not None and not turning > 0:
            raise UserError(
                f"optimizer.turning: got {turning}, expected a number above 0, or null."
            )
        refuse_other_problems(problem, method)
        super().__init__(parameters, {})
        self.problem, self.segments, self.turning = problem, segments, turning
        self.method = METHODS[method]
        self.report: dict[str, float] = {}
        self._first = self.param_groups[0]["params"][0]
        self.state[self._first] = {"node": 0, "shots": None}

    @property
    def finished(self) -> bool:
        return self.state[self._first]["node"] >= self.segments

    converged = finished

    @property
    def evaluations_left(self) -> int | None:
        """Score evaluations to come, if the rest of the way is as hard as that gone; None before any."""
        node = self.state[self._first]["node"]
        spent = self.problem.problem.evaluations
        return round(spent / node * (self.segments - node)) if node else None

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor]) -> Tensor:  # type: ignore[override]
        """Carry all shots over one segment."""
        with torch.enable_grad():
            loss = closure()
        now, shot, segments = self.state[self._first], self.problem, self.segments
        before = (
            begin(*shot.medium.on_manifold(shot.start, shot.velocities))
            if now["shots"] is None
            else State(**now["shots"])
        )
        node = now["node"]
        span = torch.full_like(before.length, 1 / segments)
        after = advance(before, node * span, span, shot.medium, self.method, self.turning)
        node += 1
        points = shot.points()
        left = segments - node
        ahead = straight(after.x, after.v * left / segments, max(left, 1), shot.medium.manifold)[0]
        points[:, node:] = ahead[:, : left + 1]
        shot.draw(points)
        shot.reached = float(after.length[0])
        so_far = now.get("densities", before.log_density[:1])
        densities = torch.cat([so_far, after.log_density[:1]])
        shot.profile = torch.arange(node + 1) / segments, densities
        now.update(node=node, shots=after.tensors(), densities=densities)
        self.report = {
            "node": node,
            "turning": float(after.turning.max()) / segments,
            "speed_drift": float(after.drift.abs().max()),
            "log_density": float(after.log_density[0]),
        }
        return loss
