"""By how much a path is longer than the geodesic near it, to second order, from its residual.

About a path of N segments of length ℓ, whose residual is r, the length is relatively

    η(F) = Σ r·F/(2Nℓ²)

above its least, where F = A⁻¹r with A = T + wH: T is the second difference along the path, H ≥ 0 the curvature
of −log p across it, w = αℓ². H is not known, so that no number computed from r is the excess:

    F = T⁻¹r            leaves H out. Never too small on a log-concave stretch.
    F = (T + cI)⁻¹r     is too small where wH is below c, by the factor (T + c)/T where there is no curvature at all.

Taking the step (T + cI)⁻¹r leaves of a part of r that meets the curvature h the excess
½r²(c − wh)²/((t + wh)(t + c)²). For any h with wh from 0 to 2c that is at most what it is for h = 0:

    left = Σ r·T⁻¹(c(T + c)⁻¹)² r/(2Nℓ²)

Where r is 0 the nodes are still not those of the geodesic: second differences of a force f = wPs that changes from node
to node leave τ = (δ²f + |f|²f/ℓ²)/12 of the geodesic equation, 0 on a circle, and with it the excess η(T⁻¹τ).
"""

import torch
from torch import Tensor

from geodesic_lightning.functional.length import Residual, across
from geodesic_lightning.geometry.laplacian import Laplacian
from geodesic_lightning.geometry.manifold import Manifold


def predicted_excess(across: Tensor, spacing: Tensor) -> float:
    """η(T⁻¹r), relative to the length.

    A prediction and not a bound: the density's own curvature is left out. An optimizer that knows it
    predicts with it.

    Args:
        across: r, (N−1, d), the residual's part across the path (length.residual).
        spacing: ℓ, mean distance of neighbours.
    """
    segments = len(across) + 1
    size = Laplacian(segments, across).dual_norm(across)
    return float(size**2 / (2 * segments * spacing**2))


def foretold(residual: Residual, step: Tensor, right: Tensor | None = None) -> Tensor:
    """η(F): by how much, relatively, the step F (N−1, d) would shorten the path; a scalar.

    Args:
        right: (N−1, d) in place of the residual, of a path of the same length.
    """
    vector = residual.vector if right is None else right
    return (vector * step).sum() / _whole(residual)


def left_by(residual: Residual, laplacian: Laplacian, shift: float | Tensor) -> Tensor:
    """The most that the step (T + shift)⁻¹r leaves of the excess where wH is from 0 to twice the shift; a scalar."""
    eigenvalues = laplacian.eigenvalues
    share = (shift / (eigenvalues + shift)).square() / eigenvalues
    size = (laplacian.modes @ residual.vector).square().sum(-1)
    return (share * size).sum() / _whole(residual)


def of_the_pieces(
    residual: Residual, laplacian: Laplacian, points: Tensor, manifold: Manifold
) -> Tensor:
    """η(T⁻¹τ): what is left of the excess where the residual is 0, for the path is made of pieces; a scalar.

    More segments make it less, by the fourth power where the score is smooth. 0 for less than four segments.

    Args:
        points: (N+1, d), the ends included.
    """
    force = residual.weight * residual.force
    if len(force) < 3:
        return force.new_zeros(())
    turning = force[1:-1].square().sum(-1, keepdim=True) / residual.spacing**2
    inner = (force[2:] + force[:-2] - (2 - turning) * force[1:-1]) / 12
    tangent = manifold.proju(points[2:-2], points[3:-1] - points[1:-3])
    tangent = tangent / tangent.norm(dim=-1, keepdim=True)
    inner = across(manifold.proju(points[2:-2], inner), tangent)
    error = torch.cat([inner[:1], inner, inner[-1:]])
    return laplacian.dual_norm(error) ** 2 / _whole(residual)


def _whole(residual: Residual) -> Tensor:
    return 2 * (len(residual.vector) + 1) * residual.spacing**2
