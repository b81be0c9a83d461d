"""Rounding the corners of a path of geodesic legs: one tangent at every keyframe.

The shortest path through fixed keyframes has a corner at each. Let t₋ and t₊ be the unit tangents
with which two legs enter and leave a keyframe, and h₋, h₊ the parts of their lengths that may be
bent (h = rounding · length). The common tangent

    m = (h₋t₋ + h₊t₊)/|h₋t₋ + h₊t₊|

and on either side the displacement, at distance s from the keyframe,

    c(s) = ±(m − t±) s (1 − s/h)²,   c(0) = 0,  c'(0) = ±(m − t±),  c(h) = c'(h) = 0,

make the curve continuously differentiable, leave every keyframe where it is and the legs beyond h
untouched. In flat space, to second order in the angle θ by which the corner turns, this costs a
length of

    ΔS = (1/15)(h₋ sin²θ₋ + h₊ sin²θ₊),   θ± = ∠(m, t±),   ∫₀¹ ((1 − r)(1 − 3r))² dr = 2/15,

and the m above is the tangent for which it is least. Where a path turns straight back (θ near π) it
has no tangent there to speak of, and keeps its cusp.
"""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from geodesic_lightning.geometry import spline
from geodesic_lightning.geometry.manifold import Manifold

ENDS = np.array([0.0, 1.0])
STRAIGHT_BACK = 1e-3  # |t₋ + t₊| below which a corner is a cusp


def end_tangents(points: Tensor) -> tuple[Tensor, Tensor]:
    """Unit tangents (2, d) at both ends of the spline through points (N+1, d), and its length."""
    slopes = spline.evaluate(points, ENDS, order=1) if len(points) > 3 else _secants(points)
    return slopes / slopes.norm(dim=-1, keepdim=True), (points[1:] - points[:-1]).norm(dim=-1).sum()


def _secants(points: Tensor) -> Tensor:
    return torch.stack([points[1] - points[0], points[-1] - points[-2]])


def turning_angles(legs: list[Tensor], closed: bool) -> list[float]:
    """Radians by which the path turns at each keyframe between two of its legs (each (N+1, d)).

    One for every keyframe but the ends; for a closed path one for every keyframe, the first first.
    """
    return [
        float(2 * torch.atan2((a - b).norm(), (a + b).norm())) for a, b in _corners(legs, closed)
    ]


def _corners(legs: list[Tensor], closed: bool) -> list[tuple[Tensor, Tensor]]:
    tangents = [end_tangents(points)[0] for points in legs]
    inner = list(pairwise(tangents))
    pairs = [(tangents[-1], tangents[0]), *inner] if closed else inner
    return [(before[1], after[0]) for before, after in pairs]


def rounded(
    legs: list[Tensor], manifold: Manifold, rounding: float, closed: bool = False
) -> list[Tensor]:
    """The legs, each (N+1, d), with the corners between them rounded; ends and keyframes stay.

    Args:
        rounding: part of each leg's length, from either keyframe, in [0, 1]; 0 keeps the corners.
        closed: the last leg ends where the first begins.
    """
    if rounding == 0 or (len(legs) == 1 and not closed):
        return legs
    found = [end_tangents(points) for points in legs]
    bent = [points.clone() for points in legs]
    count = len(legs)
    for before in range(count if closed else count - 1):
        after = (before + 1) % count
        entering, leaving = found[before][0][1], found[after][0][0]
        if (entering + leaving).norm() < STRAIGHT_BACK:
            continue
        reach = [rounding * found[leg][1] for leg in (before, after)]
        middle = reach[0] * entering + reach[1] * leaving
        middle = middle / middle.norm()
        bent[before] += _bump(legs[before].flip(0), entering - middle, reach[0]).flip(0)
        bent[after] += _bump(legs[after], middle - leaving, reach[1])
    return [
        torch.cat([old[:1], manifold.projx(new[1:-1]), old[-1:]]) for old, new in zip(legs, bent)
    ]


def _bump(points: Tensor, slope: Tensor, reach: Tensor) -> Tensor:
    """c at points (N+1, d), counted from the first of them."""
    chords = (points[1:] - points[:-1]).norm(dim=-1)
    away = torch.cat([chords.new_zeros(1), chords.cumsum(0)])
    weight = away * (1 - away / reach).clamp_min(0).square()
    return weight[:, None] * slope
