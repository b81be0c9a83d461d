"""The makers that `manifold=` chooses from: (model, noisy latents of the stops) → Manifold.

What a manifold holds is the mean of the stops': a radius, the channels' means, the norms of their
deviations.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from geodesic_lightning.errors import UserError
from geodesic_lightning.geometry.held_means import HeldMeans
from geodesic_lightning.geometry.manifold import Euclidean, Manifold, Sphere
from geodesic_lightning.geometry.product import Product

if TYPE_CHECKING:
    from geodesic_lightning.protocols import Model

FEWEST = 3  # pixels: the deviations of two have no direction to turn to


def euclidean(model: Model, ends: Tensor) -> Manifold:
    """Flat space."""
    return Euclidean()


def sphere(model: Model, ends: Tensor, radius: float | None = None) -> Manifold:
    """A sphere about the origin; by default its radius is the mean norm of the ends (n, *shape)."""
    if radius is not None:
        return Sphere(radius)
    mean = float(ends.flatten(1).norm(dim=-1).mean())
    if not math.isfinite(mean):
        raise UserError("The latents are not finite: check the images and the model's weights.")
    return Sphere(mean)


def automatic(model: Model, ends: Tensor) -> Manifold:
    """The model's own manifold; a diffusion model names none, and its latents live near a sphere."""
    return sphere(model, ends) if model.manifold is None else model.manifold


def means(model: Model, ends: Tensor) -> Manifold:
    """Latents (n, C, H, W) whose channels' means over the pixels are held; otherwise flat.

    Raises:
        UserError: points without channels, or latents that are not finite.
    """
    return HeldMeans(Euclidean(), _means("means", ends))


def means_and_norm(model: Model, ends: Tensor) -> Manifold:
    """Latents (n, C, H, W) whose channels' means and one norm, of all deviations, are held.

    Raises:
        UserError: as for `means`, or latents without deviations.
    """
    held = _means("means_and_norm", ends)
    return HeldMeans(Sphere(float(_deviations(ends).norm(dim=(-2, -1)).mean())), held)


def shell(model: Model, ends: Tensor) -> Manifold:
    """Latents (n, C, H, W) whose channels' means and norms of deviations are held: C spheres.

    Raises:
        UserError: points without channels, a channel without deviations, or latents that are not
            finite.
    """
    held = _means("shell", ends)
    norms = _deviations(ends).norm(dim=-1)
    if not (norms > 0).all():
        raise UserError(
            "manifold=shell: a channel of a latent is the same in every pixel and has no direction: "
            "choose manifold=means."
        )
    return HeldMeans(Product(tuple(Sphere(r) for r in norms.mean(0).tolist())), held)


CHANNELWISE = (means, means_and_norm, shell)
"""The makers that refuse points without channels."""


def _means(name: str, ends: Tensor) -> tuple[float, ...]:
    if ends.dim() != 4 or ends.shape[2:].numel() < FEWEST:
        raise UserError(
            f"manifold={name}: got latents of shape {tuple(ends.shape[1:])}, expected channels of at "
            f"least {FEWEST} pixels, (C, H, W): choose manifold=auto, sphere or euclidean."
        )
    if not torch.isfinite(ends).all():
        raise UserError("The latents are not finite: check the images and the model's weights.")
    return tuple(ends.cpu().double().mean((0, 2, 3)).tolist())


def _deviations(ends: Tensor) -> Tensor:
    """Of every channel from its mean over the pixels: (n, C, H·W) float64."""
    pixels = ends.cpu().double().flatten(2)
    return pixels - pixels.mean(-1, keepdim=True)
