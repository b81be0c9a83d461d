"""What manifolds say of curves on them, against differences and brute force: float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_manifold import MANIFOLDS, NAMED, close, draw, scale_of, shell

from geodesic_lightning.geometry import spline
from geodesic_lightning.geometry.rescaling import transformed

every = pytest.mark.parametrize("manifold", MANIFOLDS, ids=list(NAMED))
seeds = pytest.mark.parametrize("seed", range(3))
D = 48


def moving(manifold, seed):
    """Places x and tangent velocities v (7, d) of about the manifold's scale."""
    x, _, _, v = draw(manifold, seed, torch.float64, D)
    return x, manifold.proju(x, v)


def times(*values):
    return torch.tensor(values, dtype=torch.float64)


@every
@seeds
def test_straight_is_the_exponential_and_its_derivative(manifold, seed):
    x, v = moving(manifold, seed)
    size = scale_of(manifold)
    u = times(0.0, 0.3, 1.0, -0.7)
    places, velocities = manifold.straight(x[:, None], v[:, None], u)
    assert places.shape == velocities.shape == (7, 4, D)
    for k, time in enumerate(u):
        close(places[:, k] / size, manifold.expmap(x, time * v) / size, 1e-12)
    step = 1e-5
    ahead, behind = (manifold.straight(x[:, None], v[:, None], u + h)[0] for h in (step, -step))
    close(velocities / size, (ahead - behind) / (2 * step) / size, 1e-8)
    close(velocities.norm(dim=-1), v.norm(dim=-1)[:, None].expand(-1, 4), 1e-12)
    close(manifold.proju(places, velocities), velocities, 1e-11)


@every
@seeds
def test_acceleration_is_the_second_derivative_and_normal(manifold, seed):
    x, v = moving(manifold, seed)
    size, step = scale_of(manifold), 1e-4
    behind, here, ahead = manifold.straight(x[:, None], v[:, None], times(-step, 0, step))[
        0
    ].unbind(1)
    found = manifold.acceleration(x, v)
    close(found / size, (ahead - 2 * here + behind) / step**2 / size, 2e-6)  # rounding over step²
    close(manifold.proju(x, found) / size, torch.zeros_like(x), 1e-12)


@every
@seeds
def test_gliding_keeps_speed_and_comes_back(manifold, seed):
    x, v = moving(manifold, seed)
    size = scale_of(manifold)
    h = times(0.1, -0.1, 1.0, 0.0, 2.0, -3.0, 1e-9)
    there, carried = manifold.glide(x, v, h)
    places, velocities = manifold.straight(x, v, h)
    close(there / size, places / size, 1e-12)
    close(carried / size, velocities / size, 1e-12)
    back, again = manifold.glide(there, carried, -h)
    close(back / size, x / size, 1e-11)
    close(again / size, v / size, 1e-11)


@every
def test_a_factor_at_rest_stays_at_rest(manifold):
    x, v = moving(manifold, 0)
    there, carried = manifold.glide(x, 0 * v, torch.ones(7, dtype=torch.float64))
    close(there, x, 1e-12)
    assert torch.equal(carried, torch.zeros_like(v))


@every
@seeds
def test_geodesics_turn_about_their_centre_at_their_frequencies(manifold, seed):
    x, v = moving(manifold, seed)
    square = manifold.frequencies(v)
    assert D % square.shape[-1] == 0
    turn = square[..., None] * manifold.centred(x).unflatten(-1, (square.shape[-1], -1))
    close(manifold.acceleration(x, v), -turn.flatten(-2), 1e-11)


@every
@seeds
def test_rates_along_a_spline_are_those_of_the_curve_brought_to_the_manifold(manifold, seed):
    x, y, _, v = draw(manifold, seed, torch.float64, D)
    nodes = manifold.geodesic(x[0], y[0], torch.linspace(0, 1, 7, dtype=torch.float64))
    points = manifold.projx(nodes + 0.1 * v)  # a curve that is no geodesic
    scores = manifold.proju(points, v.flip(0))
    knots = spline.chord_knots(points)
    at, step = np.linspace(0.05, 0.95, 11), 1e-5
    rise, square = manifold.rates_along(
        points, scores, spline.basis(knots, at), spline.basis(knots, at, 1)
    )
    ahead, behind = (
        manifold.projx(spline.evaluate(points, at + h, knots=knots)) for h in (step, -step)
    )
    slope = (ahead - behind) / (2 * step)
    field = spline.basis(knots, at) @ scores.numpy()
    np.testing.assert_allclose(square, slope.square().sum(-1).numpy(), rtol=1e-7)
    size = float(np.abs(rise).max())
    np.testing.assert_allclose(rise, (field * slope.numpy()).sum(-1), atol=1e-7 * size)


@every
@seeds
def test_points_get_their_own_statistics_back(manifold, seed):
    generator = torch.Generator().manual_seed(seed)
    latents = torch.randn(2, D, generator=generator, dtype=torch.float64)
    latents = latents * times(1.0, 3.0)[:, None] + times(0.5, -1.0)[:, None]
    own, points = manifold.statistics(latents), manifold.projx(latents)
    scale, shift = manifold.restoring(points, own)
    restored = transformed(points, scale, shift)
    close(manifold.statistics(restored), own, 1e-12)
    close(restored, latents, 1e-12)  # a point has one nearest point, and keeps what is not held


@pytest.mark.parametrize("channels", [1, 3, 16])
@seeds
def test_on_the_shell_statistics_go_evenly_between_the_ends(channels, seed):
    manifold = shell(channels)
    generator = torch.Generator().manual_seed(seed)
    latents = torch.randn(2, D, generator=generator, dtype=torch.float64)
    latents = latents * times(1.0, 3.0)[:, None] + times(0.5, -1.0)[:, None]
    own, points = manifold.statistics(latents), manifold.projx(latents)
    scale, shift = manifold.restoring(points, own)
    between = manifold.geodesic(points[0], points[1], times(0.25, 0.5))
    for u, x in zip((0.25, 0.5), between):
        shown = transformed(x[None], *(torch.lerp(p[:1], p[1:], u) for p in (scale, shift)))
        close(manifold.statistics(shown), torch.lerp(own[:1], own[1:], u), 1e-12)
