"""A product of manifolds: each has an equal block of the coordinates to itself.

    M = M_1 × … × M_k,   dist² = Σ dist_i²

Projections, geodesics and everything on them go block by block; a geodesic runs through each factor
at a constant speed of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geodesic_lightning.geometry.manifold import Manifold


@dataclass(frozen=True)
class Product:
    """The product of k ≥ 1 factors in R^d, d a multiple of k.

    Args:
        factors: the first acts on the first d/k coordinates, and so on.
    """

    factors: tuple[Manifold, ...]

    line = "shortest line"

    def _blocks(self, *vectors: Tensor) -> Iterable[tuple[Any, ...]]:
        """(factor, its block of each of the vectors (..., d))."""
        return zip(self.factors, *(v.chunk(len(self.factors), -1) for v in vectors), strict=True)

    def projx(self, x: Tensor) -> Tensor:
        """The nearest point in every factor, (..., d)."""
        return torch.cat([m.projx(a) for m, a in self._blocks(x)], -1)

    def proju(self, x: Tensor, v: Tensor) -> Tensor:
        """The tangent part in every factor, (..., d)."""
        return torch.cat([m.proju(a, w) for m, a, w in self._blocks(x, v)], -1)

    def expmap(self, x: Tensor, v: Tensor) -> Tensor:
        """The exponential of every factor, (..., d)."""
        return torch.cat([m.expmap(a, w) for m, a, w in self._blocks(x, v)], -1)

    def logmap(self, x: Tensor, y: Tensor) -> Tensor:
        """The logarithm of every factor, (..., d)."""
        return torch.cat([m.logmap(a, b) for m, a, b in self._blocks(x, y)], -1)

    def dist(self, x: Tensor, y: Tensor) -> Tensor:
        """The root of the sum of the factors' squared distances, (...)."""
        parts = torch.stack([m.dist(a, b) for m, a, b in self._blocks(x, y)], -1)
        return torch.linalg.vector_norm(parts, dim=-1)

    def geodesic(self, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
        """The geodesics of the factors side by side, (m, d); the ends are exact."""
        return torch.cat([m.geodesic(a, b, u) for m, a, b in self._blocks(x, y)], -1)

    def undetermined(self, x: Tensor) -> Tensor:
        """Whether x (..., d) has no one nearest point in some factor: bool (...)."""
        return torch.stack([m.undetermined(a) for m, a in self._blocks(x)]).any(0)

    def antipodal(self, x: Tensor, y: Tensor) -> Tensor:
        """Whether no one shortest geodesic joins x and y (..., d) in some factor: bool (...)."""
        return torch.stack([m.antipodal(a, b) for m, a, b in self._blocks(x, y)]).any(0)

    def acceleration(self, x: Tensor, v: Tensor) -> Tensor:
        """Of the factors' geodesics, (..., d)."""
        return torch.cat([m.acceleration(a, w) for m, a, w in self._blocks(x, v)], -1)

    def straight(self, x: Tensor, v: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Places and velocities (..., d) of the factors' geodesics at times u (...)."""
        return _joined(m.straight(a, w, u) for m, a, w in self._blocks(x, v))

    def glide(self, x: Tensor, v: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Place and velocity (..., d) after time h (...); every factor keeps its speed."""
        return _joined(m.glide(a, w, h) for m, a, w in self._blocks(x, v))

    def frequencies(self, v: Tensor) -> Tensor:
        """Of the factors, one after the other: (..., k)."""
        return torch.cat([m.frequencies(w) for m, w in self._blocks(v)], -1)

    def centred(self, x: Tensor) -> Tensor:
        """Relative to the factors' centres, (..., d)."""
        return torch.cat([m.centred(a) for m, a in self._blocks(x)], -1)

    def rates_along(
        self, points: Tensor, scores: Tensor, value: np.ndarray, slope: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The sums of the factors' s·x' and |x'|², (m,) each."""
        parts = [m.rates_along(a, s, value, slope) for m, a, s in self._blocks(points, scores)]
        rises, squares = zip(*parts)
        return np.sum(rises, axis=0), np.sum(squares, axis=0)

    def statistics(self, x: Tensor) -> Tensor:
        """Of the factors, one after the other: (n, k)."""
        return torch.cat([m.statistics(a).reshape(len(x), -1) for m, a in self._blocks(x)], -1)

    def restoring(self, x: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and shift (n, k), a column a factor."""
        parts = own.reshape(len(x), -1).chunk(len(self.factors), -1)
        blocks = zip(self._blocks(x), parts, strict=True)
        return _joined(m.restoring(a, s) for (m, a), s in blocks)


def _joined(parts: Iterable[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    first, second = zip(*parts)
    return torch.cat(first, -1), torch.cat(second, -1)
