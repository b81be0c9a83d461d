"""The space the path lives in: flat, or a sphere about the origin.

A manifold answers six questions on the LAST dimension; leading dimensions broadcast:

    projx(x)           the nearest point of the manifold
    proju(x, v)        the part of v that is tangent at x
    expmap(x, v)       where the geodesic from x with velocity v is after unit time
    logmap(x, y)       the velocity that carries x to y in unit time, |logmap(x, y)| = dist(x, y)
    dist(x, y)         the length of the shortest geodesic
    geodesic(x, y, u)  the point at the fraction u of the way from x to y, at constant speed

Sphere of radius R (Yu et al., CVPR 2025: latents of one noise level lie near a sphere). With the
angle theta = 2 atan2(|x - y|, |x + y|), which keeps its digits at both 0 and pi, where acos(x.y)
has none:

    dist(x, y)   = R theta
    proju(x, v)  = v - x (x.v) / (x.x)
    expmap(x, v) = x cos(theta) + v sin(theta)/theta,  theta = |v|/R,  brought back to radius R
    logmap(x, y) = R theta w/|w|,  w = proju(x, y - x) = proju(x, y + x)

The two forms of w are equal in exact arithmetic; the one with the smaller difference is the one
that does not cancel.

Everything is a pure function of tensors of any floating dtype: no copy to the host, no loop, no
input changed. Points are expected on the manifold up to rounding; projx puts them there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from geodesic_lightning.errors import UserError

__all__ = ["Euclidean", "Sphere"]


def _norm(v: Tensor) -> Tensor:
    """|v| over the last dimension, which stays with size 1."""
    return torch.linalg.vector_norm(v, dim=-1, keepdim=True)


@dataclass(frozen=True)
class Euclidean:
    """Flat space: geodesics are straight lines."""

    line = "straight line"  # what a geodesic is called

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


@dataclass(frozen=True)
class Sphere:
    """The sphere |x| = radius about the origin, of dimension d - 1 in d >= 2 coordinates.

    Raises UserError for a radius that is not a positive finite number.
    """

    radius: float

    line = "great circle"  # what a geodesic is called

    def __post_init__(self) -> None:
        try:
            radius = float(self.radius)
        except (TypeError, ValueError):
            radius = math.nan
        if not (math.isfinite(radius) and radius > 0):
            raise UserError(
                f"the radius of a sphere is a positive finite number, got {self.radius!r}: "
                "give the norm of the latents, or use the Euclidean manifold."
            )
        object.__setattr__(self, "radius", radius)

    def projx(self, x: Tensor) -> Tensor:
        """x (..., d) rescaled to the radius. The origin has no nearest point and gives NaN."""
        return x * (self.radius / _norm(x))

    def proju(self, x: Tensor, v: Tensor) -> Tensor:
        """v (..., d) without its part along x (..., d)."""
        return v - x * ((x * v).sum(-1, keepdim=True) / (x * x).sum(-1, keepdim=True))

    def expmap(self, x: Tensor, v: Tensor) -> Tensor:
        """Follow the great circle from x (..., d) along the tangent v (..., d) for |v|."""
        theta = _norm(v) / self.radius
        return self.projx(torch.cos(theta) * x + torch.sinc(theta / math.pi) * v)

    def logmap(self, x: Tensor, y: Tensor) -> Tensor:
        """The tangent at x (..., d) that expmap carries to y (..., d).

        Coincident points give exact zeros. For antipodal points (to rounding) every direction is as
        short as any other: the answer then is the tangent part of the coordinate axis on which x is
        smallest, of length pi R, the same at every call.
        """
        minus, plus = y - x, y + x
        near = _norm(minus) <= _norm(plus)
        w = self.proju(x, torch.where(near, minus, plus))

        axis = torch.zeros_like(w).scatter(-1, x.expand_as(w).abs().argmin(-1, keepdim=True), 1.0)
        antipodal = _norm(plus) <= 8 * torch.finfo(w.dtype).eps * self.radius
        w = torch.where(antipodal, self.proju(x, axis), w)

        length = _norm(w)
        length = torch.where(length > 0, length, torch.ones_like(length))
        return w * (self.dist(x, y)[..., None] / length)

    def dist(self, x: Tensor, y: Tensor) -> Tensor:
        """R times the angle between x and y (..., d), shape (...): exactly 0 when they coincide."""
        minus = torch.linalg.vector_norm(x - y, dim=-1)
        plus = torch.linalg.vector_norm(x + y, dim=-1)
        return 2 * self.radius * torch.atan2(minus, plus)

    def geodesic(self, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
        """Slerp: x, y (d,) and u (m,) in [0, 1] give (m, d); the ends are exact.

        In general u broadcasts against the leading dimensions of x and y.
        """
        u = torch.as_tensor(u, dtype=x.dtype, device=x.device)[..., None]
        inside = self.expmap(x, u * self.logmap(x, y))
        return torch.where(u == 0, x, torch.where(u == 1, y, inside))
