"""Anderson acceleration against its definition and against GMRES's finite termination."""

from __future__ import annotations

import pytest
import torch

from geodesic_lightning.optimizers.anderson import extrapolate

seeds = pytest.mark.parametrize("seed", range(5))


def linear(seed, size, lowest=0.5):
    """x ← x + F(x), F(x) = b − Ax, and its solution; A has eigenvalues up to 1.5."""
    generator = torch.Generator().manual_seed(seed)
    draw = torch.randn(size, size + 2, generator=generator, dtype=torch.float64)
    basis = torch.linalg.qr(draw[:, :size]).Q
    matrix = basis @ torch.diag(torch.linspace(lowest, 1.5, size).double()) @ basis.T
    right, start = draw[:, -1], draw[:, -2]
    return (lambda x: right - matrix @ x), torch.linalg.solve(matrix, right), start


def iterate(field, x, memory, count):
    dx, df, residuals = [], [], []
    last = None
    for _ in range(count):
        step = field(x)
        residuals.append(float(step.norm()))
        if last is not None:
            kept = max(len(dx) + 1 - memory, 0)
            dx, df = [*dx, x - last[0]][kept:], [*df, step - last[1]][kept:]
        last = (x, step)
        x = x + extrapolate(step, dx, df, ridge=1e-15)
    return x, residuals


def test_without_a_history_it_is_the_plain_step():
    step = torch.randn(4, 3)
    assert extrapolate(step, [], []) is step


@seeds
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_a_linear_problem_of_m_unknowns_is_solved_in_m_plus_one_steps(seed, size):
    field, solution, start = linear(seed, size)
    found, _ = iterate(field, start, size, size + 1)
    # The normal equations square the condition of dF, which falls to about 1e-4 at m = 5.
    torch.testing.assert_close(found, solution, rtol=1e-6, atol=1e-6)


@seeds
@pytest.mark.parametrize("ridge", [0.0, 1e-8, 1e-2])
def test_is_the_regularised_least_squares_step(seed, ridge):
    generator = torch.Generator().manual_seed(seed)
    draw = torch.randn(7, 6, 4, generator=generator, dtype=torch.float64)
    step, dx, df = draw[0], list(draw[1:4]), list(draw[4:7])
    matrix = torch.stack([d.flatten() for d in df], 1)
    change = matrix + torch.stack([d.flatten() for d in dx], 1)
    # argmin |F − dF g|² + ρ tr(dFᵀdF)|g|² as one stacked least-squares problem.
    damping = (ridge * matrix.square().sum()).sqrt() * torch.eye(3, dtype=torch.float64)
    stacked = torch.cat([matrix, damping])
    padded = torch.cat([step.flatten(), torch.zeros(3, dtype=torch.float64)])
    weights = torch.linalg.lstsq(stacked, padded[:, None]).solution[:, 0]
    expected = (step.flatten() - change @ weights).reshape(step.shape)
    torch.testing.assert_close(extrapolate(step, dx, df, ridge), expected, rtol=1e-9, atol=1e-9)


@seeds
def test_accelerates_a_linear_iteration(seed):
    # A plain step leaves 95 % of the slowest part.
    field, _, start = linear(seed, 30, lowest=0.05)
    _, plain = iterate(field, start, 0, 30)
    _, fast = iterate(field, start, 3, 30)
    assert fast[-1] < 0.3 * plain[-1]


def test_a_repeated_or_vanishing_difference_does_no_harm():
    step = torch.ones(4, 2)
    same = torch.full((4, 2), 0.5)
    for differences in ([same, same], [torch.zeros(4, 2)], [torch.zeros(4, 2), same]):
        assert torch.isfinite(extrapolate(step, differences, differences)).all()


def test_keeps_shape_and_dtype():
    step = torch.randn(5, 3)
    found = extrapolate(step, [torch.randn(5, 3)], [torch.randn(5, 3)])
    assert found.shape == step.shape
    assert found.dtype == torch.float32
