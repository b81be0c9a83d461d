"""Points of the plane whose distances are like those of a matrix: classical scaling.

    B = −½ J D² J,  J = I − 11ᵀ/n;   x = V √Λ   for the two largest eigenvalues Λ of B.

Source: Torgerson, Psychometrika 17 (1952) 401. Eigenvalues below 0 say that no flat space of any
dimension has these distances: the images lie on something curved.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Embedding:
    """Where n images stand in the plane.

    Attributes:
        points: (n, 2).
        explained: part of Σ|Λ| that the plane shows, 0 to 1.
        curved: part of Σ|Λ| that is negative: no flat space shows it.
    """

    points: Tensor
    explained: float
    curved: float


def embed(matrix: Tensor) -> Embedding:
    """The plane for distances (n, n), n ≥ 2; its first axis points to the image that is first."""
    squares = matrix.double() ** 2
    centred = squares - squares.mean(0) - squares.mean(1, keepdim=True) + squares.mean()
    values, vectors = torch.linalg.eigh(-centred / 2)
    values, vectors = values.flip(0), vectors.flip(1)
    total = values.abs().sum().clamp_min(1e-300)
    points = vectors[:, :2] * values[:2].clamp_min(0).sqrt()
    points = points * torch.where(points[0] < 0, -1.0, 1.0)
    return Embedding(
        points,
        float(values[:2].clamp_min(0).sum() / total),
        float(values.clamp_max(0).abs().sum() / total),
    )
