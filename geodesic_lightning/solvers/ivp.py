"""Initial value problem: from one image on, along a velocity, as geodesics of the density go."""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from geodesic_lightning.decoding.decoder import Decoder
from geodesic_lightning.errors import UserError
from geodesic_lightning.functional.quadrature import Measurement
from geodesic_lightning.geometry.path import Manifold, Path
from geodesic_lightning.integrators.adaptive import straight
from geodesic_lightning.integrators.initial_velocity import Along, Launch
from geodesic_lightning.optimizers.integrator import Integrator
from geodesic_lightning.optimizers.picard import Sweeps
from geodesic_lightning.problems.boundary_value import Problem
from geodesic_lightning.problems.initial_value import Shot
from geodesic_lightning.score.condition import Condition
from geodesic_lightning.score.estimator import Score
from geodesic_lightning.solvers.iterative import SteppingSolver


class InitialValueSolver(SteppingSolver):
    """Extrapolation. Its parameters are the nodes of its path, and of the rest of the fan if any.

    A training step is one step of the integrator that moves them. The loss is the length gone so
    far, and has no gradient: an integrator solves, it does not descend.

    Args:
        launch: start, directions and unit of length.
        manifold: of the path.
        condition: prompts along the frames.
        score: makes the score from a condition.
        decoder: makes the decoder from a condition.
        optimizer: makes the integrator from (parameters, problem=, segments=).
        alpha: as for Solver; None takes that of the path which the shot goes on from, if any.
        segments, frames: as for Solver.
        length: how far, in units of the launch; negative the other way.
        gauge: of the integration: euclidean, or metric; then length is in the metric too, relative
            to p(start) = 1.

    Attributes:
        others: the rest of the fan.
        fan: measurements of the path and of the others, after validation.
        moving: names of the buffers that solving moves: the paths' ends.
    """

    name = "ivp"

    def __init__(
        self,
        launch: Launch,
        manifold: Manifold,
        condition: Condition,
        score: Callable[[Along], Score],
        decoder: Callable[[Along], Decoder],
        optimizer: Callable[..., Optimizer],
        alpha: float | None = None,
        length: float = 1.0,
        segments: int = 16,
        frames: int = 17,
        gauge: str = "euclidean",
    ) -> None:
        if length == 0 or not abs(length) < float("inf"):
            raise UserError(f"solver.length: got {length}, expected a number other than 0.")
        if segments < 2:
            raise UserError(f"solver.segments: got {segments}, expected at least 2.")
        along = Along(condition, launch.prompt, launch.prompt_rate * length)
        velocities = length * launch.unit * launch.directions
        start = launch.start.flatten().expand_as(velocities)
        at_first = straight(start, velocities, segments, manifold)[0]
        # A path is made between its first two nodes, which are never antipodal, and drawn after.
        paths = [Path(launch.start, p[1].reshape(launch.start.shape), manifold) for p in at_first]
        # A geodesic goes on only under the same α.
        alpha = launch.alpha if alpha is None else alpha
        super().__init__(paths[0], score(along), decoder(along), alpha, segments, frames)
        self.others = nn.ModuleList(paths[1:])
        self.moving = {name for name, _ in self.named_buffers() if name.endswith(".end")}
        self.launch, self.length, self.gauge = launch, length, gauge
        self.shot = Shot(cast(Problem, self.problem), paths[1:], velocities, gauge)
        self.shot.draw(at_first)
        self.fan: list[Measurement] = []
        self._make_optimizer = optimizer
        # What does not fit together is said before anything is computed.
        self._made(optimizer)

    def _made(self, optimizer: Callable[..., Optimizer]) -> Optimizer:
        nodes = [path.nodes for path in self.shot.paths]
        try:
            made = optimizer(nodes, problem=self.shot, segments=self.segments)
        except AttributeError:
            made = None
        if not isinstance(made, Integrator | Sweeps):
            raise UserError(
                "optimizer: solver=ivp shoots, and wants one of rk4, strang, picard; the others "
                "bend a path between two ends."
            )
        return made

    def configure_optimizers(self) -> Optimizer:
        return self._made(self._make_optimizer)

    def on_fit_start(self) -> None:
        # What shooting is compared with: the line or great circle with the same velocity.
        self.start = self.problem.measure(self.shot.unbent(self.segments)[0])
        super().on_fit_start()

    def on_fit_end(self) -> None:
        super().on_fit_end()
        if self.gauge == "metric" and self.finished:
            # Nodes came at equal distances in the metric; a path has them at equal distances.
            for path in self.shot.paths:
                path.refine(self.segments)

    def training_step(self, batch, index: int) -> Tensor:
        still = torch.stack([0.0 * path.nodes.sum() for path in self.shot.paths])
        return self.shot.reached + still.sum()

    def scalars(self) -> dict[str, float]:
        return {
            "length": self.shot.reached,
            "score_evaluations": float(self.problem.evaluations),
            "score_calls": float(self.problem.draw),
        }

    def latest_densities(self) -> dict[str, tuple[Tensor, Tensor]]:
        return {} if self.shot.profile is None else {"path": self.shot.profile}

    def validation_step(self, batch, index: int) -> None:
        super().validation_step(batch, index)
        score, alpha = self.problem.score, self.problem.alpha
        rest = [Problem(path, score, alpha).measure() for path in self.shot.paths[1:]]
        self.fan = [cast(Measurement, self.measurement), *rest]

    def fan_frames(self, count: int) -> Tensor:
        """Images (n, count, 3, H, W) in [0, 1] of all paths of the fan, at even u."""
        u = torch.linspace(0, 1, count)
        return torch.stack([self.decoder(path, u) for path in self.shot.paths])

    def summary(self) -> dict:
        return super().summary() | {
            "score_calls": self.problem.draw,
            "shot": {
                "length": self.length,
                "unit": self.launch.unit,
                "distance": abs(self.length) * self.launch.unit,
                "gauge": self.gauge,
                "fan": [
                    {
                        "length": m.length,
                        "log_density_end": float(m.log_density[-1]),
                        "log_density_error": m.log_density_error,
                        "turning": float(m.turning.mean()),
                    }
                    for m in self.fan
                ],
            },
        }
