"""Measuring a path to fourth order: length, energy, log density and what is left of the geodesic equation.

A cubic spline through the nodes carries the path, another one the scores; log p is the integral of s·x' along it, the
length that of p^(−α)|x'|, both by Gauss points on each piece. Densities are relative to the path's start.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from geodesic_lightning.functional.excess import predicted_excess
from geodesic_lightning.functional.length import residual
from geodesic_lightning.geometry import spline
from geodesic_lightning.geometry.manifold import Manifold

MARGIN = 1.25  # with it 19 of 20 lengths are within their error bar (docs/known_answers.md)


@dataclass(frozen=True)
class Measurement:
    """A path measured to fourth order.

    Attributes:
        u: (N+1,) places of the nodes.
        log_density: (N+1,) nats, relative to u = 0.
        log_density_error: largest difference to the same measured on every second node, in nats.
        length, energy: S and E, relative to p(γ(0)) = 1.
        length_error: |S_N − S_{N/2}|, a bound for the error of `length` where the path is resolved.
        euclidean_length: ∫|γ'| du in latent units.
        metric_speed: (N+1,) |γ'| p^(−α) per unit of arc length fraction.
        turning: (N−1,) unexplained turning per node, radians over the whole path.
        score_norm: (N+1,) |s|.
        predicted_excess: relative, of the length over the geodesic's near it; NaN where none is predicted.
    """

    u: Tensor
    log_density: Tensor
    log_density_error: float
    length: float
    energy: float
    length_error: float
    euclidean_length: float
    metric_speed: Tensor
    turning: Tensor
    score_norm: Tensor
    predicted_excess: float = float("nan")

    @property
    def geodesic_error(self) -> float:
        """How far `length` may be from that of the geodesic near the path: MARGIN (|S_N − S_{N/2}| + 2ηS).

        Twice the excess η, since a path of N pieces is off by about as much again where its residual is 0.
        Without a predicted excess it is the quadrature's part alone.
        """
        excess = self.predicted_excess if math.isfinite(self.predicted_excess) else 0.0
        return MARGIN * (self.length_error + 2 * excess * self.length)


def measure(points: Tensor, scores: Tensor, alpha: float, manifold: Manifold) -> Measurement:
    """Measure the spline through points (N+1, d) with scores (N+1, d), N ≥ 2.

    Between the nodes the score is the spline of the nodes' scores, so that log p, and with it the
    length, is integrated along the very curve by Gauss quadrature on each piece: no evaluations
    beyond the nodes'. Fourth order; exact in log p where the score is affine in x.
    """
    points, scores = points.cpu().double(), manifold.proju(points, scores).cpu().double()
    whole = _integrate(points, scores, alpha, manifold)
    halved = len(points) % 2 == 1 and len(points) > 4
    half = _integrate(points[::2], scores[::2], alpha, manifold) if halved else None
    bend = residual(points, scores[1:-1], alpha, manifold)
    return Measurement(
        u=torch.from_numpy(whole.knots),
        log_density=torch.from_numpy(whole.log_density),
        log_density_error=(
            float(np.abs(whole.log_density[::2] - half.log_density).max()) if half else float("nan")
        ),
        length=whole.length,
        energy=whole.energy,
        length_error=abs(whole.length - half.length) if half else float("nan"),
        euclidean_length=whole.euclidean,
        metric_speed=torch.from_numpy(whole.metric_speed),
        turning=bend.turning.cpu(),
        score_norm=scores.norm(dim=-1).cpu(),
        predicted_excess=predicted_excess(bend.across, bend.spacing),
    )


@dataclass(frozen=True)
class _Integrals:
    knots: np.ndarray
    log_density: np.ndarray
    metric_speed: np.ndarray
    length: float
    energy: float
    euclidean: float


# Six Gauss points a piece: score (cubic) times velocity (quadratic) is of degree five there.
GAUSS, WEIGHTS = np.polynomial.legendre.leggauss(6)
# Row i takes values at the Gauss points of [−1, 1] to their integral from −1 to the i-th.
PARTIAL = np.stack(
    [
        np.polynomial.legendre.legval(GAUSS, np.polynomial.legendre.legint(row, lbnd=-1))
        for row in np.linalg.inv(np.polynomial.legendre.legvander(GAUSS, 5)).T
    ]
).T


def _integrate(points: Tensor, scores: Tensor, alpha: float, manifold: Manifold) -> _Integrals:
    knots = spline.chord_knots(points)
    half = np.diff(knots)[:, None] / 2
    slope, speed = _along(points, scores, manifold, knots, knots[:-1, None] + half * (GAUSS + 1))
    log_density = np.concatenate([[0.0], np.cumsum(half[:, 0] * (slope @ WEIGHTS))])
    weights = half * WEIGHTS
    with np.errstate(over="ignore"):  # at an exponent beyond all measure the length is infinite
        passed = log_density[:-1, None] + half * (slope @ PARTIAL.T)
        metric_speed = speed * np.exp(-alpha * passed)
        return _Integrals(
            knots,
            log_density,
            _along(points, scores, manifold, knots, knots)[1] * np.exp(-alpha * log_density),
            float((weights * metric_speed).sum()),
            float((weights * metric_speed**2).sum()),
            float((weights * speed).sum()),
        )


def _along(
    points: Tensor, scores: Tensor, manifold: Manifold, knots: np.ndarray, places: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """s·x' and |x'|, each like places, on the spline through points, brought to the manifold."""
    at = places.ravel()
    rise, square = manifold.rates_along(
        points, scores, spline.basis(knots, at), spline.basis(knots, at, 1)
    )
    return rise.reshape(places.shape), np.sqrt(square.clip(0)).reshape(places.shape)
