"""Boundary value problem: bend the path between two ends until it is a geodesic of the density."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.optim import Optimizer

from geodesic_lightning.decoding.decoder import Decoder
from geodesic_lightning.errors import UserError
from geodesic_lightning.functional.alternatives import Functional
from geodesic_lightning.geometry.path import Path
from geodesic_lightning.optimizers.batched import optimizer_for
from geodesic_lightning.problems.boundary_value import Problem
from geodesic_lightning.problems.legs import Corners, LegsProblem, corners
from geodesic_lightning.score.estimator import Score
from geodesic_lightning.solvers.iterative import SteppingSolver


class BoundaryValueSolver(SteppingSolver):
    """Interpolation. A step scores all interior nodes in one batch; the optimizer bends them.

    The loss is the path's length; its gradient is set to −r, the residual of the discrete geodesic
    equation (length.residual), since only the score of the density is known.

    Args:
        path, score, decoder, alpha, frames: as for Solver.
        optimizer: makes the optimizer from (parameters, problem=, segments=).
        segments: N ≥ 2 of the final path.
    """

    name = "bvp"

    def __init__(
        self,
        path: Path,
        score: Score,
        decoder: Decoder,
        optimizer: Callable[..., Optimizer],
        alpha: float | None = None,
        segments: int = 16,
        frames: int = 17,
    ) -> None:
        super().__init__(path, score, decoder, alpha, segments, frames)
        self._make_optimizer = optimizer
        self.corners: Corners | None = None
        # What does not fit together is said before anything is computed.
        optimizer_for(self.problem, optimizer, segments)

    def bend_by(self, functional: Functional) -> None:
        if isinstance(self.problem, LegsProblem):
            raise UserError(
                f"functional={functional.name} is for a path between two images: give two, or "
                "functional=density."
            )
        optimizer = optimizer_for(self.problem, self._make_optimizer, self.segments)
        if not getattr(optimizer, "any_functional", False):
            raise UserError(
                f"functional={functional.name}: this optimizer is made for the density's own: choose "
                "optimizer=semi_implicit, gradient_descent, adam or lbfgs."
            )
        self.problem.functional = functional

    def configure_optimizers(self) -> Optimizer:
        return optimizer_for(self.problem, self._make_optimizer, self.segments)

    def on_fit_start(self) -> None:
        # What solving is compared with: the manifold's own geodesic between the ends.
        self.start = self.problem.measure(self.path.baseline(self.segments))
        super().on_fit_start()

    def on_fit_end(self) -> None:
        super().on_fit_end()
        sharp = getattr(self.optimizer, "sharp", None)
        self.corners = None if sharp is None else corners(self.problem, sharp)

    def training_step(self, batch, index: int) -> Tensor:
        self.problem.evaluate()
        return self.problem.surrogate()

    def scalars(self) -> dict[str, float]:
        latest = self.problem.latest
        return {
            "length": float(latest.action.length),
            "energy": float(latest.action.energy),
            "residual": float(latest.turning.mean()),
            "predicted_excess": latest.predicted_excess,
            "score_norm": float(latest.scores.norm(dim=-1).mean()),
            "score_evaluations": float(self.problem.evaluations),
        }

    def latest_densities(self) -> dict[str, tuple[Tensor, Tensor]]:
        latest = self.problem.latest
        return {} if latest is None else {"path": (latest.u, latest.action.log_density)}

    def summary(self) -> dict:
        found = super().summary()
        if (bent_by := getattr(self.problem, "functional", None)) is not None:
            found["functional"] = bent_by.name
        if self.corners is not None:
            found["keyframes"] = {
                "u": self.path.keyframe_places,
                "corners_degrees": [math.degrees(angle) for angle in self.corners.angles],
                "rounding": self.path.rounding,
                "length_with_corners": self.corners.length,
                "cost_of_rounding": found["length"] / self.corners.length - 1,
            }
        return found


@torch.no_grad()
def solve(
    problem: Problem | LegsProblem, optimizer: Callable[..., Optimizer], segments: int = 16
) -> Optimizer:
    """The solver's loop without a Trainer: step until finished, return the optimizer."""
    made = optimizer_for(problem, optimizer, segments)

    def closure() -> Tensor:
        problem.evaluate()
        return problem.point_gradients()

    while not made.finished:
        made.step(closure)
    return made
