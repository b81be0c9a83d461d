"""Scale and shift of latents, block by block of their coordinates.

A manifold holds some statistics of latents fixed, as a sphere their norm. Where the ends of a path
have others, x·scale + shift gives them back, and along the path scale and shift go evenly from one
end's to the other's (decoding/decoder.py).
"""

import torch
from torch import Tensor


def norm_ratio(x: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """Scale (n, 1) from points x (n, d) to norms own (n,) or (n, 1), 1 for the origin, and no shift."""
    radius = x.norm(dim=-1).cpu().double()
    factors = torch.where(radius > 0, own.reshape(-1).cpu().double() / radius, 1.0)[:, None]
    return factors, torch.zeros_like(factors)


def transformed(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """x·scale + shift on each of k equal blocks of x (n, d); scale, shift (n, k)."""
    scale, shift = scale.to(x)[..., None], shift.to(x)[..., None]
    return (x.unflatten(-1, (scale.shape[-2], -1)) * scale + shift).flatten(-2)
