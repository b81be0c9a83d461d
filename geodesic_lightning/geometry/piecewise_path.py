"""A path through keyframes: one leg, a path between fixed ends, from each keyframe to the next.

Fixed keyframes take the problem apart: every leg is a geodesic of its own, and nothing but the
batch in which they are scored joins them. Along the chain the places w in [0, 1] give each of the K
legs an equal share, so that keyframe k is always at w = k/K, whatever the legs' lengths; inside a
leg w grows evenly with distance. The film runs evenly with distance all along: `by_distance` goes
from the part u of the whole distance to the place w.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from geodesic_lightning.errors import UserError
from geodesic_lightning.geometry import spline
from geodesic_lightning.geometry.corner_rounding import rounded, turning_angles
from geodesic_lightning.geometry.manifold import Manifold
from geodesic_lightning.geometry.path import Path

FINE = 16  # of the ruler, parts of a piece


class PiecewisePath(nn.Module):
    """Legs between keyframes; its parameters are the legs' nodes and nothing else.

    Args:
        stops: the keyframes (n, *shape), n ≥ 2; they are put on the manifold.
        manifold: of all legs.
        segments: pieces of each leg.
        closed: one more leg leads from the last keyframe back to the first.
        rounding: part of each leg, from either keyframe, that `round` may bend; 0 to 1.

    Raises:
        UserError: neighbouring keyframes coincide or are antipodal, or there are too few.
    """

    def __init__(
        self,
        stops: Tensor,
        manifold: Manifold,
        segments: int = 2,
        closed: bool = False,
        rounding: float = 0.3,
    ) -> None:
        super().__init__()
        if len(stops) < (3 if closed else 2):
            raise UserError(_too_few(len(stops), closed))
        if not 0 <= rounding <= 1:
            raise UserError(f"data.rounding: got {rounding}, expected a number from 0 to 1.")
        ring = torch.cat([stops, stops[:1]]) if closed else stops
        self.manifold, self.shape = manifold, stops.shape[1:]
        self.closed, self.rounding = closed, rounding
        self.legs = cast(
            "Sequence[Path]",
            nn.ModuleList(Path(a, b, manifold, segments) for a, b in pairwise(ring)),
        )

    # -- the same questions that a Path answers ---

    @property
    def start(self) -> Tensor:
        return self.legs[0].start

    @property
    def end(self) -> Tensor:
        return self.legs[-1].end

    @property
    def segments(self) -> int:
        """Pieces of the whole chain."""
        return sum(leg.segments for leg in self.legs)

    @property
    def u(self) -> Tensor:
        """Places w of all nodes in [0, 1]."""
        k = len(self.legs)
        parts = [(i + leg.u[:-1]) / k for i, leg in enumerate(self.legs)]
        return torch.cat([*parts, parts[0].new_ones(1)])

    @property
    def nodes(self) -> Tensor:
        """All points but the two ends, in the latent's own shape: nodes, and keyframes between."""
        return self.chart(self.points()[1:-1])

    def points(self) -> Tensor:
        """All points of all legs, flat and detached, each keyframe once."""
        return joined([leg.points() for leg in self.legs])

    def baseline(self, segments: int) -> Tensor:
        """The manifold's own geodesics between the keyframes, `segments` pieces each."""
        return joined([leg.baseline(segments) for leg in self.legs])

    def chart(self, flat: Tensor) -> Tensor:
        """Flat points (m, d) in the latent's own shape (m, *shape)."""
        return flat.reshape(-1, *self.shape)

    @torch.no_grad()
    def set_nodes(self, interior: Tensor) -> None:
        """Put all points but the ends, as many to every leg; keyframes stay where they are."""
        pieces = (len(interior) + 1) // len(self.legs)
        for k, leg in enumerate(self.legs):
            leg.set_nodes(interior[k * pieces : (k + 1) * pieces - 1])

    def refine(self, segments: int) -> None:
        """Resample every leg to `segments` pieces of equal arc length."""
        for leg in self.legs:
            leg.refine(segments)

    def at(self, w: Tensor) -> Tensor:
        """Points (m, d) at places w (m,) on one spline through all nodes."""
        points, ruler = self.points(), self._ruler()
        places = np.interp(_numpy(w), ruler.w, ruler.knots)
        knots = spline.chord_knots(points)
        return self.manifold.projx(spline.evaluate(points, places, knots=knots, closed=self.closed))

    # -- what only a chain can say ---

    @property
    def stops(self) -> Tensor:
        """Places w of the keyframes, the first again at 1 where the path is closed: (K+1,)."""
        return torch.linspace(0, 1, len(self.legs) + 1, dtype=torch.float64)

    def by_distance(self, u: Tensor) -> Tensor:
        """Places w at the parts u (m,) of the distance along the whole path."""
        ruler = self._ruler()
        return torch.from_numpy(np.interp(_numpy(u), ruler.u, ruler.w)).to(u.dtype)

    @property
    def keyframe_places(self) -> list[float]:
        """u of each keyframe: the part of the distance along the path at which it stands."""
        ruler = self._ruler()
        return np.interp(_numpy(self.stops), ruler.w, ruler.u).tolist()

    @property
    def angles(self) -> list[float]:
        """Radians by which the legs turn at the keyframes between them."""
        return turning_angles([leg.points() for leg in self.legs], self.closed)

    def round(self) -> Tensor:
        """Round the corners at the keyframes; the same number of nodes. Returns the points before."""
        sharp, legs = self.points(), [leg.points() for leg in self.legs]
        for leg, points in zip(self.legs, rounded(legs, self.manifold, self.rounding, self.closed)):
            leg.set_nodes(points[1:-1])
        return sharp

    def _ruler(self) -> "_Ruler":
        points = self.points()
        knots = spline.chord_knots(points)
        grid = np.linspace(knots[:-1], knots[1:], FINE, endpoint=False, axis=1).ravel()
        grid = np.append(grid, knots[-1])
        slopes = spline.evaluate(points, grid, order=1, knots=knots, closed=self.closed)
        speed = slopes.norm(dim=-1).cpu().double().numpy()
        arc = np.concatenate([[0.0], np.cumsum((speed[1:] + speed[:-1]) / 2 * np.diff(grid))])
        first = FINE * np.cumsum([0, *(leg.segments for leg in self.legs)])
        w = np.empty_like(arc)
        for k, (a, b) in enumerate(pairwise(first)):
            w[a : b + 1] = (k + (arc[a : b + 1] - arc[a]) / (arc[b] - arc[a])) / len(self.legs)
        return _Ruler(grid, arc / arc[-1], w)


class _Ruler:
    """The same places three ways: knots of the spline, by distance, and leg by leg."""

    def __init__(self, knots: np.ndarray, u: np.ndarray, w: np.ndarray) -> None:
        self.knots, self.u, self.w = knots, u, w


def joined(legs: list[Tensor]) -> Tensor:
    """Legs (N+1, d), each beginning where the last one ended, as one row of points."""
    return torch.cat([*(points[:-1] for points in legs), legs[-1][-1:]])


def _too_few(count: int, closed: bool) -> str:
    if not closed:
        return f"data: got {count} images, expected at least 2: a path joins two or more."
    return (
        f"data.closed: got {count} images, expected at least 3 for a loop: a film of two comes "
        "back "
        "with callbacks.video.ping_pong=true."
    )


def _numpy(values: Tensor) -> np.ndarray:
    return values.detach().cpu().double().numpy()
