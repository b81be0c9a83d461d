"""Geodesics that can be written down: a constant score, and one round normal density.

Constant score g in the plane. With c = -alpha |g| and zeta = y + ix (y along g, x across it) the
metric is |dzeta| |e^{c zeta}| = |d e^{c zeta}|/|c|: flat in the coordinate e^{c zeta}. Hence

    zeta(u) = log((1 - u) e^{c zeta_A} + u e^{c zeta_B}) / c
    S       = |e^{c (zeta_B - zeta_A)} - 1| / |c|,          for |c| |x_B - x_A| < pi.

Round normal density N(0, sigma^2 I). The index n(r) = exp(beta r^2/2), beta = alpha/sigma^2,
depends on the radius only, so n r sin(angle to the radius) = C is constant along it (Clairaut).
With the nearest radius r_0, C = n(r_0) r_0 and r^2 = r_0^2 + s^2 the singular root drops out:

    dtheta = C ds / (r^2 h),   dS = n(r)^2 ds / h,
    h^2 = (n^2 r^2 - C^2)/s^2 = e^{beta r_0^2} (r_0^2 expm1(beta s^2)/s^2 + e^{beta s^2}),

and r_0 is the root of theta(r_A) + theta(r_B) = the angle between the ends (both smooth integrals).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.optimize import brentq
from torch import Tensor

from geodesic_lightning.models.exact.density import Density
from geodesic_lightning.models.exact.families import Mixture, Slope

__all__ = ["closed_form", "constant_score", "gaussian"]


def constant_score(problem: Slope, u: Tensor) -> tuple[Tensor, float]:
    """Points (m, 2) at u (m,) of the geodesic between the ends, and its length.

    Raises ValueError where the ends lie too far apart across the slope for a geodesic to exist.
    """
    size = problem.slope.norm()
    up = problem.slope / size
    across = torch.stack((up[1], -up[0]))
    c = -problem.alpha * float(size)
    step = problem.ends[1] - problem.ends[0]
    if abs(c * float(step @ across)) >= math.pi:
        raise ValueError(
            f"the ends are {abs(c * float(step @ across)):.3g} apart across the slope in units of "
            "1/(alpha |g|), expected less than pi: move them closer or lower alpha."
        )
    growth = torch.exp(c * torch.complex(step @ up, step @ across)) - 1
    zeta = torch.log(1 + u * growth) / c
    points = problem.ends[0] + zeta.real[:, None] * up + zeta.imag[:, None] * across
    return points, float(growth.abs()) / abs(c)


def gaussian(problem: Mixture, count: int = 2001) -> tuple[Tensor, float]:
    """Points (count, 2) along the geodesic of a single normal density in the plane, and its length.

    Raises ValueError if the radius is monotone along the geodesic (no nearest point inside).
    """
    centre, beta = problem.means[0], problem.alpha / problem.sigma**2
    a, b = (problem.ends - centre).numpy()
    ra, rb = float(np.hypot(*a)), float(np.hypot(*b))
    angle = math.atan2(a[0] * b[1] - a[1] * b[0], float(a @ b))
    nodes, weights = np.polynomial.legendre.leggauss(200)

    def rates(q: float, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """dtheta/ds and dS/ds at s, for the nearest squared radius q."""
        grown = beta * s * s
        slope = np.where(grown > 0, np.expm1(grown) / np.where(s == 0, 1, s * s), beta)
        h = np.exp(beta * q / 2) * np.sqrt(q * slope + np.exp(grown))
        turn = math.sqrt(q) * math.exp(beta * q / 2) / ((q + s * s) * h)
        return turn, np.exp(beta * (q + s * s)) / h

    def integral(q: float, end: float, which: int) -> float:
        return float((weights * rates(q, end * (nodes + 1) / 2)[which]).sum() * end / 2)

    def excess(q: float) -> float:
        return sum(integral(q, math.sqrt(r * r - q), 0) for r in (ra, rb)) - abs(angle)

    nearest, most = 1e-6 * min(ra, rb) ** 2, min(ra, rb) ** 2 * (1 - 1e-12)
    if excess(nearest) * excess(most) > 0:
        raise ValueError(
            f"the radius is monotone on the geodesic from {a.tolist()} to {b.tolist()}, expected a "
            "nearest point between them: choose ends on opposite sides of the centre."
        )
    q = brentq(excess, nearest, most, xtol=1e-15, rtol=1e-14)
    sa, sb = math.sqrt(ra * ra - q), math.sqrt(rb * rb - q)
    length = (integral(q, sa, 1) + integral(q, sb, 1)) / math.exp(beta * ra * ra / 2)

    s = np.linspace(-sa, sb, count)
    turned = np.array([math.copysign(integral(q, abs(v), 0), v) for v in s])
    theta = math.atan2(a[1], a[0]) + math.copysign(1, angle) * (turned - turned[0])
    radius = np.sqrt(q + s * s)[:, None]
    points = torch.from_numpy(radius * np.stack((np.cos(theta), np.sin(theta)), -1)) + centre
    points[0], points[-1] = problem.ends
    return points, length


def closed_form(problem: Density) -> tuple[Tensor, float] | None:
    """Dense points (m, d) of the geodesic between the standard ends and its length, or None."""
    if isinstance(problem, Slope):
        return constant_score(problem, torch.linspace(0, 1, 2001, dtype=torch.float64))
    if isinstance(problem, Mixture) and len(problem.means) == 1 and problem.dimension == 2:
        return gaussian(problem)
    return None
