"""What is known of a score's curvature: secants of every node, from its own last moves.

The score at a node depends on that node alone, so that its curvature H = −∂s/∂x has a block a node, and each
evaluation tells one secant a node, not one of the whole path. With the last m moves of node i, made to unit length, as
the rows of S_i and the changes of −s_i as those of Y_i, both (m, d),

    H_i = Y_iᵀ (S_i Y_iᵀ)⁺ Y_i,

the least symmetric H ≥ 0 with H_i S_iᵀ = Y_iᵀ where there is one: nothing is known across the changes, and a direction
much stiffer than all others is found at the first move that is not quite across it. What comes out negative is left
out, so that steps go downhill there as well. The step of (T + C + wH) F = r, with a shift a node in the diagonal C, is
that of T + C alone, corrected by Woodbury's identity: a system of (N−1)m numbers, whatever d.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from geodesic_lightning.functional.excess import foretold
from geodesic_lightning.functional.length import Residual
from geodesic_lightning.geometry.laplacian import Laplacian

MEMORY = 8  # secants a node
SMALL = 1e-6  # of the largest eigenvalue of S Yᵀ: below it nothing is known


@dataclass(frozen=True)
class Curvature:
    """H = Σ_k a_k a_kᵀ at every node.

    Attributes:
        along: a, (N−1, m, d).
    """

    along: Tensor

    def __call__(self, vectors: Tensor) -> Tensor:
        """H v for vectors (N−1, d)."""
        return torch.einsum("nkd,nk->nd", self.along, self._products(vectors))

    def solve(self, inverse: Tensor, vectors: Tensor, weight: Tensor) -> Tensor:
        """(M + weight·H)⁻¹ vectors, for vectors (N−1, d) and M⁻¹ (N−1, N−1), the same in every dimension."""
        nodes, count = self.along.shape[:2]
        plain = inverse @ vectors
        if not count:
            return plain
        system = torch.einsum("ikd,jld->ikjl", self.along, self.along) * inverse[:, None, :, None]
        system = (weight * system).reshape(nodes * count, nodes * count).cpu().double()
        known = self._products(plain).reshape(-1).cpu().double()
        pull = torch.linalg.solve(torch.eye(len(system)).double() + system, known)
        pull = torch.einsum("nkd,nk->nd", self.along, pull.reshape(nodes, count).to(vectors))
        return inverse @ (vectors - weight * pull)

    def excess(
        self, residual: Residual, laplacian: Laplacian, right: Tensor | None = None
    ) -> Tensor:
        """η((T + wH)⁻¹r), which is never too small where the density has at least this curvature; a scalar.

        Args:
            right: (N−1, d) in place of the residual.
        """
        vector = residual.vector if right is None else right
        plain = laplacian.inverse(torch.zeros_like(laplacian.eigenvalues))
        return foretold(residual, self.solve(plain, vector, residual.weight), vector)

    def _products(self, vectors: Tensor) -> Tensor:
        return torch.einsum("nkd,nd->nk", self.along, vectors)


@dataclass(frozen=True)
class Secants:
    """The latest secants of all nodes, newest first.

    Attributes:
        moves: S, (N−1, m, d), of unit length.
        changes: Y, (N−1, m, d), of −s for each.
    """

    moves: Tensor
    changes: Tensor

    def with_newest(self, move: Tensor, change: Tensor) -> "Secants":
        """One more: moves (N−1, d) and the changes of −s that came of them."""
        size = move.norm(dim=-1, keepdim=True).clamp_min(1e-12)
        moves, changes = (torch.cat([(v / size)[:, None], old], 1) for v, old in
                          ((move, self.moves), (change, self.changes)))  # fmt: skip
        return Secants(moves[:, :MEMORY], changes[:, :MEMORY])

    @property
    def curvature(self) -> Curvature:
        """H."""
        if not self.moves.shape[1]:
            return Curvature(self.changes)
        crossed = torch.einsum("nkd,nld->nkl", self.moves, self.changes).cpu().double()
        values, vectors = torch.linalg.eigh((crossed + crossed.mT) / 2)
        least = SMALL * values.abs().amax(-1, keepdim=True)
        known = torch.where(values > least, values, torch.inf).rsqrt()
        turn = (vectors * known[:, None]).to(self.changes)
        return Curvature(torch.einsum("nkl,nkd->nld", turn, self.changes))

    def refined(self, segments: int) -> "Secants":
        """Of a path of N segments those of one of `segments`: between nodes, a mean of both sides'."""
        return Secants(*(between_nodes(v, segments) for v in (self.moves, self.changes)))


def no_secants(nodes: Tensor) -> Secants:
    """Of nodes (N−1, d) that have not been moved yet."""
    none = nodes.new_empty(len(nodes), 0, nodes.shape[-1])
    return Secants(none, none)


def between_nodes(values: Tensor, segments: int) -> Tensor:
    """Of values (N−1, …) at a path's nodes those at the nodes of one of `segments`, linear between nodes."""
    nodes = len(values)
    places = np.linspace(0, 1, nodes + 2)[1:-1]
    finer = np.linspace(0, 1, segments + 1)[1:-1]
    share = np.stack([np.interp(finer, places, row) for row in np.eye(nodes)], 1)
    return torch.tensordot(torch.from_numpy(share).to(values), values, dims=1)
