"""Secants of every node: the linear algebra against dense matrices, and a rough field that a shift alone is slow on."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from known import exact_problem

from geodesic_lightning.geometry.laplacian import Laplacian
from geodesic_lightning.optimizers import secants
from geodesic_lightning.optimizers.secants import Secants, no_secants
from geodesic_lightning.optimizers.semi_implicit import SemiImplicit
from geodesic_lightning.optimizers.solve import solve


def normal(seed: int, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def learned(curvature: torch.Tensor, count: int, seed: int = 0) -> Secants:
    """Secants of `count` moves where H is a matrix (d, d) a node, (n, d, d)."""
    found = no_secants(normal(0, len(curvature), curvature.shape[-1]))
    for k in range(count):
        move = normal(seed + 10 + k, len(curvature), curvature.shape[-1])
        found = found.with_newest(move, torch.einsum("nij,nj->ni", curvature, move))
    return found


def positive(seed: int, nodes: int, d: int, rank: int) -> torch.Tensor:
    """Symmetric matrices (nodes, d, d) ≥ 0 of that rank."""
    root = normal(seed, nodes, d, rank)
    return root @ root.mT


@pytest.mark.parametrize("count", [0, 1, 3, 5])
def test_the_step_is_that_of_the_whole_matrix(count):
    nodes, d, weight = 7, 5, 0.7
    shifts = torch.linspace(0, 0.4, nodes).double()
    found = learned(positive(1, nodes, d, d), count).curvature
    laplacian, right = Laplacian(nodes + 1, normal(2, 1)), normal(3, nodes, d)
    whole = torch.zeros(nodes, d, nodes, d).double()
    second = (laplacian.modes * laplacian.eigenvalues) @ laplacian.modes
    for i in range(nodes):
        for j in range(nodes):
            whole[i, :, j] = second[i, j] * torch.eye(d)
        whole[i, :, i] += shifts[i] * torch.eye(d)
    for k in range(d):
        unit = torch.zeros(nodes, d).double()
        unit[:, k] = 1
        for i in range(nodes):
            whole[i, :, i, k] += weight * found(unit)[i]
    expected = torch.linalg.solve(whole.reshape(nodes * d, -1), right.flatten()).reshape(nodes, d)
    step = found.solve(laplacian.inverse(shifts), right, torch.tensor(weight).double())
    torch.testing.assert_close(step, expected)


def test_a_curvature_of_few_directions_is_known_after_as_many_moves():
    low = positive(4, 3, 6, 2)
    found, move = learned(low, 2).curvature, normal(6, 3, 6)
    expected = torch.einsum("nij,nj->ni", low, move)
    torch.testing.assert_close(found(move), expected, rtol=1e-5, atol=1e-5)


def test_a_stiff_direction_is_known_after_a_move_nearly_across_it():
    stiff = torch.diag(torch.tensor([1e6, 1.0, 1.0]).double()).expand(4, 3, 3)
    move = torch.tensor([0.05, 1.0, 0.3]).double().expand(4, 3)
    found = no_secants(move).with_newest(move, torch.einsum("nij,nj->ni", stiff, move)).curvature
    along = torch.tensor([1.0, 0.0, 0.0]).double().expand(4, 3)
    torch.testing.assert_close(found(along)[:, 0], stiff[:, 0, 0], rtol=1e-3, atol=0)


@pytest.mark.parametrize("count", [1, 3, 6])
def test_no_more_curvature_is_told_than_there_is(count):
    whole = positive(7, 5, 6, 6)
    found = learned(whole, count).curvature
    matrix = torch.stack([found(torch.eye(6)[k].double().expand(5, 6)) for k in range(6)], -1)
    torch.testing.assert_close(matrix, matrix.mT)
    scale = float(torch.linalg.eigvalsh(whole).max())
    assert torch.linalg.eigvalsh(whole - matrix).min() > -1e-9 * scale
    assert torch.linalg.eigvalsh(matrix).min() > -1e-9 * scale


def test_curvature_that_leads_downhill_is_left_out():
    found = learned(-positive(8, 3, 4, 4), 3).curvature
    assert not found(normal(9, 3, 4)).any()


def test_what_no_move_has_shown_is_no_curvature():
    found = no_secants(normal(0, 3, 6))
    along = torch.zeros(3, 6).double()
    along[:, 0] = 2.0
    found = found.with_newest(along, along).curvature
    across = along.roll(1, 1)
    assert not found(across).any()
    torch.testing.assert_close(found(along), along)


def test_only_the_newest_are_kept():
    found = learned(normal(1, 2, 4, 4), secants.MEMORY + 3)
    newest = normal(10 + secants.MEMORY + 2, 2, 4)
    assert found.moves.shape == (2, secants.MEMORY, 4)
    torch.testing.assert_close(found.moves[:, 0], newest / newest.norm(dim=-1, keepdim=True))


@pytest.mark.parametrize(("coarse", "fine"), [(4, 8), (4, 7), (8, 16), (5, 10)])
def test_a_finer_path_has_the_secants_of_the_nodes_beside_its_own(coarse, fine):
    u = torch.arange(1, coarse).double() / coarse
    found = Secants(u[:, None, None].expand(-1, 2, 3), torch.ones(coarse - 1, 2, 3).double())
    finer = found.refined(fine)
    places = (torch.arange(1, fine).double() / fine).clamp(1 / coarse, 1 - 1 / coarse)
    torch.testing.assert_close(finer.moves, places[:, None, None].expand(-1, 2, 3))
    torch.testing.assert_close(finer.changes, torch.ones(fine - 1, 2, 3).double())


class Rough:
    """A field of 64 dimensions that is curved along six directions, up and down, and no gradient of anything."""

    stochastic, curvature_bound = False, None

    def __init__(self, turned: float = 0.5) -> None:
        self.evaluations = 0
        self.along = torch.linalg.qr(normal(1, 64, 6))[0]
        other = torch.linalg.qr(normal(2, 64, 6))[0]
        self.out = (1 - turned) * self.along + turned * other
        self.rates = torch.tensor([160.0, 100.0, 60.0, 32.0, -12.0, -4.0]).double()
        self.steady = 1.5 * normal(3, 64)

    def __call__(
        self, x: torch.Tensor, u: torch.Tensor, rng_step: int | None = None
    ) -> torch.Tensor:
        self.evaluations += len(x)
        return self.steady - torch.tanh(x @ self.along) * self.rates @ self.out.T


def solved(score, **options):
    problem = exact_problem("tube_64", score=score, alpha=0.1)  # its ends alone
    return problem, solve(problem, partial(SemiImplicit, **options), 16)


def test_a_rough_field_is_solved_and_in_fewer_evaluations_than_by_a_shift_for_all():
    problem, made = solved(Rough())
    assert made.converged
    shifted, _ = solved(Rough(), mode="safe", iterations=200, coarse_iterations=50)
    assert problem.evaluations <= 130
    assert problem.evaluations < shifted.evaluations / 2
    # Both ways lead to one path, that of the residual's zero.
    exact, known = solved(Rough(), tolerance=1e-12, iterations=200)
    assert known.converged
    apart = (problem.path.points() - exact.path.points()).norm(dim=-1).max()
    assert apart < 0.02 * float(problem.latest.legs[0].residual.spacing * 16)


def test_a_state_of_before_goes_on_and_learns_anew():
    problem, _ = solved(Rough())
    made = SemiImplicit(problem.path, 16)
    state = made.state_dict()
    for name in ("known", "shortest"):
        del state[name]
    state["secants"] = normal(1, 15, 8, 64), normal(2, 15, 8, 64)
    other = SemiImplicit(problem.path, 16)
    other.load_state_dict(state)
    assert set(other.state_dict()) == set(made.state_dict())
