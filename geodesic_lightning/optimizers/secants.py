"""What is known of a rough score's curvature: secants of every node, from its own last moves.

The score at a node depends on that node alone, so that its curvature H = −∂s/∂x has a block a node, and each
evaluation tells one secant a node, not one of the whole path. With the last m moves of node i, made to unit length, as
the rows of S_i and the changes of −s_i as those of Y_i, both (m, d),

    H_i = Y_iᵀ (S_i S_iᵀ + ρI)⁻¹ S_i,

which is 0 where the node has never been moved to. The step of (T + cI + wH) F = r is that of T + cI alone, corrected by
Woodbury's identity: a system of (N−1)m numbers, whatever d.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from geodesic_lightning.geometry.laplacian import Laplacian

MEMORY = 8  # secants a node
RIDGE = 0.01  # ρ: of moves nearly alike the difference tells little


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

    def curvature(self, vectors: Tensor) -> Tensor:
        """H v for vectors (N−1, d)."""
        return torch.einsum("nkd,nk->nd", self._dual(), self._along(vectors))

    def solve(self, laplacian: Laplacian, right: Tensor, shift: Tensor, weight: Tensor) -> Tensor:
        """(T + shift·I + weight·H)⁻¹ right, for right (N−1, d)."""
        nodes, count = self.moves.shape[:2]
        plain = laplacian.solve(right, shift)
        dual = self._dual()
        inverse = (laplacian.modes / (laplacian.eigenvalues + shift)) @ laplacian.modes
        products = torch.einsum("ikd,jld->ikjl", self.moves, dual) * inverse[:, None, :, None]
        system = (weight * products).reshape(nodes * count, nodes * count).cpu().double()
        known = self._along(plain).reshape(-1).cpu().double()
        along = torch.linalg.solve(torch.eye(len(system)).double() + system, known)
        pull = torch.einsum("nkd,nk->nd", dual, along.reshape(nodes, count).to(right))
        return laplacian.solve(right - weight * pull, shift)

    def refined(self, segments: int) -> "Secants":
        """Of a path of N segments those of one of `segments`: between nodes, a mean of both sides'."""
        nodes = len(self.moves)
        places = np.linspace(0, 1, nodes + 2)[1:-1]
        finer = np.linspace(0, 1, segments + 1)[1:-1]
        share = np.stack([np.interp(finer, places, row) for row in np.eye(nodes)], 1)
        matrix = torch.from_numpy(share).to(self.moves)
        return Secants(
            *(torch.einsum("ij,jkd->ikd", matrix, v) for v in (self.moves, self.changes))
        )

    def _along(self, vectors: Tensor) -> Tensor:
        return torch.einsum("nkd,nd->nk", self.moves, vectors)

    def _dual(self) -> Tensor:
        """(SSᵀ + ρI)⁻¹ Y, (N−1, m, d)."""
        gram = torch.einsum("nkd,nld->nkl", self.moves, self.moves)
        ridge = RIDGE * torch.eye(gram.shape[-1]).to(gram)
        return torch.linalg.solve(gram + ridge, self.changes)


def no_secants(nodes: Tensor) -> Secants:
    """Of nodes (N−1, d) that have not been moved yet."""
    none = nodes.new_empty(len(nodes), 0, nodes.shape[-1])
    return Secants(none, none)
