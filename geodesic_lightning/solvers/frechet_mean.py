"""The mean of several images: where squared distances to them, in the metric, sum to least."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from geodesic_lightning.decoding.decoder import Decoder
from geodesic_lightning.functional.quadrature import Measurement
from geodesic_lightning.geometry.star_path import StarPath
from geodesic_lightning.optimizers.frechet_mean import FrechetMean
from geodesic_lightning.problems.boundary_value import Problem
from geodesic_lightning.problems.evaluation import Evaluation
from geodesic_lightning.protocols import MakeOptimizer, Score
from geodesic_lightning.solvers import layouts, shortfall
from geodesic_lightning.solvers.base import exponent
from geodesic_lightning.solvers.iterative import IterativeSolver
from geodesic_lightning.solvers.shortfall import Shortfall


class MeanSolver(IterativeSolver):
    """A training step scores the nodes of all legs, from every image to the centre, in one batch.

    Args:
        path: legs from the images to a common centre.
        score, decoder, alpha, strength, optimizer: as for BoundaryValueSolver.
        segments: N of each leg.
        frames: images of the film, which goes from each image to the mean in turn.
        tolerance: of the centre: the mean velocity as a part of the mean distance, > 0.
        rounds: the most moves of the centre.
        rest: as for Solver.

    Attributes:
        measurements: of every leg, from its image to the mean, after validation.
        start_measurements: of the legs that solving began from, to their first centre.
    """

    problem: Problem
    path: StarPath
    decoder: Decoder
    name = "mean"
    joins_images = False
    layout = staticmethod(layouts.star)

    def __init__(
        self,
        path: StarPath,
        score: Score,
        decoder: Decoder,
        optimizer: MakeOptimizer,
        alpha: float | None = None,
        strength: float | None = None,
        segments: int = 8,
        frames: int = 17,
        tolerance: float = 1e-3,
        rounds: int = 30,
        **rest: Any,
    ) -> None:
        problem = Problem(path, score, exponent(score, alpha, strength))
        super().__init__(problem, decoder, segments, frames, **rest)
        path.set_nodes(path.baseline(segments)[1:-1])
        # Buffers that solving moves: every leg's copy of the centre.
        self.moving = tuple(f"path.legs.{k}.end" for k in range(len(path.legs)))
        self._make_leg_optimizer, self._limits = optimizer, (tolerance, rounds)
        self.make_optimizer()  # what does not fit together is said before anything is computed
        self.measurements: list[Measurement] = []
        self.start_measurements: list[Measurement] = []
        # Kept: a resumed run's centre is no longer where solving began.
        self._first = [leg.points() for leg in path.legs]

    def make_optimizer(self) -> FrechetMean:
        return FrechetMean(self._make_leg_optimizer, self.problem, self.segments, *self._limits)

    def evaluate(self) -> Evaluation:
        return self.problem.evaluate(self.optimizer.awake or None)

    @property
    def optimizer(self) -> FrechetMean:
        made = super().optimizer
        assert isinstance(made, FrechetMean)
        return made

    def on_fit_start(self) -> None:
        # What solving is compared with: the manifold's own geodesics to the first centre.
        self.problem.score_ends()
        legs = zip(self.problem.legs, self._first)
        with self.stages.at("measure"):
            there = [(leg, points.to(self.device)) for leg, points in legs]
            self.start_measurements = [leg.measure(p, leg.known(p)) for leg, p in there]
        self.start = self.start_measurements[0]

    @property
    def converged(self) -> bool:
        """The centre rests, and the legs to it have converged."""
        return super().converged and self.optimizer.legs.converged

    @property
    def shortfall(self) -> Shortfall | None:
        if self.converged or not self.stepped or not self.measurements:
            return None
        made, excess = self.optimizer, max(one.predicted_excess for one in self.measurements)
        measured = replace(
            self.measurements[0],
            turning=torch.cat([one.turning for one in self.measurements]),
            predicted_excess=excess,
            length_error=max(
                one.length_error / one.length * self.measurements[0].length
                for one in self.measurements
            ),
        )
        limit = self.trainer.max_steps
        if not made.legs.converged and (made.finished or limit >= 0):
            return shortfall.of_path(made.legs, self.problem, measured, limit)
        return shortfall.of_mean(made, measured, limit)

    def _problem_state(self) -> dict[str, Any]:
        return self.problem.state_dict(self.optimizer.awake)

    def scalars(self) -> dict[str, float]:
        latest = self.problem.latest
        assert latest is not None
        actions = [leg.action for leg in latest.legs]
        units = _units([action.log_density for action in actions], self.problem.alpha)
        return {
            "length": sum(float(a.length) * unit for a, unit in zip(actions, units)),
            "energy": sum(float(a.energy) * unit * unit for a, unit in zip(actions, units)),
            "residual": float(latest.turning.mean()),
            "predicted_excess": latest.predicted_excess,
            "score_evaluations": float(self.problem.evaluations),
        }

    def densities(self) -> dict[str, tuple[Tensor, Tensor]]:
        """One curve a leg, from its image to the mean, all relative to the first image."""
        if self.measurements:
            return _from_images([(m.u, m.log_density) for m in self.measurements])
        return self.latest_densities()

    def latest_densities(self) -> dict[str, tuple[Tensor, Tensor]]:
        latest = self.problem.latest
        legs = [] if latest is None else latest.legs
        return _from_images([(leg.u, leg.action.log_density) for leg in legs])

    def places(self, count: int) -> None:
        """The film is of all legs."""

    def validation_step(self, batch: object, index: int) -> None:
        """Measure every leg; the first stands for the path where one is asked for."""
        self.measurements = self.problem.measure_legs()
        self.measurement = self.measurements[0]
        turning = torch.cat([found.turning for found in self.measurements])
        density = torch.cat(
            [found.log_density + rise for found, rise in zip(self.measurements, self.rises)]
        )
        self.say(
            {
                "length": sum(self.distances),
                "length_start": self.length_start,
                "length_error": self.length_error,
                "energy": self.energy,
                "log_density": float(density.mean()),
                "log_density_end": float(self.measurement.log_density[-1]),
                "residual": float(turning.mean()),
                "predicted_excess": max(found.predicted_excess for found in self.measurements),
                "spread": sum(d**2 for d in self.distances) ** 0.5,
            }
        )

    @property
    def rises(self) -> list[float]:
        """log p of every image, in nats, relative to the first: all legs end in one point."""
        at_mean = self.measurements[0].log_density[-1]
        return [float(at_mean - found.log_density[-1]) for found in self.measurements]

    @property
    def distances(self) -> list[float]:
        """d of every image to the mean, relative to p = 1 at the first image."""
        return _distances(self.measurements, self.problem.alpha)

    @property
    def length_start(self) -> float:
        """Σ d before solving, along the manifold's own geodesics to the first centre."""
        return sum(_distances(self.start_measurements or self.measurements, self.problem.alpha))

    @property
    def energy(self) -> float:
        """E of all legs, in the same unit."""
        units = _units([one.log_density for one in self.measurements], self.problem.alpha)
        return sum(unit * unit * one.energy for unit, one in zip(units, self.measurements))

    @property
    def length_error(self) -> float:
        """How far the sum of the distances may be from that of the geodesics' lengths."""
        measured = zip(self.distances, self.measurements)
        return sum(d * found.geodesic_error / found.length for d, found in measured)

    def mean_image(self) -> Tensor:
        """The mean as an image (3, H, W)."""
        return self.frames()[-1]

    def _images(self, count: int, rough: bool = False) -> Tensor:
        """From each image in turn to the mean; the last frame is the mean."""
        decoder, legs = self.decoder, self.path.legs
        own = decoder.norms
        middle = own.mean(0)
        shares = [count // len(legs) + (k < count % len(legs)) for k in range(len(legs))]
        film = []
        for k, (leg, many) in enumerate(zip(legs, shares)):
            if many == 0:
                continue
            one = Decoder(
                decoder.model,
                decoder.condition,
                None if decoder.given is None else decoder.given[k : k + 1],
                torch.stack([own[k], middle]),
                ends=decoder.ends,
            )
            u = torch.linspace(0, 1, many) if many > 1 else torch.ones(1)
            film.append((one.rough if rough else one)(leg, u))
        return torch.cat(film)

    def summary(self) -> dict[str, Any]:
        """As Solver's, with the distances of the images to the mean under "mean"."""
        alpha = self.problem.alpha
        return super().summary() | {
            "segments": self.segments,
            "u": torch.linspace(0, 1, self.segments + 1).tolist(),
            "length": sum(self.distances),
            "length_start": self.length_start,
            "length_error": self.length_error,
            "energy": self.energy,
            "mean": {
                "distances": self.distances,
                "spread": sum(d**2 for d in self.distances) ** 0.5,
                "log_density": float(self.measurements[0].log_density[-1]),
                "rounds": self.optimizer.rounds_done if self.stepped else 0,
                "alpha": alpha,
            },
        }


def _units(densities: Sequence[Tensor], alpha: float) -> list[float]:
    """What a length measured relative to p = 1 at each leg's own image is in the first image's unit.

    All legs end in one point, so that their densities log p (N+1,) tell their images' apart.
    """
    return [float(torch.exp(-alpha * (densities[0][-1] - one[-1]))) for one in densities]


def _distances(legs: Sequence[Measurement], alpha: float) -> list[float]:
    units = _units([one.log_density for one in legs], alpha)
    return [one.length * unit for one, unit in zip(legs, units)]


def _from_images(known: list[tuple[Tensor, Tensor]]) -> dict[str, tuple[Tensor, Tensor]]:
    """Curves u, log density of all legs, brought to the first one's unit: all end in one point."""
    rises = [known[0][1][-1] - density[-1] for _, density in known]
    return {
        f"from image {k}": (u, density + rise)
        for k, ((u, density), rise) in enumerate(zip(known, rises))
    }
