"""Steps by secants, where no bound of the curvature is known or the one that was told does not hold.

    (T + C + wH) F = r,   C = w diag(λ_i)

H is what the secants of the nodes know of the curvature (secants.py), λ_i half of what they did not foresee of node i's
last move; it is quartered from move to move where they foresee all. A move after which the residual is several times as
large is taken back: what it told of the curvature stays, and the next one starts where it did and is half as long.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from geodesic_lightning.functional.excess import foretold
from geodesic_lightning.functional.length import Residual
from geodesic_lightning.geometry.laplacian import Laplacian
from geodesic_lightning.geometry.manifold import Manifold
from geodesic_lightning.optimizers.secants import Secants, between_nodes, no_secants

UNFORESEEN, FORGOTTEN = 0.5, 0.25  # λ of what was not foreseen; of the last λ where nothing was not
WORSE = 4.0  # growth of the residual's size after which a move is taken back
STILL = 1e-10  # of the spacing: a node that moved by less has told nothing


@dataclass(frozen=True)
class Plan:
    """A step and what is foretold of it.

    Attributes:
        start, move: (N−1, d), where the nodes are moved from, and by what.
        residual: at the start.
        shift: c, the largest of all nodes.
        excess: η, the relative excess of the length that it foretells.
        left: what is left of it after the step at most, or was there at most before.
    """

    start: Tensor
    move: Tensor
    residual: Residual
    shift: float
    excess: float
    left: float


@dataclass(frozen=True)
class Known:
    """What steps by secants remember.

    Attributes:
        secants: of all nodes.
        rates: λ, (N−1,).
        nodes, residual: where the last good move led, (N−1, d), and the residual there; None on a new level.
        radius: the longest move of a node to come.
    """

    secants: Secants
    rates: Tensor
    nodes: Tensor | None = None
    residual: Residual | None = None
    radius: float = math.inf

    @staticmethod
    def nothing(nodes: Tensor) -> Known:
        """Of nodes (N−1, d) that have not been moved yet."""
        return Known(no_secants(nodes), nodes.new_zeros(len(nodes)))

    def refined(self, segments: int) -> Known:
        """The secants and rates on a level of other segments."""
        return Known(self.secants.refined(segments), between_nodes(self.rates, segments))

    def learned(self, move: Tensor, change: Tensor, spacing: Tensor) -> Known:
        """With one more secant a node: moves (N−1, d) and the changes of −s that came of them."""
        size = move.norm(dim=-1)
        missed = (change - self.secants.curvature(move)).norm(dim=-1) / size.clamp_min(1e-30)
        missed = torch.where(size > STILL * spacing, missed, 0.0)
        rates = torch.maximum(UNFORESEEN * missed, FORGOTTEN * self.rates)
        return replace(self, secants=self.secants.with_newest(move, change), rates=rates)

    def at(self, nodes: Tensor, residual: Residual, laplacian: Laplacian) -> Known:
        """After nodes (N−1, d) were scored: learned of the move that led there, which is kept or taken back."""
        if self.nodes is None or self.residual is None:
            return self.after(nodes, residual)
        sizes = [float(laplacian.dual_norm(r.vector)) for r in (residual, self.residual)]
        wiser = self.after(nodes, residual)
        if sizes[0] <= WORSE * sizes[1]:
            return wiser
        radius = 0.5 * float((nodes - self.nodes).norm(dim=-1).max())
        return replace(wiser, nodes=self.nodes, residual=self.residual, radius=radius)

    def after(self, nodes: Tensor, residual: Residual) -> Known:
        """After nodes (N−1, d) were scored: learned of the move that led there, which is kept."""
        wiser = self
        if self.nodes is not None and self.residual is not None:
            change = self.residual.force - residual.force
            wiser = self.learned(nodes - self.nodes, change, residual.spacing)
        return replace(wiser, nodes=nodes, residual=residual, radius=math.inf)

    def plan(self, laplacian: Laplacian, manifold: Manifold) -> Plan:
        """The next step, from the last good nodes."""
        nodes, residual = self.nodes, self.residual
        assert nodes is not None, "nodes are scored first"
        assert residual is not None, "with their residual"
        shifts, weight, vector = residual.weight * self.rates, residual.weight, residual.vector
        inverse = laplacian.inverse(shifts)
        curvature = self.secants.curvature
        move = manifold.proju(nodes, curvature.solve(inverse, vector, weight))
        longest = move.norm(dim=-1).max()
        before = curvature.excess(residual, laplacian)
        after = curvature.excess(residual, laplacian, shifts[:, None] * move)
        return Plan(
            nodes,
            move * (self.radius / longest.clamp_min(1e-30)).clamp_max(1.0),
            residual,
            float(shifts.max()),
            float(foretold(residual, move).abs()),
            min(float(before), float(after)),
        )

    def state(self) -> dict[str, Any]:
        """Plain values and tensors, for a checkpoint."""
        return {
            "secants": (self.secants.moves, self.secants.changes),
            "rates": self.rates,
            "nodes": self.nodes,
            "residual": None if self.residual is None else vars(self.residual).copy(),
            "radius": self.radius,
        }

    @staticmethod
    def of(state: dict[str, Any]) -> Known:
        """The inverse of `state`."""
        residual = state["residual"]
        return Known(
            Secants(*state["secants"]),
            state["rates"],
            state["nodes"],
            None if residual is None else Residual(**residual),
            state["radius"],
        )
