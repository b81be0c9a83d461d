"""The mean of several images: where squared distances to them, in the metric, sum to least."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.optim import Optimizer

from geodesic_lightning.decoding.decoder import Decoder
from geodesic_lightning.functional.quadrature import Measurement
from geodesic_lightning.geometry.star_path import Star
from geodesic_lightning.optimizers.frechet_mean import Karcher
from geodesic_lightning.score.estimator import Score
from geodesic_lightning.solvers import layouts
from geodesic_lightning.solvers.iterative import SteppingSolver


class MeanSolver(SteppingSolver):
    """A training step scores the nodes of all legs, from every image to the centre, in one batch.

    Args:
        path: legs from the images to a common centre.
        score, decoder, alpha: as for Solver.
        optimizer: of each leg, made as for BoundaryValueSolver.
        segments: N of each leg.
        frames: images of the film, which goes from each image to the mean in turn.
        tolerance: of the centre: the mean velocity as a part of the mean distance, > 0.
        rounds: the most moves of the centre.

    Attributes:
        measurements: of every leg, from its image to the mean, after validation.
    """

    name = "mean"
    layout = staticmethod(layouts.star)

    def __init__(
        self,
        path: Star,
        score: Score,
        decoder: Decoder,
        optimizer: Callable[..., Optimizer],
        alpha: float | None = None,
        segments: int = 8,
        frames: int = 17,
        tolerance: float = 1e-3,
        rounds: int = 30,
    ) -> None:
        super().__init__(path, score, decoder, alpha, segments, frames)
        self._make = lambda: Karcher(optimizer, self.problem, segments, tolerance, rounds)
        self._make()  # what does not fit together is said before anything is computed
        self.measurements: list[Measurement] = []

    @property
    def moving(self) -> list[str]:
        """Buffers that solving moves: every leg's copy of the centre."""
        return [f"path.legs.{k}.end" for k in range(len(self.path.legs))]

    def configure_optimizers(self) -> Optimizer:
        return self._make()

    def training_step(self, batch, index: int) -> Tensor:
        self.problem.evaluate()
        return self.problem.surrogate()

    def scalars(self) -> dict[str, float]:
        actions, latest = [leg.latest.action for leg in self.problem.legs], self.problem.latest
        return {
            "length": sum(float(action.length) for action in actions),
            "energy": sum(float(action.energy) for action in actions),
            "residual": float(latest.turning.mean()),
            "predicted_excess": latest.predicted_excess,
            "score_evaluations": float(self.problem.evaluations),
        }

    def densities(self) -> dict[str, tuple[Tensor, Tensor]]:
        """One curve a leg, from its image to the mean, all relative to the first image."""
        if self.measurements:
            known = [(m.u, m.log_density) for m in self.measurements]
        else:
            steps = [leg.latest for leg in self.problem.legs if leg.latest is not None]
            known = [(step.u, step.action.log_density) for step in steps]
        rises = [known[0][1][-1] - density[-1] for _, density in known]
        return {
            f"from image {k}": (u, density + rise)
            for k, ((u, density), rise) in enumerate(zip(known, rises))
        }

    def places(self, count: int) -> None:
        """The film is of all legs."""

    def validation_step(self, batch, index: int) -> None:
        """Measure every leg; the first stands for the path where one is asked for."""
        self.measurements = [leg.measure() for leg in self.problem.legs]
        self.measurement = self.measurements[0]
        turning = torch.cat([found.turning for found in self.measurements])
        density = torch.cat(
            [found.log_density + rise for found, rise in zip(self.measurements, self.rises)]
        )
        self.say(
            {
                "length": sum(self.distances),
                "energy": sum(
                    d**2 * m.energy / m.length**2 for d, m in zip(self.distances, self.measurements)
                ),
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
        alpha = self.problem.alpha
        return [
            found.length * float(torch.exp(torch.tensor(-alpha * rise)))
            for found, rise in zip(self.measurements, self.rises)
        ]

    def mean_image(self) -> Tensor:
        """The mean as an image (3, H, W)."""
        return self.frames()[-1]

    def _images(self, count: int) -> Tensor:
        """From each image in turn to the mean; the last frame is the mean."""
        decoder, legs = self.decoder, self.path.legs
        own = decoder.norms
        middle = own.mean(0)
        shares = [count // len(legs) + (k < count % len(legs)) for k in range(len(legs))]
        film = []
        for k, (leg, many) in enumerate(zip(legs, shares)):
            one = Decoder(decoder.model, decoder.condition, None, torch.stack([own[k], middle]))
            if many == 0:
                continue
            images = one(leg, torch.linspace(0, 1, many) if many > 1 else torch.ones(1))
            if many > 1 and decoder.given is not None:
                images[0] = decoder.given[k].to(images)
            film.append(images)
        return torch.cat(film)

    def summary(self) -> dict:
        """As Solver's, with the distances of the images to the mean under "mean"."""
        alpha = self.problem.alpha
        return super().summary() | {
            "segments": self.segments,
            "length": sum(self.distances),
            "mean": {
                "distances": self.distances,
                "spread": sum(d**2 for d in self.distances) ** 0.5,
                "log_density": float(self.measurements[0].log_density[-1]),
                "rounds": self.optimizer.rounds_done if self.stepped else 0,
                "alpha": alpha,
            },
        }
