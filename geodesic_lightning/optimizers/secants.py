"""What is known of a score's curvature: secants of every node, from its own last moves.

The score at a node depends on that node alone, so that its curvature H = −∂s/∂x has a block a node, and each
evaluation tells one secant a node, not one of the whole path. With the last m moves of node i, made to unit length, as
the rows of S_i and the changes of −s_i as those of Y_i, both (m, d),

    H_i = Y_iᵀ (S_i S_iᵀ + ρI)⁻¹ S_i      no curvature where the node has never been moved to
    H_i = Y_iᵀ (S_i Y_iᵀ)⁻¹ Y_i           of a score that is a gradient: the least H ≥ 0 with H_i S_iᵀ = Y_iᵀ

The second finds a direction that is much stiffer than all others at the first move that is not quite across it. The
step of (T + C + wH) F = r, with a shift a node in the diagonal C, is that of T + C alone, corrected by Woodbury's
identity: a system of (N−1)m numbers, whatever d.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

MEMORY = 8  # secants a node
RIDGE = 0.01  # ρ: of moves nearly alike the difference tells little
SMALL = 1e-6  # of the largest eigenvalue of S Yᵀ: below, and below 0, nothing is known


@dataclass(frozen=True)
class LowRank:
    """H = Σ_k left_k right_kᵀ at every node.

    Attributes:
        left, right: (N−1, m, d).
    """

    left: Tensor
    right: Tensor

    def __call__(self, vectors: Tensor) -> Tensor:
        """H v for vectors (N−1, d)."""
        return torch.einsum("nkd,nk->nd", self.left, self._along(vectors))

    def solve(self, inverse: Tensor, vectors: Tensor, weight: Tensor) -> Tensor:
        """(M + weight·H)⁻¹ vectors, for vectors (N−1, d) and M⁻¹ (N−1, N−1), the same in every dimension."""
        nodes, count = self.left.shape[:2]
        plain = inverse @ vectors
        if not count:
            return plain
        products = torch.einsum("ikd,jld->ikjl", self.right, self.left)
        system = weight * products * inverse[:, None, :, None]
        system = system.reshape(nodes * count, nodes * count).cpu().double()
        known = self._along(plain).reshape(-1).cpu().double()
        along = torch.linalg.solve(torch.eye(len(system)).double() + system, known)
        pull = torch.einsum("nkd,nk->nd", self.left, along.reshape(nodes, count).to(vectors))
        return inverse @ (vectors - weight * pull)

    def _along(self, vectors: Tensor) -> Tensor:
        return torch.einsum("nkd,nd->nk", self.right, vectors)


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
    def curvature(self) -> LowRank:
        """H of a score that need not be a gradient."""
        gram = torch.einsum("nkd,nld->nkl", self.moves, self.moves)
        ridge = RIDGE * torch.eye(gram.shape[-1]).to(gram)
        return LowRank(torch.linalg.solve(gram + ridge, self.changes), self.moves)

    @property
    def least_curvature(self) -> LowRank:
        """The least H ≥ 0, of a score that is a gradient."""
        if not self.moves.shape[1]:
            return LowRank(self.changes, self.changes)
        crossed = torch.einsum("nkd,nld->nkl", self.moves, self.changes).cpu().double()
        values, vectors = torch.linalg.eigh((crossed + crossed.mT) / 2)
        least = (SMALL * values.abs().amax(-1, keepdim=True)).clamp_min(torch.finfo(torch.float64).tiny)
        known = torch.where(values > least, values, torch.inf).rsqrt()
        along = torch.einsum("nkl,nkd->nld", (vectors * known[:, None]).to(self.changes), self.changes)
        return LowRank(along, along)

    def refined(self, segments: int) -> "Secants":
        """Of a path of N segments those of one of `segments`: between nodes, a mean of both sides'."""
        return Secants(*(between_nodes(v, segments) for v in (self.moves, self.changes)))


def no_secants(nodes: Tensor) -> Secants:
    """Of nodes (N−1, d) that have not been moved yet."""
    none = nodes.new_empty(len(nodes), 0, nodes.shape[-1])
    return Secants(none, none)


def between_nodes(values: Tensor, segments: int) -> Tensor:
    """Of values (N−1, …) at the nodes of a path those at the nodes of one of `segments`, linear between, constant outside."""
    nodes = len(values)
    places = np.linspace(0, 1, nodes + 2)[1:-1]
    finer = np.linspace(0, 1, segments + 1)[1:-1]
    share = np.stack([np.interp(finer, places, row) for row in np.eye(nodes)], 1)
    return torch.tensordot(torch.from_numpy(share).to(values), values, dims=1)
