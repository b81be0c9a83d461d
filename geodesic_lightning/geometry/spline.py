"""Cubic splines through the nodes of a path, knotted by chord length.

With knots τ_0 = 0 < … < τ_N = 1 proportional to the accumulated chord lengths, a cubic spline is linear in the
nodes: x(τ) = Σ_j B_j(τ) x_j. So one small matrix B, made in float64 from N+1 numbers, serves any dimension.
The boundary condition is not-a-knot: fourth order up to the ends, unlike the natural spline.
"""

from itertools import pairwise

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor


def chord_knots(points: Tensor) -> np.ndarray:
    """Knots τ in [0, 1], (N+1,) float64, of points (N+1, d), proportional to accumulated chord length.

    Coincident neighbours get a sliver of their own, so that knots always increase.
    """
    chords = (points[1:] - points[:-1]).norm(dim=-1).cpu().double().numpy()
    total = chords.sum()
    uniform = np.full_like(chords, 1 / len(chords))
    weights = uniform if total == 0 else (1 - 1e-9) * chords / total + 1e-9 * uniform
    knots = np.concatenate([[0.0], np.cumsum(weights)])
    return knots / knots[-1]


def basis(knots: np.ndarray, at: np.ndarray, order: int = 0, closed: bool = False) -> np.ndarray:
    """Matrix (len(at), N+1) that takes nodes to the spline's `order`-th derivative at the places `at`.

    `closed`: the last node is the first again, and the curve passes it as smoothly as any other.
    """
    nodes = np.eye(len(knots))
    if not closed:
        return CubicSpline(knots, nodes)(at, order)
    nodes[-1] = nodes[0]
    return CubicSpline(knots, nodes, bc_type="periodic")(at, order)


def evaluate(
    points: Tensor,
    at: np.ndarray,
    order: int = 0,
    knots: np.ndarray | None = None,
    closed: bool = False,
) -> Tensor:
    """The spline through points (N+1, d) at places (m,) in [0, 1]: (m, d), in the points' dtype."""
    knots = chord_knots(points) if knots is None else knots
    matrix = basis(knots, at, order, closed)
    return torch.as_tensor(matrix, dtype=points.dtype, device=points.device) @ points


def equal_arc_places(points: Tensor, segments: int, fine: int = 16) -> np.ndarray:
    """Places (segments+1,) that cut the spline through points (N+1, d) into pieces of equal arc length."""
    knots = chord_knots(points)
    grid = np.unique(np.concatenate([np.linspace(a, b, fine + 1) for a, b in pairwise(knots)]))
    speed = evaluate(points, grid, order=1, knots=knots).norm(dim=-1).cpu().double().numpy()
    arc = CubicSpline(grid, speed).antiderivative()(grid)
    return (
        np.interp(np.linspace(0, 1, segments + 1), arc / arc[-1], grid)
        if arc[-1] > 0
        else (np.linspace(0, 1, segments + 1))
    )


def resample(points: Tensor, segments: int) -> Tensor:
    """Points (segments+1, d) at equal arc length on the spline through points (N+1, d); ends exact."""
    fresh = evaluate(points, equal_arc_places(points, segments))
    fresh[0], fresh[-1] = points[0], points[-1]
    return fresh
