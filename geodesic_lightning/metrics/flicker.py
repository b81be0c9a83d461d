"""Do details flicker? Fine structure that comes and goes, rather than going on as it went.

With D_j the details of frame j (f − blur(f), as in crossfade.py), its change e_j = D_{j+1} − D_j and
the second difference s_j = e_j − e_{j−1},

    flicker = Σ_j |s_j|² / Σ_j 2 (|e_j|² + |e_{j−1}|²) = (1 − ρ)/2,

with ρ the correlation of successive changes, weighted by their size: 0 where each change repeats the one before,
1/2 where they have nothing in common, 3/4 for frames that are independent noise, 1 for two pictures
in turn. It has no unit and does not depend on contrast; an edge that moves by more than its own width
a frame gives 1/2, so compare films of as many frames.
"""

import torch
from torch import Tensor

from geodesic_lightning.metrics.crossfade import details

ROUNDING = 1e-12
"""Of the frames' energy: single precision's rounding is 1e-14."""


def flicker(frames: Tensor) -> float:
    """The share above, in [0, 1], of frames (m, 3, H, W) in [0, 1]; 0 where details stand still."""
    taken_back, changed = second_and_first(frames).sum(1)
    moves = changed > ROUNDING * frames.double().square().sum()
    return float(taken_back / changed) if moves else 0.0


def second_and_first(frames: Tensor) -> Tensor:
    """Numerator and denominator for each inner frame: (2, m − 2) float64."""
    change = details(frames).double().diff(dim=0)
    size = change.square().flatten(1).sum(1)
    second = change.diff(dim=0).square().flatten(1).sum(1)
    return torch.stack([second, 2 * (size[1:] + size[:-1])])
