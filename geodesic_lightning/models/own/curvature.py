"""How sharply a density curves, where nobody says: the bound λ ≥ −v·(∇²log p)·v that solvers step by.

At points x along the way between the ends, −∇²log p is asked for a few products by differences of the
score,

    −H q = (s(x) − s(x + h q))/h,

and its largest eigenvalue is that of the Lanczos matrix QᵀAQ of `steps` such products, from a random
q; in as many dimensions as steps it is the eigenvalue itself. λ is the largest of all points, and no
less than ⟨|s|⟩/L, with which a constant score would turn the path within its length L.

It is no bound of the whole space: a solver takes it for the size of its steps. Where it does not hold, or
is too large for what is left to be told, it goes on by what its moves have shown (optimizers/secant_steps.py).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["PLACES", "estimated", "largest_eigenvalue"]

PLACES, STEPS = 5, 4  # of a line between two ends; products at each place


def largest_eigenvalue(
    score: Callable[[Tensor], Tensor], x: Tensor, spacing: float, steps: int = STEPS
) -> tuple[Tensor, Tensor]:
    """Of −∇²log p at x (n, d): (n,), from below, NaN where the score is; and the scores (n, d) there.

    Asks for 1 + min(steps, d) scores a point.

    Args:
        spacing: h, in units of x.
    """
    here = score(x)
    generator = torch.Generator().manual_seed(0)

    def unit(v: Tensor) -> Tensor:
        return v / v.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(v.dtype).tiny)

    def random() -> Tensor:
        return torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)

    basis, products = unit(random())[:, None], x.new_zeros(len(x), 0, x.shape[1])
    while True:
        product = (here - score(x + spacing * basis[:, -1])) / spacing
        products = torch.cat([products, product[:, None]], 1)
        if basis.shape[1] == min(steps, x.shape[1]):
            break
        rest, other = _across(product, basis), _across(random(), basis)
        # A direction that A leads nowhere from ends its Krylov space; a random one goes on.
        left = rest.norm(dim=-1, keepdim=True) > 1e-4 * product.norm(dim=-1, keepdim=True)
        basis = torch.cat([basis, unit(torch.where(left, rest, other))[:, None]], 1)
    small = basis @ products.mT
    found = x.new_full((len(x),), torch.nan)
    known = small.isfinite().flatten(1).all(1)
    found[known] = torch.linalg.eigvalsh((small + small.mT)[known] / 2)[:, -1]
    return found, here


def _across(v: Tensor, basis: Tensor) -> Tensor:
    """v (n, d) without its part along the orthonormal basis (n, k, d); twice, for rounding."""
    for _ in range(2):
        v = v - (basis.mT @ (basis @ v[..., None]))[..., 0]
    return v


def estimated(score: Callable[[Tensor], Tensor], points: Tensor, precision: torch.dtype) -> float:
    """λ > 0 along the polyline through points (n, d) float64.

    Args:
        precision: of the score; differences are of its square root, relative to the polyline's length.
    """
    if len(points) > 1:
        u = torch.linspace(0, 1, PLACES, dtype=points.dtype)[:, None]
        chords = points[1:] - points[:-1]
        where = torch.cat([points[:1], *(a + u[1:] * c for a, c in zip(points, chords))])
        length = float(chords.norm(dim=-1).sum())
    else:
        where, length = points, 0.0
    length = length or float(points.norm(dim=-1).max()) or 1.0
    spacing = torch.finfo(precision).eps ** 0.5 * max(length, float(points.abs().max()))
    eigenvalues, scores = largest_eigenvalue(score, where, spacing)
    least = float(scores.norm(dim=-1).nanmean()) / length
    return max(float(eigenvalues.nan_to_num(0.0).max()), least, 1e-6 / length**2)
