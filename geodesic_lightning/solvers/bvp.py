"""Boundary value problem: bend the path between two ends until it is a geodesic of the density."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor

from geodesic_lightning.errors import UserError
from geodesic_lightning.functional.length import DensityLength
from geodesic_lightning.geometry.piecewise_path import PiecewisePath
from geodesic_lightning.optimizers.batched import Batched
from geodesic_lightning.problems.boundary_value import Corners, Problem, corners
from geodesic_lightning.problems.evaluation import Evaluation
from geodesic_lightning.protocols import AnyPath, Decoder, Functional, MakeOptimizer, Score
from geodesic_lightning.solvers import shortfall
from geodesic_lightning.solvers.base import MOST, exponent
from geodesic_lightning.solvers.iterative import IterativeSolver
from geodesic_lightning.solvers.shortfall import Shortfall

CLEARLY = 0.9  # of the first length: a path whose last look was below is not measured to be compared with it


class BoundaryValueSolver(IterativeSolver):
    """Interpolation. A step scores the interior nodes of all legs in one batch; the optimizer bends them.

    Args:
        path: two ends and its manifold, or several legs; each is cut into `segments` pieces.
        score: the estimator of ∇log p.
        decoder: shows the path.
        optimizer: makes a leg's optimizer from (path, segments=).
        alpha: α ≥ 0, the density exponent; None lets it follow from the strength.
        strength: κ ≥ 0, the angle in radians by which the density asks the straightest way to turn
            (functional/strength.py); None is its default, unless the model has an α of its own.
        segments: N ≥ 2 of the final path, of each leg.
        frames: images of the film.
        functional: what is bent to its least; the density's length if not given.
        rest: as for Solver.

    Raises:
        UserError: parts do not fit together.
    """

    problem: Problem
    name = "bvp"
    bends = True

    def __init__(
        self,
        path: AnyPath,
        score: Score,
        decoder: Decoder,
        optimizer: MakeOptimizer,
        alpha: float | None = None,
        strength: float | None = None,
        segments: int = 16,
        frames: int = 17,
        functional: Functional | None = None,
        **rest: Any,
    ) -> None:
        functional = functional or DensityLength()
        if len(path.legs) > 1 and not isinstance(functional, DensityLength):
            raise UserError(
                f"functional={functional.name} is for a path between two images: give two, or "
                "functional=density."
            )
        problem = Problem(path, score, exponent(score, alpha, strength), functional)
        super().__init__(problem, decoder, segments, frames, functional, **rest)
        path.set_nodes(path.baseline(segments)[1:-1])
        self._make_leg_optimizer = optimizer
        self.corners: Corners | None = None
        self._first: Tensor | None = None
        self.make_optimizer()  # what does not fit together is said before anything is computed

    def make_optimizer(self) -> Batched:
        return Batched(self._make_leg_optimizer, self.problem, self.segments)

    def evaluate(self) -> Evaluation:
        return self.problem.evaluate(self.optimizer.awake or None)

    @property
    def optimizer(self) -> Batched:
        made = super().optimizer
        assert isinstance(made, Batched)
        return made

    @property
    def shortfall(self) -> Shortfall | None:
        if self.converged or not self.stepped or self.measurement is None:
            return None
        limit = self.trainer.max_steps
        return shortfall.of_path(self.optimizer, self.problem, self.measurement, limit)

    def on_fit_start(self) -> None:
        # What solving is compared with: the manifold's own geodesic between the ends.
        self.problem.score_ends()
        with self.stages.at("measure"):
            self.start = self.problem.measure(self.path.baseline(self.segments))

    def on_fit_end(self) -> None:
        self._end_no_longer_than_it_began()
        sharp = self.optimizer.sharp
        with self.stages.at("measure"):
            self.corners = None if sharp is None else corners(self.problem, sharp)

    def _end_no_longer_than_it_began(self) -> None:
        """Where nothing has converged, put a path that is longer than the manifold's own geodesic back to it."""
        latest, start = self.problem.latest, self.start
        shortens = all(getattr(part, "shortens", False) for part in self.optimizer.parts)
        if not self.finished or self.converged or not shortens or latest is None or start is None:
            return
        if float(latest.action.length) < CLEARLY * start.length:
            return
        with self.stages.at("measure"):
            longer = not self.problem.measure().length <= start.length
        if longer:
            self.path.set_nodes(self.path.baseline(self.segments)[1:-1])

    def start_film(self, count: int | None = None, most: int = MOST) -> Tensor | None:
        if self._first is None:
            path = copy.deepcopy(self.path)
            path.set_nodes(path.baseline(path.legs[0].segments)[1:-1])
            if count is None:
                self._first = self.sketch_of(path, most)
            else:
                with self.stages.at("show"):
                    self._first = self.decoder(path, torch.linspace(0, 1, count))
        return self._first

    def scalars(self) -> dict[str, float]:
        latest = self.problem.latest
        assert latest is not None
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

    def _problem_state(self) -> dict[str, Any]:
        return self.problem.state_dict(self.optimizer.awake)

    def summary(self) -> dict[str, Any]:
        found = super().summary() | {"functional": self.problem.functional.name}
        if self.corners is not None and isinstance(self.path, PiecewisePath):
            found["keyframes"] = {
                "u": self.path.keyframe_places,
                "corners_degrees": [math.degrees(angle) for angle in self.corners.angles],
                "rounding": self.path.rounding,
                "length_with_corners": self.corners.length,
                "cost_of_rounding": found["length"] / self.corners.length - 1,
            }
        return found
