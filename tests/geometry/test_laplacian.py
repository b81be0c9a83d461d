"""The second difference and its inverse, against dense linear algebra."""

from __future__ import annotations

import pytest
import torch

from geodesic_lightning.geometry.laplacian import Laplacian

sizes = pytest.mark.parametrize("segments", [2, 3, 4, 5, 16, 17, 33, 128, 257])


def dense(segments):
    n = segments - 1
    one = torch.ones(n, dtype=torch.float64)
    return 2 * torch.diag(one) - torch.diag(one[1:], 1) - torch.diag(one[1:], -1)


def right(segments, dimension=7, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(segments - 1, dimension, generator=generator, dtype=torch.float64)


@sizes
def test_modes_are_the_orthonormal_eigenvectors(segments):
    laplacian = Laplacian(segments, right(segments))
    modes, values = laplacian.modes, laplacian.eigenvalues
    torch.testing.assert_close(modes @ modes.T, torch.eye(segments - 1, dtype=torch.float64))
    torch.testing.assert_close(dense(segments) @ modes, modes * values)


@sizes
@pytest.mark.parametrize("shift", [0.0, 1e-3, 1.0, 100.0])
@pytest.mark.parametrize("seed", range(3))
def test_solve_is_the_dense_solution(segments, shift, seed):
    r = right(segments, seed=seed)
    shifted = dense(segments) + shift * torch.eye(segments - 1, dtype=torch.float64)
    # cond T = O(N²): 3e4 at N = 257, so about twelve of sixteen digits are left.
    torch.testing.assert_close(
        Laplacian(segments, r).solve(r, shift), torch.linalg.solve(shifted, r), rtol=1e-9, atol=1e-9
    )
    torch.testing.assert_close(
        Laplacian(segments, r).solve(r, torch.tensor(shift, dtype=torch.float64)),
        Laplacian(segments, r).solve(r, shift),
    )


@sizes
def test_dual_norm_is_the_dense_one(segments):
    r = right(segments)
    dense_norm = (r * torch.linalg.solve(dense(segments), r)).sum().sqrt()
    torch.testing.assert_close(Laplacian(segments, r).dual_norm(r), dense_norm)


def test_dual_norm_is_dual_to_the_norm_of_velocity():
    # |r|_* = max Σ r·x over paths of Σ |x_{i+1} − x_i|² = 1, reached at x = T⁻¹r/|r|_*.
    r = right(16)
    laplacian = Laplacian(16, r)
    best = laplacian.solve(r) / laplacian.dual_norm(r)
    path = torch.cat([torch.zeros(1, 7).double(), best, torch.zeros(1, 7).double()])
    assert float((path[1:] - path[:-1]).square().sum()) == pytest.approx(1)
    torch.testing.assert_close((r * best).sum(), laplacian.dual_norm(r))


def test_float32_keeps_its_digits():
    r = right(256).float()
    found = Laplacian(256, r).solve(r, 1e-4)
    assert found.dtype == torch.float32
    exact = Laplacian(256, r.double()).solve(r.double(), 1e-4)
    assert (found - exact).norm() <= 1e-4 * exact.norm()
