"""From the path back to images: u → latent → clean latent → image.

The given images stand at their places exactly. On a sphere the path has one radius, its ends had their own; latents are
decoded at a radius that goes evenly from one to the other, so that nothing changes where the images are.
"""

import torch
from torch import Tensor

from geodesic_lightning.condition import Condition
from geodesic_lightning.path import Path


class Decoder:
    """Images along a path.

    Args:
        model: the model with denoise and decode.
        condition: prompts along the path.
        given: images (n, 3, H, W) that stand at the ends as they are, or None.
        norms: (2,) norms that the ends' latents had before they were put on the manifold.
    """

    def __init__(self, model, condition: Condition, given: Tensor | None, norms: Tensor) -> None:
        self.model, self.condition, self.given, self.norms = model, condition, given, norms

    def __call__(self, path: Path, u: Tensor) -> Tensor:
        """Images (m, 3, H, W) float32 in [0, 1], on the CPU, at places u (m,)."""
        points = path.at(u)
        norms = self.norms.to(points)
        radii = torch.lerp(norms[0], norms[1], u.to(points))
        own = points.norm(dim=-1)
        radius = torch.lerp(own[0], own[-1], u.to(points)) if len(points) > 1 else own
        scaled = points * torch.where(radius > 0, radii / radius, 1.0)[:, None]
        images = self.model.decode(
            self.model.denoise(path.chart(scaled), self.condition(u.to(points)))
        ).float().cpu().clone()
        if self.given is not None:
            images[u == 0] = self.given[0]
            images[u == 1] = self.given[-1]
        return images
