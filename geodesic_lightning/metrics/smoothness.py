"""How evenly, and how far, a film moves: from the perceptual differences of its neighbours.

Differences (n,) are LPIPS-like, of n + 1 frames (perceptual.py); each paper has its own sum.
"""

import torch
from torch import Tensor


def ppl(differences: Tensor) -> float:
    """Perceptual path length of DiffMorpher (Zhang et al., CVPR 2024): Σ LPIPS of neighbours.

    The paper's films have 17 frames. In the squares of small differences it falls with their
    number: compare films of as many frames.
    """
    return float(differences.sum())


def pdv(differences: Tensor) -> float:
    """Perceptual distance variance of DiffMorpher: the variance of neighbours' LPIPS."""
    return float(differences.var(unbiased=False))


def gini(values: Tensor) -> float:
    """Gini's coefficient of values (n,) ≥ 0: 0 where all are equal, (n − 1)/n where one has all.

    Σ_i Σ_j |x_i − x_j| / (2 n² mean(x)), by sorting.
    """
    if not values.sum() > 0:
        return 0.0
    ordered, count = values.double().sort().values, len(values)
    rank = torch.arange(1, count + 1, dtype=torch.float64)
    return float((2 * rank - count - 1) @ ordered / (count * ordered.sum()))


def smoothness(differences: Tensor) -> float:
    """Smoothness of AID (He et al., 2024): 1 − Gini of neighbours' LPIPS; 1 is even."""
    return 1.0 - gini(differences)


def consistency(differences: Tensor) -> float:
    """Consistency of AID: the mean of neighbours' LPIPS; low is consistent."""
    return float(differences.mean())


def ppl_ends(differences: Tensor, step: float, trim: float = 0.01) -> float:
    """Perceptual path length of IMPUS (Yang et al., 2023), after StyleGAN's: mean of LPIPS/ε².

    Args:
        differences: (n,) LPIPS of frames at u and u + ε, at random u.
        step: ε.
        trim: share left out at either end, as outliers.
    """
    scaled = differences.double() / step**2
    low, high = scaled.quantile(trim), scaled.quantile(1 - trim)
    return float(scaled[(scaled >= low) & (scaled <= high)].mean())
