"""The sphere |x| = R about the origin.

Latents of one noise level lie near a sphere (Yu et al., CVPR 2025). With the angle
theta = 2 atan2(|x - y|, |x + y|), which keeps its digits at both 0 and pi, where acos(x.y) has none:

    dist(x, y)         = R theta
    proju(x, v)        = v - x (x.v) / (x.x)
    expmap(x, v)       = x cos(theta) + v sin(theta)/theta,  theta = |v|/R,  brought back to radius R
    logmap(x, y)       = R theta w/|w|,  w = proju(x, y - x) = proju(x, y + x)
    acceleration(x, v) = -|v|^2 x/R^2

The two forms of w are equal in exact arithmetic; the one with the smaller difference is the one
that does not cancel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from geodesic_lightning.errors import UserError
from geodesic_lightning.geometry import gram
from geodesic_lightning.geometry.rescaling import norm_ratio

ORIGIN = 1e-6  # of the radius: what is nearer to the centre has no nearest point
ANTIPODAL = 1e-4  # of the radius: what is nearer to opposite has no one shortest way


def _norm(v: Tensor) -> Tensor:
    """|v| over the last dimension, which stays with size 1."""
    return torch.linalg.vector_norm(v, dim=-1, keepdim=True)


@dataclass(frozen=True)
class Sphere:
    """The sphere |x| = radius about the origin, of dimension d - 1 in d >= 2 coordinates.

    Raises UserError for a radius that is not a positive finite number.
    """

    radius: float

    line = "great circle"

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

    def undetermined(self, x: Tensor) -> Tensor:
        """Whether x (..., d) is the centre, to a millionth of the radius: bool (...)."""
        return _norm(x)[..., 0] < ORIGIN * self.radius

    def antipodal(self, x: Tensor, y: Tensor) -> Tensor:
        """Whether x and y (..., d) lie opposite, to 1e-4 of the radius: bool (...)."""
        return _norm(x + y)[..., 0] <= ANTIPODAL * self.radius

    def acceleration(self, x: Tensor, v: Tensor) -> Tensor:
        """-|v|^2 x/R^2, shape (..., d): towards the centre."""
        return -((v * v).sum(-1, keepdim=True) * x / self.radius**2)

    def straight(self, x: Tensor, v: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """The great circle from x with the tangent velocity v at times u (...): (..., d) each."""
        u, rate = u[..., None], _norm(v) / self.radius
        sine, cosine = torch.sin(rate * u), torch.cos(rate * u)
        return (
            cosine * x + sine * v / rate.clamp_min(torch.finfo(x.dtype).tiny),
            cosine * v - rate * sine * x,
        )

    def glide(self, x: Tensor, v: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Along the great circle from x with velocity v for time h (...): (..., d) each."""
        step = h[..., None] * v
        there = self.expmap(x, step)
        speed, angle = _norm(v), _norm(step) / self.radius
        carried = (
            torch.cos(angle) * v
            - torch.sign(h)[..., None] * torch.sin(angle) * (speed / self.radius) * x
        )
        carried = self.proju(there, carried)
        return there, carried * (speed / _norm(carried).clamp_min(torch.finfo(v.dtype).tiny))

    def frequencies(self, v: Tensor) -> Tensor:
        """|v|^2/R^2, shape (..., 1)."""
        return v.square().sum(-1, keepdim=True) / self.radius**2

    def centred(self, x: Tensor) -> Tensor:
        """x (..., d) itself: the centre is the origin."""
        return x

    def rates_along(
        self, points: Tensor, scores: Tensor, value: np.ndarray, slope: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """s.x' and |x'|^2, (m,) each, on R x/|x| for the spline x."""
        found = gram.curve(points, scores, value, slope)
        rise, square = found.rise, found.square
        norm = gram.inner(found.here, found.products, found.here)
        radial = gram.inner(found.here, found.products, found.velocity) / norm
        scale = self.radius / np.sqrt(norm)
        rise = scale * (rise - radial * gram.inner(found.score, found.crossed, found.here))
        return rise, scale**2 * (square - radial**2 * norm)

    def statistics(self, x: Tensor) -> Tensor:
        """Norms (n,) of x (n, d)."""
        return x.norm(dim=-1)

    def restoring(self, x: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        """From the radius of x (n, d) to norms own (n,): (n, 1) each."""
        return norm_ratio(x, own)
