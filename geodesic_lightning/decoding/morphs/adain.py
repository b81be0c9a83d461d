"""Adaptive instance normalisation of latents between two ends."""

import torch
from torch import Tensor


def adain(x: Tensor, first: Tensor, last: Tensor, u: Tensor) -> Tensor:
    """Latents x (n, C, H, W) at places u (n,) with the statistics that lie between the ends' (C, H, W).

    Every channel gets the mean (1−u) μ_A + u μ_B over its pixels and the deviation
    (1−u) σ_A + u σ_B: interpolated noise has too little contrast, and with it the frame. (Huang and
    Belongie, 2017; in DiffMorpher, Zhang et al., CVPR 2024, section 3.3.)
    """
    u = u.to(x).reshape(-1, 1, 1, 1)
    mean, deviation = _statistics(x)
    (mean_a, deviation_a), (mean_b, deviation_b) = _statistics(first[None]), _statistics(last[None])
    wanted_mean = torch.lerp(mean_a.expand_as(mean), mean_b.expand_as(mean), u)
    wanted = torch.lerp(deviation_a.expand_as(mean), deviation_b.expand_as(mean), u)
    return (x - mean) / deviation.clamp_min(1e-12) * wanted + wanted_mean


def _statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation over pixels: (n, C, 1, 1) each."""
    return x.mean((-2, -1), keepdim=True), x.std((-2, -1), unbiased=False, keepdim=True)
