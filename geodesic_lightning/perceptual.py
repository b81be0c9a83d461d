"""How different two frames look, by the model's own eyes.

    d(f, g)² = Σ_l (1/H_l W_l) Σ_places |φ_l(f) − φ_l(g)|²,   φ_l normalised to length 1 over
    channels at every place

with φ_l the activations after each resolution of the model's image encoder: the form of LPIPS
(Zhang et al., CVPR 2018) without its trained weights, so that it needs nothing but the model that
made the frames.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["Features", "distances", "embedded"]

Features = Callable[[object, Tensor], Sequence[Tensor]]


def embedded(model, images: Tensor) -> list[Tensor]:
    """Features of images (n, 3, H, W) in [0, 1], one a layer of the model's own encoder."""
    return list(model.features(images))


def distances(features: Sequence[Tensor]) -> Tensor:
    """d between neighbours among n images: (n−1,) float64, on the CPU."""
    total: Tensor | float = 0.0
    for layer in features:
        layer = layer.double()
        unit = layer / layer.norm(dim=1, keepdim=True).clamp_min(1e-12)
        total = total + (unit[1:] - unit[:-1]).square().sum(1).flatten(1).mean(1)
    return torch.as_tensor(total).sqrt().cpu()
