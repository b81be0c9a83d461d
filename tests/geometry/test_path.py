"""The path: ends fixed, nodes the only parameter, at the places it says."""

from __future__ import annotations

import math

import pytest
import torch

from geodesic_lightning.errors import UserError
from geodesic_lightning.geometry.manifold import Euclidean, Sphere
from geodesic_lightning.geometry.path import Path

SPACES = [Euclidean(), Sphere(2.0)]
spaces = pytest.mark.parametrize("manifold", SPACES, ids=str)


def make(manifold, segments=4, shape=(3, 2), dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    start, end = torch.randn(2, *shape, generator=generator, dtype=torch.float64).to(dtype)
    return Path(start, end, manifold, segments)


@spaces
def test_nodes_are_the_only_parameter(manifold):
    path = make(manifold)
    assert [name for name, _ in path.named_parameters()] == ["nodes"]
    assert {name for name, _ in path.named_buffers()} == {"start", "end"}
    assert path.nodes.shape == (3, 3, 2)
    assert path.nodes.requires_grad


@spaces
@pytest.mark.parametrize("segments", [1, 2, 3, 7, 16])
def test_starts_on_the_manifolds_geodesic(manifold, segments):
    path = make(manifold, segments)
    points = path.points()
    assert path.segments == segments
    assert points.shape == (segments + 1, 6)
    assert not points.requires_grad
    u = torch.linspace(0, 1, segments + 1, dtype=torch.float64)
    torch.testing.assert_close(path.u, u)
    geodesic = manifold.geodesic(path.start.flatten(), path.end.flatten(), u)
    torch.testing.assert_close(points, geodesic)


def test_ends_are_put_on_the_sphere():
    path = make(Sphere(2.0))
    assert float(path.start.norm()) == pytest.approx(2)
    assert float(path.points().norm(dim=-1).std()) < 1e-12


@spaces
def test_place_projects_and_may_change_the_number(manifold):
    path = make(manifold)
    path.nodes.grad = torch.ones_like(path.nodes)
    path.set_nodes(3 * torch.rand(7, 6, dtype=torch.float64) + 1)
    assert path.segments == 8
    assert path.nodes.grad is None
    nodes = path.points()[1:-1]
    torch.testing.assert_close(manifold.projx(nodes), nodes)


@spaces
@pytest.mark.parametrize("segments", [2, 5, 8, 16, 50])
def test_refining_keeps_the_curve(manifold, segments):
    path = make(manifold, 8)
    bend = torch.sin(torch.pi * path.u[1:-1])[:, None] * torch.arange(6) / 6
    path.set_nodes(path.points()[1:-1] + bend)
    before = path.at(torch.linspace(0, 1, 401, dtype=torch.float64))
    path.refine(segments)
    assert path.segments == segments
    away = torch.cdist(path.points(), before).min(-1).values
    spacing = (before[1:] - before[:-1]).norm(dim=-1).max()
    assert away.max() <= 0.51 * spacing  # the nearest of 401 points is at most half a gap off


@spaces
def test_at_is_exact_at_nodes_and_ends(manifold):
    path = make(manifold, 8)
    torch.testing.assert_close(path.at(path.u), path.points())
    few = path.at(torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64))
    torch.testing.assert_close(few, path.points()[[0, 2, 8]], rtol=1e-6, atol=1e-6)


@spaces
def test_at_moves_evenly_along_a_geodesic(manifold):
    path = make(manifold, 8)
    u = torch.linspace(0, 1, 33, dtype=torch.float64)
    expected = manifold.geodesic(path.start.flatten(), path.end.flatten(), u)
    torch.testing.assert_close(path.at(u), expected, rtol=0, atol=2e-3)


def test_at_works_on_float32_far_from_the_origin():
    path = make(Sphere(100.0), 16, (16, 16), torch.float32)
    points = path.at(torch.linspace(0, 1, 40))
    assert points.dtype == torch.float32
    torch.testing.assert_close(points.norm(dim=-1), torch.full((40,), 100.0))


@spaces
@pytest.mark.parametrize("saved", [1, 4, 16])
def test_a_checkpoint_brings_its_own_number_of_nodes(manifold, saved):
    source, target = make(manifold, saved), make(manifold, 8, seed=1)
    target.load_state_dict(source.state_dict())
    assert target.segments == saved
    assert torch.equal(target.points(), source.points())
    assert isinstance(target.nodes, torch.nn.Parameter)


class TestRefuses:
    def test_coincident_ends(self):
        with pytest.raises(UserError, match="coincide"):
            Path(torch.ones(4), torch.ones(4), Euclidean())

    def test_ends_that_coincide_on_the_sphere(self):
        with pytest.raises(UserError, match="coincide"):
            Path(torch.ones(4), 2 * torch.ones(4), Sphere(1.0))

    def test_antipodal_ends(self):
        with pytest.raises(UserError, match="antipodal"):
            Path(torch.ones(4), -torch.ones(4), Sphere(1.0))

    def test_antipodal_ends_are_fine_in_flat_space(self):
        assert Path(torch.ones(4), -torch.ones(4), Euclidean()).segments == 2

    @pytest.mark.parametrize("bad", [math.nan, math.inf])
    def test_ends_that_are_not_finite(self, bad):
        with pytest.raises(UserError, match="not finite"):
            Path(torch.ones(4), torch.full((4,), bad), Euclidean())

    def test_no_segments(self):
        with pytest.raises(UserError, match="at least 1"):
            Path(torch.ones(4), torch.zeros(4), Euclidean(), 0)
