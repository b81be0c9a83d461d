"""Somebody's density behind the verbs of the diffusion model: choice model=python.

The ends make it a problem: they say in how many dimensions it is asked, and where its curvature is
estimated. How a point stands for a latent: exact/point_model.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from geodesic_lightning.data.frames import Frames
from geodesic_lightning.errors import UserError
from geodesic_lightning.models.exact.picture import draw
from geodesic_lightning.models.exact.point_model import PointModel
from geodesic_lightning.models.own.curvature import estimated
from geodesic_lightning.models.own.density import OwnDensity
from geodesic_lightning.models.own.target import Target

__all__ = ["OwnModel"]

POINTS = "data=points data.start=[0,1] data.end=[1,0], or data=keyframe_points, data=clip_points"


class OwnModel(PointModel):
    """A density of one's own in place of a diffusion model.

    Args:
        target: a dotted name of it, or the object itself: see target.py.
        batch_size: points scored at a time, or None for all at once; bounds memory.
        device: where latents live; the density is asked where its weights are.
        scheduler: not looked at: there is one noise level.

    Attributes:
        target: the Target.

    Raises:
        UserError: there is no such target, or it is no density; or a batch size below 1.
    """

    def __init__(
        self,
        target: Any,
        batch_size: int | None = None,
        device: str | torch.device = "cpu",
        scheduler: object = None,
    ) -> None:
        self.target = Target.of(target)
        super().__init__(self.target.name, batch_size, device)
        self._density: OwnDensity | None = None

    @property
    def density(self) -> OwnDensity:
        """The density between the ends that were encoded last."""
        if self._density is None:
            raise RuntimeError("encode the ends first: they say in how many dimensions it is asked")
        return self._density

    @property
    def alpha(self) -> None:
        """None: a strength decides how hard the density bends."""
        return None

    def encode(self, frames: Frames) -> Tensor:
        """The frames' points (n, d) float64, at which the density is found to be one.

        Raises:
            UserError: there are no points, they have another dimension than the density, or its log p or
                score is of another shape, not finite, or not to be had at them.
        """
        points, known, name = frames.points, self.target.dimension, self.name
        if points is None:
            raise UserError(
                f"data: got pictures or prompts, expected points of the density {name}: give {POINTS}."
            )
        dimension = points.shape[-1]
        if known is not None and dimension != known:
            raise UserError(
                f"Got points of {dimension} numbers, expected {known} for the density {name}: give "
                f"every point {known} coordinates."
            )
        if dimension < 2:
            raise UserError(
                f"Got points of 1 number for the density {name}, expected at least 2: on a line there "
                "is one way only."
            )
        points = points.detach().double().cpu()
        # Nothing looks at its alpha; its sigma is known once its score has been asked.
        asked = OwnDensity(
            name=name, alpha=1.0, sigma=1.0, ends=points[[0, -1]], target=self.target
        )
        self._check(asked, points)
        curvature = self.target.curvature or self._estimated(asked, points)
        self._density = replace(asked, sigma=curvature**-0.5)
        return points.to(self.device)

    def _estimated(self, density: OwnDensity, points: Tensor) -> float:
        def counted(x: Tensor) -> Tensor:
            self.evaluations += len(x)
            parts = x.split(self.batch_size or len(x))
            return torch.cat([density.score(part) for part in parts])

        return estimated(counted, points, self.target.dtype)

    def _check(self, density: OwnDensity, points: Tensor) -> None:
        for part in points.split(self.batch_size or len(points)):
            for what, values in (
                ("log density", density.log_density(part)[:, None]),
                ("score", density.score(part)),
            ):
                wrong = ~values.isfinite().all(-1)
                if wrong.any():
                    where = [round(v, 6) for v in part[wrong][0].tolist()[:6]]
                    raise UserError(
                        f"model.target: the {what} of {self.name} is not finite at the given point "
                        f"{where}: give points where the density is positive and smooth."
                    )

    def sample(
        self, embedding: Tensor, seeds: Sequence[int], guidance: float | None = None
    ) -> Tensor:
        """A density that somebody wrote draws nothing by itself: UserError."""
        raise UserError(
            f"data=prompts: the density {self.name} draws no points by itself: give {POINTS}."
        )

    def judge(self, points: Tensor, alpha: float, manifold: object) -> dict[str, float | None]:
        """Nothing: no geodesic of it is known."""
        return {}

    def picture(self, points: Tensor, alpha: float, manifold: object) -> Tensor:
        """A still (3, 512, 512) in [0, 1]: path (n, d) over log p."""
        return draw(self.density, points)
