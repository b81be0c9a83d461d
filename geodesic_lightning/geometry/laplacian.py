"""The second difference T = tridiag(−1, 2, −1) on the interior of a path, solved in its own basis.

T is diagonal in the discrete sines, T = V Λ Vᵀ with V_jk = √(2/N) sin(jkπ/N) and Λ_k = 2 − 2cos(kπ/N), so that
(T + cI)⁻¹ for any c is two products with one small orthogonal matrix, for all dimensions at once, on any device.
"""

import math

import torch
from torch import Tensor


class Laplacian:
    """T on the N − 1 interior nodes of a path of N segments with fixed ends."""

    def __init__(self, segments: int, like: Tensor) -> None:
        k = torch.arange(1, segments, dtype=torch.float64)
        sines = math.sqrt(2 / segments) * torch.sin(torch.outer(k, k) * math.pi / segments)
        self.modes = sines.to(like)
        self.eigenvalues = (2 - 2 * torch.cos(k * math.pi / segments)).to(like)

    def solve(self, right: Tensor, shift: float | Tensor = 0.0) -> Tensor:
        """(T + shift·I)⁻¹ right, for right (N−1, d)."""
        return self.modes @ ((self.modes @ right) / (self.eigenvalues + shift)[:, None])

    def inverse(self, shifts: Tensor) -> Tensor:
        """(T + diag(shifts))⁻¹, (N−1, N−1), for shifts (N−1,) ≥ 0."""
        second = ((self.modes * self.eigenvalues) @ self.modes).cpu().double()
        return torch.linalg.inv(second + shifts.cpu().double().diag()).to(self.modes)

    def dual_norm(self, right: Tensor) -> Tensor:
        """√(Σ r·T⁻¹r): the size of a residual in the norm dual to that of the path's velocity; scalar."""
        return ((self.modes @ right).square().sum(-1) / self.eigenvalues).sum().sqrt()
