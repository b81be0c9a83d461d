"""A plane through a path, to draw a density of any dimension on.

In the plane itself the chart is the identity. In d > 2 dimensions, with m the middle of the ends,

    e1 = the direction of log_m(end) - log_m(start),
    e2 = the first principal direction of the path's deviation from that chord, perpendicular to e1,

and the point of the manifold at coordinates (a, b) is exp_m(a e1 + b e2). On flat space this is the
plane through the ends and the path's largest deviation; on a sphere the great circle between the
ends is the horizontal axis. Where the path is straight, e2 follows the mean score on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from geodesic_lightning.models.exact.density import Density

__all__ = ["Chart", "chart_of"]


@dataclass(frozen=True, eq=False)
class Chart:
    """centre (d,) on the manifold and two orthonormal tangent axes (2, d) there."""

    density: Density
    centre: Tensor
    axes: Tensor

    def coordinates(self, points: Tensor) -> Tensor:
        """Points (n, d) to plane coordinates (n, 2)."""
        return self.density.manifold.logmap(self.centre, points.to(self.centre)) @ self.axes.T

    def points(self, coordinates: Tensor) -> Tensor:
        """Plane coordinates (n, 2) to points (n, d)."""
        return self.density.manifold.expmap(self.centre, coordinates @ self.axes)


def _unit(v: Tensor) -> Tensor:
    return v / v.norm()


def chart_of(density: Density, path: Tensor) -> Chart:
    """The chart for a path (n, d), n >= 1, float64; its first and last points are the ends."""
    if density.dimension == 2:
        eye = torch.eye(2, dtype=torch.float64)
        return Chart(density, torch.zeros(2, dtype=torch.float64), eye)
    ends = path[[0, -1]] if len(path) > 1 else density.ends
    manifold = density.manifold
    centre = manifold.geodesic(ends[0], ends[1], torch.tensor([0.5]))[0]
    logs = manifold.logmap(centre, torch.cat((ends, path)))
    chord = logs[1] - logs[0]
    first = _unit(chord)

    deviation = logs - logs[0]
    deviation = deviation - (deviation @ first)[:, None] * first
    second = torch.linalg.svd(deviation, full_matrices=False).Vh[0]
    if deviation.norm(dim=-1).max() < 1e-3 * chord.norm():
        second = manifold.proju(centre, density.score(path).mean(0))
    second = second - (second @ first) * first
    second = _unit(second - (second @ first) * first)
    if (deviation @ second).sum() < 0:
        second = -second
    return Chart(density, centre, torch.stack((first, second)))
