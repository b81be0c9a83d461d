"""How far the given images reach into a film: weights of their residuals, by place.

A given image differs from the one decoded at its place by the residual r_k = given − decoded, by
what the autoencoder and the sampler lose. `ends=blended` adds Σ_k w_k(u) r_k to what is decoded at u,

    w_k(u) = (1 + cos π s)/2,   s = |u − u_k| / (share · gap) ≤ 1;   0 beyond,

with the gap to the next given place on that side of u_k, or to the path's end. w is 1 at its own
place and 0 at every other; it belongs to the place alone, so that neither the number of frames nor
re-timing changes what a place looks like. With a share of at most 1/2 no place shows two residuals.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["SHARE", "weights"]

SHARE = 0.5
"""Of the way to the next given image."""


def weights(u: Tensor, places: Sequence[float], share: float = SHARE) -> Tensor:
    """w_k(u) of K increasing places in [0, 1] at u (m,): (m, K) float64, in [0, 1]."""
    at = torch.tensor(places, dtype=torch.float64)
    ends = at.new_tensor([0.0, 1.0])
    before = at - torch.cat([ends[:1], at[:-1]])
    after = torch.cat([at[1:], ends[1:]]) - at
    away = u.cpu().double()[:, None] - at
    gap = share * torch.where(away < 0, before, after)
    s = torch.where(away == 0, 0.0, away.abs() / gap.clamp_min(1e-12)).clamp_max(1.0)
    return (1 + torch.cos(torch.pi * s)) / 2
