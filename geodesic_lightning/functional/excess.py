"""By how much a path is longer than the geodesic near it, to second order, from its residual alone."""

from torch import Tensor

from geodesic_lightning.geometry.laplacian import Laplacian


def predicted_excess(across: Tensor, spacing: Tensor) -> float:
    """η = Σ r·T⁻¹r/(2Nℓ²), relative to the length; T is the second difference along the path.

    A prediction and not a bound: the density's own curvature is left out. An optimizer that knows it
    predicts with it.

    Args:
        across: r, (N−1, d), the residual's part across the path (length.residual).
        spacing: ℓ, mean distance of neighbours.
    """
    segments = len(across) + 1
    size = Laplacian(segments, across).dual_norm(across)
    return float(size**2 / (2 * segments * spacing**2))
