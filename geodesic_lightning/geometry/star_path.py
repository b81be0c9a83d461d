"""Legs from several fixed points to one that moves: what a mean is found on.

Leg k leads from point k to the centre. The centre belongs to all legs at once, and only `move`
moves it: the legs follow, each node by the part of the move that it has gone of its leg.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from geodesic_lightning.errors import UserError
from geodesic_lightning.geometry.manifold import Manifold
from geodesic_lightning.geometry.path import Path


class StarPath(nn.Module):
    """Legs to a common centre, which begins at the manifold's own projected mean.

    Args:
        stops: the fixed points (n, *shape), n ≥ 2; they are put on the manifold.
        manifold: of all legs.
        segments: pieces of each leg.

    Raises:
        UserError: there are fewer than two points, or no centre between them on the sphere.
    """

    closed = False
    stops: None = None  # its film is of several paths

    def __init__(self, stops: Tensor, manifold: Manifold, segments: int = 2) -> None:
        super().__init__()
        if len(stops) < 2:
            raise UserError(
                f"data: got {len(stops)} images, expected at least 2: a mean is of several."
            )
        self.manifold, self.shape = manifold, stops.shape[1:]
        points = manifold.projx(stops.flatten(1))
        flat = points.mean(0)
        if bool(manifold.undetermined(flat)):
            raise UserError(
                "data: the points lie all around the sphere and have no mean on it: leave one out."
            )
        centre = manifold.projx(flat)
        if (manifold.dist(points, centre) <= 1e-6 * points.norm(dim=-1).max()).any():
            # One of the points is the mean already; a leg of no length has no direction.
            centre = manifold.projx(flat + 1e-3 * (points[0] - points[-1]))
        self.legs = cast(
            "Sequence[Path]",
            nn.ModuleList(Path(a, centre.reshape(self.shape), manifold, segments) for a in stops),
        )

    @property
    def angles(self) -> list[float]:
        """None: nothing passes through the centre."""
        return []

    @property
    def start(self) -> Tensor:
        return self.legs[0].start

    @property
    def end(self) -> Tensor:
        """The centre."""
        return self.legs[0].end

    @property
    def segments(self) -> int:
        """Pieces of all legs."""
        return sum(leg.segments for leg in self.legs)

    @property
    def u(self) -> Tensor:
        """Places of all nodes, leg after leg."""
        k = len(self.legs)
        return torch.cat([(i + leg.u) / k for i, leg in enumerate(self.legs)])

    @property
    def nodes(self) -> Tensor:
        """All nodes of all legs and the centre, in the latent's own shape."""
        inner = [leg.points()[1:-1] for leg in self.legs]
        return self.chart(torch.cat([*inner, self.end.reshape(1, -1)]))

    def points(self) -> Tensor:
        """All points of all legs, flat and detached; the centre once for every leg."""
        return torch.cat([leg.points() for leg in self.legs])

    def baseline(self, segments: int) -> Tensor:
        """The manifold's own geodesics from the fixed points to the centre."""
        return torch.cat([leg.baseline(segments) for leg in self.legs])

    def chart(self, flat: Tensor) -> Tensor:
        """Flat points (m, d) in the latent's own shape (m, *shape)."""
        return flat.reshape(-1, *self.shape)

    @torch.no_grad()
    def set_nodes(self, interior: Tensor) -> None:
        """Put all points of all legs but the very first and last; ends stay where they are."""
        pieces = (len(interior) + 2) // len(self.legs)
        for k, leg in enumerate(self.legs):
            leg.set_nodes(interior[k * pieces : (k + 1) * pieces - 2])

    @torch.no_grad()
    def move(self, step: Tensor) -> None:
        """Move the centre by the tangent vector step (d,), and the legs after it."""
        old = self.end.reshape(-1).clone()
        new = self.manifold.expmap(old, step)
        for leg in self.legs:
            inner = leg.points()[1:-1]
            share = leg.u[1:-1, None].to(inner)
            leg.end.copy_(new.reshape(self.shape))
            leg.set_nodes(inner + share * (new - old))

    def round(self) -> None:
        """Nothing: legs meet at the centre, and nothing passes through it."""
