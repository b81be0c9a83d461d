"""How well the ends of a path give back the images they were made from."""

import torch
from torch import Tensor


def psnr(a: Tensor, b: Tensor) -> float:
    """Peak signal-to-noise ratio of images in [0, 1], in dB; at most 100."""
    error = (a.double() - b.double()).square().mean().clamp_min(1e-10)
    return float(-10 * torch.log10(error))
