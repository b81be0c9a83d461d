"""From the path back to images: u → latent → clean latent → image.

The given images stand at their places exactly. On a sphere the path has one radius, the images'
latents had their own; latents are decoded at a radius that goes evenly from one to the next, so
that nothing changes where the images are. So it is with whatever else a manifold holds.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from geodesic_lightning.geometry.path import Path
from geodesic_lightning.geometry.rescaling import transformed
from geodesic_lightning.score.condition import Condition


def plain(model, condition, given, norms, places, clean) -> "Decoder":
    """The maker of decoder=plain."""
    return Decoder(model, condition, given, norms, places)


class Decoder:
    """Images along a path.

    Args:
        model: the model with denoise and decode.
        condition: prompts along the path.
        given: images (n, 3, H, W) that stand at their places as they are, or None.
        norms: (n,) norms, or (n, k) of whatever the path's manifold holds (Manifold.statistics), that the
            latents at these places had before they were put on it.
        places: n increasing u of the images and norms: the two ends, or fewer or more.
    """

    def __init__(
        self,
        model,
        condition: Condition,
        given: Tensor | None,
        norms: Tensor,
        places: Sequence[float] = (0.0, 1.0),
    ) -> None:
        if len(norms) != len(places) or (given is not None and len(given) != len(places)):
            raise ValueError(
                f"{len(places)} places for {len(norms)} norms, expected as many of each"
            )
        self.model, self.condition, self.given, self.norms = model, condition, given, norms
        self.places = tuple(float(place) for place in places)

    def __call__(self, path: Path, u: Tensor) -> Tensor:
        """Images (m, 3, H, W) float32 in [0, 1], on the CPU, at places u (m,)."""
        images = self._images(path, u).float().cpu().clone()
        if self.given is not None:
            for place, image in zip(self.places, self.given):
                images[(u - place).abs() < 1e-6] = image.to(images)
        return images

    def _images(self, path: Path, u: Tensor) -> Tensor:
        x = path.chart(self._own(path, u))
        return self.model.decode(self.model.denoise(x, self.condition(u.to(x))))

    def _own(self, path: Path, u: Tensor) -> Tensor:
        """Points (m, d) at places u (m,) with the images' own statistics, even between places."""
        manifold, points = path.manifold, path.at(u)
        known = manifold.restoring(path.at(torch.tensor(self.places)), self.norms)
        at = u.double().cpu().numpy()
        scale, shift = (
            torch.stack([torch.from_numpy(np.interp(at, self.places, c)) for c in column.T], -1)
            for column in known
        )
        return transformed(points, scale, shift)
