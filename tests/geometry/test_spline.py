"""Cubic splines: cubics reproduced, fourth order, the same whatever the dimension or the dtype."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from known import SEGMENTS, order
from scipy.interpolate import CubicSpline

from geodesic_lightning.geometry import spline

seeds = pytest.mark.parametrize("seed", range(5))


def random_points(seed, count=9, dimension=5):
    generator = torch.Generator().manual_seed(seed)
    steps = torch.rand(count, dimension, generator=generator, dtype=torch.float64) + 0.1
    return steps.cumsum(0)


def arc(count):
    """Points at uneven places of a quarter of the unit circle, and their angles."""
    u = torch.linspace(0, 1, count, dtype=torch.float64)
    angle = math.pi / 2 * (u + 0.2 * torch.sin(math.pi * u) ** 2)
    return torch.stack([angle.cos(), angle.sin()], -1), angle


@seeds
def test_knots_are_fractions_of_the_polygon(seed):
    points = random_points(seed)
    lengths = (points[1:] - points[:-1]).norm(dim=-1)
    knots = spline.chord_knots(points)
    assert knots[0] == 0
    assert knots[-1] == 1
    # A part in 1e9 goes to keeping coincident nodes apart.
    np.testing.assert_allclose(np.diff(knots), (lengths / lengths.sum()).numpy(), rtol=0, atol=2e-9)


def test_knots_increase_through_coincident_points():
    points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0], [2.0, 1.0]])
    assert (np.diff(spline.chord_knots(points)) > 0).all()
    assert (np.diff(spline.chord_knots(torch.zeros(4, 2))) > 0).all()


@seeds
def test_nodes_are_kept(seed):
    points = random_points(seed)
    torch.testing.assert_close(spline.evaluate(points, spline.chord_knots(points)), points)


@seeds
@pytest.mark.parametrize("degree", [0, 1, 2])
def test_cubics_are_reproduced_with_their_derivatives(seed, degree):
    generator = np.random.default_rng(seed)
    knots = np.concatenate([[0], np.sort(generator.uniform(0.05, 0.95, 6)), [1]])
    cubic = np.polynomial.Polynomial(generator.normal(size=4))
    at = np.linspace(0, 1, 21)
    points = torch.from_numpy(cubic(knots))[:, None]
    found = spline.evaluate(points, at, degree, knots)[:, 0].numpy()
    expected = cubic.deriv(degree)(at) if degree else cubic(at)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)


@seeds
def test_agrees_with_a_spline_made_directly(seed):
    points = random_points(seed)
    knots, at = spline.chord_knots(points), np.linspace(0, 1, 33)
    direct = CubicSpline(knots, points.numpy(), bc_type="not-a-knot")(at)
    np.testing.assert_allclose(spline.evaluate(points, at).numpy(), direct, atol=1e-12)


def test_a_circle_is_met_to_fourth_order():
    errors = []
    for segments in SEGMENTS:
        points, _ = arc(segments + 1)
        fine = spline.evaluate(points, np.linspace(0, 1, 1001))
        errors.append(float((fine.norm(dim=-1) - 1).abs().max()))
    assert order(SEGMENTS, errors) > 3.8


def test_resampled_nodes_stand_at_equal_arc_length():
    points, _ = arc(17)
    fresh = spline.resample(points, 10)
    angle = torch.atan2(fresh[:, 1], fresh[:, 0])
    # Places are found by linear interpolation between 16 points a piece: error (1/256)².
    expected = torch.linspace(0, math.pi / 2, 11, dtype=torch.float64)
    torch.testing.assert_close(angle, expected, rtol=0, atol=1e-4)
    assert torch.equal(fresh[[0, -1]], points[[0, -1]])


@pytest.mark.parametrize("count", [2, 3, 4, 5, 7])
@pytest.mark.parametrize("segments", [1, 2, 3, 16, 50])
def test_any_numbers_of_nodes(count, segments):
    points, _ = arc(count)
    fresh = spline.resample(points, segments)
    assert fresh.shape == (segments + 1, 2)
    assert torch.equal(fresh[[0, -1]], points[[0, -1]])
    assert torch.isfinite(fresh).all()


def test_resampling_does_not_touch_its_input_and_keeps_the_dtype():
    points = random_points(0).float()
    before = points.clone()
    assert spline.resample(points, 12).dtype == torch.float32
    assert torch.equal(points, before)


def test_coincident_points_stay_where_they_are():
    fresh = spline.resample(torch.ones(5, 3, dtype=torch.float64), 8)
    torch.testing.assert_close(fresh, torch.ones(9, 3, dtype=torch.float64))
