"""By how much a path is longer than the geodesic near it, to second order, from its residual.

About a path of N segments of length ℓ, whose residual is r, the length is relatively

    η(F) = Σ r·F/(2Nℓ²)

above its least, where F = A⁻¹r with A = T + wH: T is the second difference along the path, H ≥ 0 the curvature of −log p
across it, w = αℓ². H is not known, so that no number computed from r is the excess:

    F = T⁻¹r            leaves H out. Never too small on a log-concave stretch.
    F = (T + cI)⁻¹r     is too small where wH is below c, by the factor (T + c)/T where there is no curvature at all.

Taking the step (T + cI)⁻¹r leaves of a part of r that meets the curvature h the excess ½r²(c − wh)²/((t + wh)(t + c)²). For
any h with wh from 0 to 2c that is at most what it is for h = 0:

    left = Σ r·T⁻¹(c(T + c)⁻¹)² r/(2Nℓ²)
"""

from torch import Tensor

from geodesic_lightning.functional.length import Residual
from geodesic_lightning.geometry.laplacian import Laplacian


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
    """The most that the step (T + shift)⁻¹r leaves of the excess, wherever wH is between 0 and twice the shift; a scalar."""
    eigenvalues = laplacian.eigenvalues
    share = (shift / (eigenvalues + shift)).square() / eigenvalues
    size = (laplacian.modes @ residual.vector).square().sum(-1)
    return (share * size).sum() / _whole(residual)


def _whole(residual: Residual) -> Tensor:
    return 2 * (len(residual.vector) + 1) * residual.spacing**2
