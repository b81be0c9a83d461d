"""Shots that stay above a floor of density: geodesics of a region with a boundary, where these are known."""

import math
from itertools import pairwise

import pytest
import torch

from geodesic_lightning.errors import UserError
from geodesic_lightning.geometry.euclidean import Euclidean
from geodesic_lightning.integrators.adaptive import advance
from geodesic_lightning.integrators.floor import kept_above, nats, standard_deviation, trusted
from geodesic_lightning.integrators.geodesic_ode import METHODS, PARAMETRIZATIONS, Medium, begin

both = pytest.mark.parametrize("parametrization", PARAMETRIZATIONS)


def gaussian(precision, alpha=0.3, parametrization="euclidean", calls=None):
    """The medium of N(0, 1/precision), which notes the sizes of the calls of its score."""

    def score(x, u):
        if calls is not None:
            calls.append(len(x))
        return -x * precision

    return Medium(score, alpha, Euclidean(), parametrization)


def shoot(x, v, medium, segments, floor=None, method="rk4"):
    """States after every segment, shots (n, d)."""
    state, states = begin(x, v), []
    for k in range(segments):
        u, h = x.new_full((len(x),), k / segments), x.new_full((len(x),), 1 / segments)
        state = advance(state, u, h, medium, METHODS[method], 0.5)
        if floor is not None:
            state = kept_above(state, u + h, h, medium, floor)
        states.append(state)
    return states


def on_a_level(seed, d=5):
    """A place of length 1, a tangent of length 1.2 there, and where the great circle takes it in unit time."""
    draw = torch.randn(2, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    x = draw[0] / draw[0].norm()
    t = draw[1] - draw[1] @ x * x
    t = t / t.norm()
    return x[None], 1.2 * t[None], (math.cos(1.2) * x + math.sin(1.2) * t)[None]


@both
@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize("method", METHODS)
def test_along_the_level_set_of_a_gaussian_it_is_a_great_circle(parametrization, alpha, method):
    """Whatever α: p is constant there, and what bends towards low density is normal to it. Of second order."""
    for seed in range(2):
        x, v, end = on_a_level(seed)
        medium = gaussian(torch.ones(5), alpha, parametrization)
        errors = [
            float((shoot(x, v, medium, n, 0.0, method)[-1].x - end).norm()) for n in (8, 16, 32)
        ]
        assert errors[-1] < 4e-3
        for coarse, fine in pairwise(errors):
            assert math.log2(coarse / fine) == pytest.approx(2, abs=0.1)


def test_along_other_level_sets_it_comes_to_one_curve():
    """The normal is that of the place before the lift, hence first order; nothing stays below by more than h²."""
    precision = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
    x = torch.tensor([[1.0, 0, 0]], dtype=torch.float64)
    v = torch.tensor([[0, 0.8, 0.6]], dtype=torch.float64)
    medium = gaussian(precision)
    known = shoot(x, v, medium, 512, 0.0)[-1].x
    gaps = []
    for n in (16, 32, 64):
        states = shoot(x, v, medium, n, 0.0)
        gaps.append(float((states[-1].x - known).norm()))
        levels = [float(0.5 * (x**2 - s.x**2) @ precision) for s in states]
        assert min(levels) > -((1 / n) ** 2) * 4
    assert gaps[0] / gaps[2] > 3.5
    assert gaps[2] < 0.01


@both
def test_inside_the_region_nothing_changes_and_nothing_is_asked(parametrization):
    x, v, _ = on_a_level(0)
    free, floored = [], []
    one = shoot(x, v, gaussian(torch.ones(5), 0.3, parametrization, free), 8)[-1]
    two = shoot(x, v, gaussian(torch.ones(5), 0.3, parametrization, floored), 8, -100.0)[-1]
    assert torch.equal(one.x, two.x)
    assert free == floored


def test_only_shots_that_are_below_are_asked_about():
    x, v, _ = on_a_level(1)
    inward = -0.5 * x
    calls = []
    shoot(
        torch.cat([x, x]), torch.cat([v, inward]), gaussian(torch.ones(5), 0.0, calls=calls), 4, 0.0
    )
    assert calls.count(1) == 4  # the first leaves at every step, the second never


def test_it_climbs_to_a_floor_above_its_start_by_no_more_than_its_own_steps():
    x, v, _ = on_a_level(2)
    x, v = 3 * x, 3 * v
    off = []
    for n in (16, 32, 64):
        states = shoot(x, v, gaussian(torch.ones(5), 0.3), n, 2.5)  # the sphere of radius 2
        radii = torch.stack([s.x.norm() for s in states])
        assert (radii[:-1] - radii[1:] < 3.6 / n + 1e-9).all()
        for state in states:
            torch.testing.assert_close(state.v.norm(), v.norm())
        off.append(float((radii[-n // 4 :] - 2).abs().max()))
    assert off[0] < 0.07  # of first order: the climb takes the score for constant over a step
    assert off[0] / off[1] > 1.7
    assert off[1] / off[2] > 1.7


def test_a_floor_is_in_standard_deviations_of_a_gaussians_log_density():
    draw = torch.randn(20_000, 32, generator=torch.Generator().manual_seed(0))
    assert standard_deviation(32) == pytest.approx(float((draw**2).sum(1).std() / 2), rel=0.02)
    assert nats(6, 32) == 6 * 4
    assert nats(None, 32) is None
    for wrong in (math.nan, math.inf):
        with pytest.raises(UserError, match=r"solver\.floor: got"):
            nats(wrong, 32)


def test_trust_ends_where_three_standard_deviations_are_lost():
    fall = torch.linspace(0, -24, 17)  # d = 32: four nats, twelve of trust
    assert trusted(fall, 32) == pytest.approx(0.5)
    assert trusted(torch.linspace(0, -11, 5), 32) == 1.0
    assert trusted(torch.tensor([0.0, 5.0, -19.0]), 32) == pytest.approx(0.5 + 0.5 * 17 / 24)
