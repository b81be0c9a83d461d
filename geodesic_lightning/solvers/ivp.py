"""Initial value problem: from one image on, along a velocity, as geodesics of the density go."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from geodesic_lightning.errors import UserError
from geodesic_lightning.functional.quadrature import Measurement
from geodesic_lightning.geometry.path import Path
from geodesic_lightning.integrators.adaptive import straight
from geodesic_lightning.integrators.floor import TRUSTED, trusted
from geodesic_lightning.integrators.initial_velocity import Along, Launch
from geodesic_lightning.optimizers.integrator import Integrator
from geodesic_lightning.optimizers.picard import PicardSweeps
from geodesic_lightning.problems.initial_value import InitialValueProblem
from geodesic_lightning.protocols import Decoder, Manifold, Score
from geodesic_lightning.score.condition import Condition
from geodesic_lightning.solvers import shortfall
from geodesic_lightning.solvers.base import check_counts, exponent
from geodesic_lightning.solvers.iterative import IterativeSolver
from geodesic_lightning.solvers.shortfall import Shortfall

log = logging.getLogger("geodesic_lightning")


class InitialValueSolver(IterativeSolver):
    """Extrapolation. Its parameters are the nodes of its path, and of the rest of the fan if any.

    A training step is one step of the integrator that moves them.

    Args:
        launch: start, directions and unit of length.
        manifold: of the path.
        condition: prompts along the frames.
        score: makes the score from a condition.
        decoder: makes the decoder from a condition.
        optimizer: makes the integrator from (problem, segments=).
        alpha, strength: as for BoundaryValueSolver, of the unbent shot; without either α is that of
            the path which the shot goes on from, if any.
        segments, frames: as for Solver.
        length: how far, in units of the launch; negative the other way.
        gauge: of the integration: euclidean, or metric; then length is in the metric too, relative
            to p(start) = 1.
        floor: in standard deviations of log p, √(d/2) nats above the start: what no path is let fall
            below (integrators/floor.py); None: free geodesics.
        rest: as for Solver.

    Attributes:
        others: the rest of the fan.
        fan: measurements of the path and of the others, after validation.

    Raises:
        UserError: parts do not fit together.
    """

    problem: InitialValueProblem
    name = "ivp"

    def __init__(
        self,
        launch: Launch,
        manifold: Manifold,
        condition: Condition,
        score: Callable[[Along], Score],
        decoder: Callable[[Along], Decoder],
        optimizer: Callable[..., Integrator | PicardSweeps],
        alpha: float | None = None,
        strength: float | None = None,
        length: float = 1.0,
        segments: int = 16,
        frames: int = 17,
        gauge: str = "euclidean",
        floor: float | None = None,
        **rest: Any,
    ) -> None:
        if length == 0 or not abs(length) < float("inf"):
            raise UserError(f"solver.length: got {length}, expected a number other than 0.")
        check_counts(segments, frames)
        along = Along(condition, launch.prompt, launch.prompt_rate * length)
        velocities = length * launch.unit * launch.directions
        start = launch.start.flatten().expand_as(velocities)
        at_first = straight(start, velocities, segments, manifold)[0]
        # A path is made between its first two nodes, which are never antipodal, and drawn after.
        paths = [Path(launch.start, p[1].reshape(launch.start.shape), manifold) for p in at_first]
        # A geodesic goes on only under the same α.
        estimate = score(along)
        bends = exponent(estimate, alpha, strength, launch.alpha)
        problem = InitialValueProblem(paths, estimate, bends, velocities, gauge, floor)
        super().__init__(problem, decoder(along), segments, frames, **rest)
        self.others = nn.ModuleList(paths[1:])
        self.moving = tuple(name for name, _ in self.named_buffers() if name.endswith(".end"))
        self.launch, self.length, self.gauge, self.floor = launch, length, gauge, floor
        problem.set_points(at_first)
        self.fan: list[Measurement] = []
        self._make_integrator = optimizer
        self.make_optimizer()  # what does not fit together is said before anything is computed

    @property
    def start_name(self) -> str:
        """What solving begins with: the way on that nothing bends."""
        return f"start ({self.path.manifold.line} on)"

    def make_optimizer(self) -> Integrator | PicardSweeps:
        return self._make_integrator(self.problem, segments=self.segments)

    def evaluate(self) -> InitialValueProblem:
        return self.problem

    @property
    def shortfall(self) -> Shortfall | None:
        if self.converged or not self.stepped or self.measurement is None:
            return None
        return shortfall.of_shot(self.optimizer, self.measurement, self.trainer.max_steps)

    @property
    def optimizer(self) -> Integrator | PicardSweeps:
        made = super().optimizer
        assert isinstance(made, Integrator | PicardSweeps)
        return made

    def on_fit_start(self) -> None:
        # What shooting is compared with: the line or great circle with the same velocity.
        with self.stages.at("measure"):
            self.start = self.problem.measure(self.problem.unbent(self.segments)[0])

    def on_fit_end(self) -> None:
        if self.gauge == "metric" and self.finished:
            # Nodes came at equal distances in the metric; a path has them at equal distances.
            for path in self.problem.paths:
                path.refine(self.segments)

    def scalars(self) -> dict[str, float]:
        return {
            "length": self.problem.reached,
            "score_evaluations": float(self.problem.evaluations),
            "score_calls": float(self.problem.calls),
        }

    def latest_densities(self) -> dict[str, tuple[Tensor, Tensor]]:
        return {} if self.problem.profile is None else {"path": self.problem.profile}

    def validation_step(self, batch: object, index: int) -> None:
        super().validation_step(batch, index)
        assert self.measurement is not None
        self.fan = [self.measurement, *self.problem.measure_others()]
        far = self.trusted
        if far is not None and far < abs(self.length) and self.decoder.given is not None:
            log.warning(
                "From %.2g of its length %g on, the shot's log density is %g standard deviations and more below its "
                "start's, where frames tend to dissolve; solver.floor=6 keeps it where pictures are.",
                *(far, abs(self.length), TRUSTED),
            )

    def fan_frames(self, count: int) -> Tensor:
        """Images (n, count, 3, H, W) in [0, 1] of all paths of the fan, at even u."""
        u = torch.linspace(0, 1, count)
        with self.stages.at("decode"):
            others = [self.decoder(path, u) for path in self.problem.paths[1:]]
            return torch.stack([self.images(u), *others])

    @property
    def trusted(self) -> float | None:
        """How far the shot can be trusted, in units of the launch; None before it is measured, or with a floor.

        Up to where log p has fallen by three standard deviations: beyond, frames are likely to dissolve.
        """
        if not self.fan or self.floor is not None:
            return None
        first = self.fan[0].log_density
        return abs(self.length) * trusted(first, self.launch.start.numel())

    def summary(self) -> dict[str, Any]:
        return super().summary() | {
            "score_calls": self.problem.calls,
            "shot": {
                "length": self.length,
                "unit": self.launch.unit,
                "distance": abs(self.length) * self.launch.unit,
                "gauge": self.gauge,
                "floor": self.floor,
                "trusted": self.trusted,
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
