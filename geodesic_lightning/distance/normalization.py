"""From lengths relative to each path's start to distances in one normalization.

A path from i to j gives its length S_ij = ∫|γ'|(p/p_i)^(−α) du, relative to its own start, and the
rise Δ_ij = log p_j − log p_i. A metric needs one constant for all: with λ_i = log p_i, Σ λ_i = 0
(the geometric mean of the images' densities is 1),

    D_ij = S_ij exp(−α(λ_i + λ_j − Δ_ij)/2),
    λ = argmin Σ_ij (λ_j − λ_i − Δ_ij)²:  λ_j = mean_i Δ_ij.

Seen from the other end, S_ji = S_ij exp(αΔ_ij) and Δ_ji = −Δ_ij: D is symmetric. For two images it
is D = S_ab exp(αΔ_ab/2). If the score is the gradient of one log p, then Δ_ij = λ_j − λ_i exactly,
D_ij = S_ij exp(−αλ_i) and D is the metric's own distance: the triangle inequality holds as far as
the paths are shortest. What is left of Δ_ij − (λ_j − λ_i) says how far the score is from a gradient
(or how coarse the paths are): it is reported as `curl`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Distances:
    """Distances of n images.

    Attributes:
        matrix: D, (n, n), symmetric, 0 on the diagonal.
        log_density: λ, (n,), nats, of mean 0 over different images.
        curl: the largest |Δ_ij − (λ_j − λ_i)|, nats.
        triangle: the largest D_ik/(D_ij + D_jk) − 1 of three images, −1 for two: above 0 the
            inequality is broken by that part.
    """

    matrix: Tensor
    log_density: Tensor
    curl: float
    triangle: float

    def repeated(self, first: Sequence[int]) -> Distances:
        """Of images some of which are there more than once: image k is number first[k] of these.

        Those that are the same are 0 apart, and no distance depends on how often an image is there.
        """
        if list(first) == list(range(len(self.matrix))):
            return self
        index = torch.tensor(first)
        matrix, log_density = self.matrix[index][:, index], self.log_density[index]
        return Distances(matrix, log_density, self.curl, _triangle(matrix))


def distances(lengths: Tensor, rises: Tensor, alpha: float) -> Distances:
    """Distances from S and Δ, both (n, n): entries i < j are read, the rest follows from them."""
    lengths, rises = lengths.double().triu(1), rises.double().triu(1)
    rises = rises - rises.T
    log_density = rises.mean(0)
    gap = rises - (log_density[None, :] - log_density[:, None])
    middle = (log_density[:, None] + log_density[None, :] - rises) / 2
    matrix = (lengths * torch.exp(-alpha * middle)).triu(1)
    matrix = matrix + matrix.T
    return Distances(matrix, log_density, float(gap.abs().max()), _triangle(matrix))


def _triangle(matrix: Tensor) -> float:
    """The largest D_ik/(D_ij + D_jk) − 1 over different i, j, k."""
    n = len(matrix)
    if n < 3:
        return -1.0
    ratio = matrix[:, None, :] / (matrix[:, :, None] + matrix[None, :, :]).clamp_min(1e-300)
    same = torch.eye(n, dtype=torch.bool)
    ratio[same[:, :, None] | same[None, :, :] | same[:, None, :]] = 0
    return float(ratio.max()) - 1
