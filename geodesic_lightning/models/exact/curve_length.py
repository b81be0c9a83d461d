"""The length of a curve through given nodes, to quadrature accuracy, and its even resampling.

A cubic spline (not-a-knot, accumulated distance as the parameter) goes through the nodes x_0 to
x_N; Gauss-Legendre quadrature on each of its pieces gives

    S = int |c'| exp(-alpha (log p(c) - log p(x_0))) dt,

with the exact log p. On a sphere of radius R the curve is R c/|c| and its velocity the tangent part
of R c'/|c|. Every number so obtained is the true length of an admissible curve, hence never below
the length of the shortest geodesic (up to the quadrature, which has ten points a piece).
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor

from geodesic_lightning.geometry.manifold import Sphere
from geodesic_lightning.models.exact.density import Density

__all__ = ["curve_length", "resample"]


def _spline(density: Density, nodes: Tensor) -> CubicSpline:
    distance = density.manifold.dist(nodes[1:], nodes[:-1]).numpy()
    return CubicSpline(np.concatenate(([0.0], np.cumsum(distance))), nodes.numpy())


def _curve(density: Density, spline: CubicSpline, t: np.ndarray) -> tuple[Tensor, Tensor]:
    """Points (m, d) and the norms (m,) of the velocity dc/dt."""
    c, velocity = torch.from_numpy(spline(t)), torch.from_numpy(spline(t, 1))
    if isinstance(density.manifold, Sphere):
        velocity = density.manifold.proju(c, velocity)
        scale = density.manifold.radius / c.norm(dim=-1, keepdim=True)
        c, velocity = c * scale, velocity * scale
    return c, velocity.norm(dim=-1)


def curve_length(density: Density, nodes: Tensor, alpha: float | None = None) -> float:
    """S of the spline through nodes (N + 1, d) float64, N >= 3; alpha None is the density's."""
    alpha = density.alpha if alpha is None else alpha
    spline = _spline(density, nodes)
    points, weights = np.polynomial.legendre.leggauss(10)
    step = np.diff(spline.x)[:, None]
    t = spline.x[:-1, None] + step * (points + 1) / 2
    c, speed = _curve(density, spline, t.ravel())
    relative = density.log_density(c) - density.log_density(nodes[:1])
    weight = torch.from_numpy((step * weights / 2).ravel())
    return float((weight * speed * torch.exp(-alpha * relative)).sum())


def resample(density: Density, nodes: Tensor, count: int) -> Tensor:
    """count points (count, d) at equal distances along the spline through nodes; the ends exact."""
    spline = _spline(density, nodes)
    fine = np.linspace(0, spline.x[-1], 20 * count + 1)
    _, speed = _curve(density, spline, fine)
    arc = np.concatenate(([0.0], np.cumsum((speed[1:] + speed[:-1]).numpy())))
    t = np.interp(np.linspace(0, arc[-1], count), arc, fine)
    points, _ = _curve(density, spline, t)
    points[0], points[-1] = nodes[0], nodes[-1]
    return points
