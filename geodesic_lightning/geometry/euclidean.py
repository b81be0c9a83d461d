"""Flat space R^d: geodesics are straight lines, everything is tangent."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from geodesic_lightning.geometry import gram
from geodesic_lightning.geometry.rescaling import norm_ratio


@dataclass(frozen=True)
class Euclidean:
    """Flat space; what its questions mean stands in manifold.py."""

    line = "straight line"

    def projx(self, x: Tensor) -> Tensor:
        """x (..., d) itself: every point belongs to flat space."""
        return x

    def proju(self, x: Tensor, v: Tensor) -> Tensor:
        """v (..., d) itself: every vector is tangent."""
        return v

    def expmap(self, x: Tensor, v: Tensor) -> Tensor:
        """x + v, shape (..., d)."""
        return x + v

    def logmap(self, x: Tensor, y: Tensor) -> Tensor:
        """y - x, shape (..., d); exactly zero for coincident points."""
        return y - x

    def dist(self, x: Tensor, y: Tensor) -> Tensor:
        """|x - y|, shape (...); exactly zero for coincident points."""
        return torch.linalg.vector_norm(x - y, dim=-1)

    def geodesic(self, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
        """The straight line: x, y (d,) and u (m,) in [0, 1] give (m, d); the ends are exact.

        In general u broadcasts against the leading dimensions of x and y.
        """
        return torch.lerp(x, y, torch.as_tensor(u, dtype=x.dtype, device=x.device)[..., None])

    def undetermined(self, x: Tensor) -> Tensor:
        """False (...): every point is its own nearest."""
        return torch.zeros_like(x[..., 0], dtype=torch.bool)

    def antipodal(self, x: Tensor, y: Tensor) -> Tensor:
        """False (...): one line joins any two points."""
        return torch.zeros_like((x - y)[..., 0], dtype=torch.bool)

    def acceleration(self, x: Tensor, v: Tensor) -> Tensor:
        """0, shape (..., d)."""
        return torch.zeros_like(v)

    def straight(self, x: Tensor, v: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """x + uv and v, shape (..., d)."""
        places = x + u[..., None] * v
        return places, v.expand_as(places)

    def glide(self, x: Tensor, v: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """x + hv and v, shape (..., d)."""
        return self.expmap(x, h[..., None] * v), v

    def frequencies(self, v: Tensor) -> Tensor:
        """0, shape (..., 1): lines do not turn."""
        return torch.zeros_like(v[..., :1])

    def centred(self, x: Tensor) -> Tensor:
        """x (..., d) itself."""
        return x

    def rates_along(
        self, points: Tensor, scores: Tensor, value: np.ndarray, slope: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """s·x' and |x'|², (m,) each, on the spline itself."""
        found = gram.curve(points, scores, value, slope)
        return found.rise, found.square

    def statistics(self, x: Tensor) -> Tensor:
        """Norms (n,) of x (n, d)."""
        return x.norm(dim=-1)

    def restoring(self, x: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        """From the norms of x (n, d) to norms own (n,): (n, 1) each."""
        return norm_ratio(x, own)
