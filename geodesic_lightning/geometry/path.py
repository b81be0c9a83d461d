"""A discrete path x_0 … x_N between two fixed ends: the only thing that is ever trained.

The ends are buffers, the interior nodes x_1 … x_{N−1} the parameter. Nodes stand at equal arc length, at
u_i = i/N. Latents keep their own shape in the parameter; numerics see them flat, as (N+1, d).
"""

from typing import Any

import torch
from torch import Tensor, nn

from geodesic_lightning.errors import UserError
from geodesic_lightning.geometry import spline
from geodesic_lightning.geometry.manifold import Manifold

__all__ = ["Manifold", "Path"]


class Path(nn.Module):
    """Nodes between `start` and `end` (both of the latent's shape), at first on the manifold's own geodesic.

    Args:
        start, end: the ends x_0 and x_N, any shape; they are put on the manifold.
        manifold: acting on the flattened latent.
        segments: N ≥ 1; there are N − 1 interior nodes.

    Raises:
        UserError: ends coincide, are antipodal on the manifold, or are not finite.
    """

    start: Tensor
    end: Tensor
    closed = False
    stops: None = None  # there are no keyframes but the ends

    def __init__(self, start: Tensor, end: Tensor, manifold: Manifold, segments: int = 2) -> None:
        super().__init__()
        if segments < 1:
            raise UserError(f"segments: got {segments}, expected at least 1.")
        self.manifold = manifold
        self.shape = start.shape
        ends = manifold.projx(torch.stack([start.flatten(), end.flatten()]))
        _check_ends(ends, manifold)
        self.register_buffer("start", ends[0].reshape(self.shape).clone())
        self.register_buffer("end", ends[1].reshape(self.shape).clone())
        nodes = manifold.projx(self.baseline(segments)[1:-1])
        self.nodes = nn.Parameter(nodes.reshape(-1, *self.shape).clone())

    @property
    def legs(self) -> tuple["Path"]:
        """The path itself: it has one leg."""
        return (self,)

    @property
    def angles(self) -> list[float]:
        """None: there are no corners."""
        return []

    @property
    def segments(self) -> int:
        """N, the number of pieces."""
        return len(self.nodes) + 1

    @property
    def u(self) -> Tensor:
        """Places (N+1,) of the nodes in [0, 1]."""
        return torch.linspace(
            0, 1, self.segments + 1, dtype=self.nodes.dtype, device=self.nodes.device
        )

    def points(self) -> Tensor:
        """All nodes, flat and detached: (N+1, d)."""
        nodes = (
            self.nodes.detach().flatten(1)
            if len(self.nodes)
            else self.nodes.detach().reshape(0, self.start.numel())
        )
        return torch.cat([self.start.reshape(1, -1), nodes, self.end.reshape(1, -1)])

    def baseline(self, segments: int) -> Tensor:
        """The manifold's own geodesic between the ends, (segments+1, d): where solving starts."""
        u = torch.linspace(0, 1, segments + 1).to(self.start)
        return self.manifold.geodesic(self.start.flatten(), self.end.flatten(), u)

    def chart(self, flat: Tensor) -> Tensor:
        """Flat points (m, d) in the latent's own shape (m, *shape)."""
        return flat.reshape(-1, *self.shape)

    @torch.no_grad()
    def set_nodes(self, interior: Tensor) -> None:
        """Put the interior nodes at (N−1, d), projected to the manifold; their number may change."""
        self.nodes.grad = None
        self.nodes.data = self.chart(self.manifold.projx(interior.to(self.nodes))).contiguous()

    @torch.no_grad()
    def set_points(self, points: Tensor) -> None:
        """Put all points but the start at (N+1, d): of a shot the end moves too."""
        self.set_nodes(points[1:-1])
        self.end.copy_(self.chart(self.manifold.projx(points[-1:].to(self.end.dtype)))[0])

    def refine(self, segments: int) -> None:
        """Resample to `segments` pieces of equal arc length on a cubic spline through the present nodes.

        The manifold's own geodesic is cut anew: it is known, and a spline would only come near it.
        """
        drawn = self.manifold.projx(self.baseline(self.segments)[1:-1])
        if torch.equal(self.points()[1:-1], drawn):
            self.set_nodes(self.baseline(segments)[1:-1])
        else:
            self.set_nodes(spline.resample(self.points(), segments)[1:-1])

    def at(self, u: Tensor) -> Tensor:
        """Points (m, d) at places u (m,) on the spline, on the manifold; exact at nodes and ends."""
        points = self.points()
        if len(u) == len(points) and torch.allclose(u.to(points), self.u, atol=1e-6):
            return points
        places = spline.equal_arc_places(points, 4 * self.segments)
        at = torch.from_numpy(places).to(points)
        grid = torch.linspace(0, 1, len(places)).to(points)
        found = _interpolate(u.to(points), grid, at).cpu().double().numpy()
        return self.manifold.projx(spline.evaluate(points, found))

    def by_distance(self, shares: Tensor) -> Tensor:
        """Places (m,) at the parts (m,) of the distance: u is that part."""
        return shares

    def round(self) -> None:
        """Nothing: there are no corners."""

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        # A checkpoint may hold another number of nodes than the path has now: take its number.
        if (saved := state_dict.get(prefix + "nodes")) is not None:
            self.nodes.data = torch.empty_like(saved, device=self.nodes.device)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def _interpolate(x: Tensor, knots: Tensor, values: Tensor) -> Tensor:
    """Piecewise linear interpolation of values (m,) at sorted knots (m,)."""
    right = torch.searchsorted(knots, x.clamp(knots[0], knots[-1])).clamp(1, len(knots) - 1)
    share = (x - knots[right - 1]) / (knots[right] - knots[right - 1])
    return torch.lerp(values[right - 1], values[right], share)


def _check_ends(ends: Tensor, manifold: Manifold) -> None:
    """Refuse ends between which there is no path, or no one shortest."""
    if not torch.isfinite(ends).all():
        raise UserError(
            "The ends of the path are not finite: check the images and the model's weights."
        )
    distance = manifold.dist(ends[0], ends[1])
    if distance <= 1e-6 * ends.norm(dim=-1).max():
        raise UserError("The two ends of the path coincide: give two different images or points.")
    if bool(manifold.antipodal(ends[0], ends[1])):
        raise UserError(
            "The two ends are antipodal on the sphere, so every great circle joins them: move one end a "
            "little, or use manifold=euclidean."
        )
