"""How far a curve through given points departs from a geodesic of the density, point by point.

A geodesic bends as the density pulls: P γ''/|γ'|² = −αPs. On a cubic spline through the points, at
each interior one,

    bend      κ = P γ''/|γ'|²       whatever the points' spacing in time
    pull      αPs
    residual  |κ + αPs|             0 on a geodesic
    angle     between −κ and Ps     0 on a geodesic, π/2 where the bend ignores the density

Bend, pull and residual are in radians per latent unit of distance: times a distance they are
angles. On a sphere all are tangent to it. Long curves are taken in windows that overlap by as many
points as it takes for a spline to forget its ends (each further point counts 0.27 of the last), so
that time and memory grow as their number of points does.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from geodesic_lightning.functional import quadrature
from geodesic_lightning.functional.added import added
from geodesic_lightning.functional.length import across
from geodesic_lightning.functional.quadrature import Measurement
from geodesic_lightning.geometry import spline
from geodesic_lightning.geometry.manifold import Manifold

WINDOW, OVERLAP = 256, 24


@dataclass(frozen=True)
class Departure:
    """What is found at the interior points, each (N−1,) float64, and between all points.

    Attributes:
        bend, pull, residual, angle: as above.
        zigzag: radians between the steps that lead to and from a point.
        steps: (N,) distances between neighbours.
    """

    bend: Tensor
    pull: Tensor
    residual: Tensor
    angle: Tensor
    zigzag: Tensor
    steps: Tensor

    @property
    def spans(self) -> Tensor:
        """The distance that each interior point stands for: half of its steps, (N−1,)."""
        return (self.steps[1:] + self.steps[:-1]) / 2

    @property
    def imbalance(self) -> float:
        """∫|κ + αPs| ds over ∫(|κ| + |αPs|) ds: 0 on a geodesic, 1 where they share nothing."""
        whole = float(((self.bend + self.pull) * self.spans).sum())
        return float((self.residual * self.spans).sum()) / whole if whole > 0 else 0.0

    @property
    def turning(self) -> float:
        """∫|κ| ds: radians by which the curve turns in all."""
        return float((self.bend * self.spans).sum())


def departure(points: Tensor, scores: Tensor, alpha: float, manifold: Manifold) -> Departure:
    """The departure of the spline through points (N+1, d), N ≥ 2, with scores (N+1, d)."""
    points, scores = points.cpu(), scores.cpu()  # not every device has float64
    parts = []
    for low, first, last, high in windows(len(points)):
        x, s = points[low:high].double(), scores[low:high].double()
        parts.append([part[first - low : last - low] for part in _local(x, s, alpha, manifold)])
    bend, pull, residual, angle = (torch.cat(column)[1:-1] for column in zip(*parts))
    steps = manifold.dist(points[:-1].double(), points[1:].double())
    return Departure(bend, pull, residual, angle, _zigzag(points.double(), manifold), steps)


def _zigzag(points: Tensor, manifold: Manifold) -> Tensor:
    """Angles (N−1,) between the steps that lead to and from each interior point."""
    here = points[1:-1]
    on, back = unit(manifold.logmap(here, points[2:])), unit(manifold.logmap(here, points[:-2]))
    return (2 * torch.atan2((on + back).norm(dim=-1), (on - back).norm(dim=-1))).cpu()


def _local(x: Tensor, s: Tensor, alpha: float, manifold: Manifold) -> tuple[Tensor, ...]:
    """Bend, pull, residual and angle at all points of one window, the ends included."""
    knots = spline.chord_knots(x)
    velocity = manifold.proju(x, spline.evaluate(x, knots, 1, knots))
    speed = velocity.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)
    tangent = velocity / speed
    bend = across(manifold.proju(x, spline.evaluate(x, knots, 2, knots)), tangent) / speed**2
    force = across(manifold.proju(x, s), tangent)
    a, b = unit(-bend), unit(force)
    angle = 2 * torch.atan2((a - b).norm(dim=-1), (a + b).norm(dim=-1))
    pull = alpha * force
    return bend.norm(dim=-1), pull.norm(dim=-1), (bend + pull).norm(dim=-1), angle


def unit(v: Tensor) -> Tensor:
    """v/|v| over the last dimension, 0 for 0."""
    return v / v.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(v.dtype).tiny)


def windows(
    count: int, window: int = WINDOW, overlap: int = OVERLAP
) -> Iterator[tuple[int, int, int, int]]:
    """(low, first, last, high): points low … high − 1 tell of points first … last − 1."""
    for first in range(0, count, window):
        last = min(first + window, count)
        yield max(first - overlap, 0), first, last, min(last + overlap, count)


def measure(points: Tensor, scores: Tensor, alpha: float, manifold: Manifold) -> Measurement:
    """As quadrature.measure, for any number of points: windows that share an end are added up."""
    if len(points) <= 2 * WINDOW:
        return quadrature.measure(points, scores, alpha, manifold)
    edges = [*range(0, len(points) - WINDOW, WINDOW), len(points) - 1]
    parts = [
        quadrature.measure(points[low : high + 1], scores[low : high + 1], alpha, manifold)
        for low, high in pairwise(edges)
    ]
    return added(parts, alpha)
