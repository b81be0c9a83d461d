"""Rank correlations on values whose ranks are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geodesic_lightning.metrics.agreement import agreement, readings


def test_any_growing_function_agrees_and_any_falling_one_disagrees():
    x = np.random.default_rng(0).random(15)
    found = agreement([{"a": x, "b": np.exp(5 * x), "c": -(x**3)}])
    assert found.names == ("a", "b", "c")
    np.testing.assert_allclose(found.rho, [[1, 1, -1], [1, 1, -1], [-1, -1, 1]], atol=1e-12)
    assert (found.films == 1).all()


def test_by_hand():
    """1 − 6 Σ d²/(n (n² − 1)) without ties: ranks 1 2 3 4 5 and 2 1 4 3 5, Σ d² = 4."""
    found = agreement([{"a": [1, 2, 3, 4, 5], "b": [20, 10, 40, 30, 50]}])
    assert found.rho[0, 1] == pytest.approx(1 - 6 * 4 / (5 * 24))


def test_films_are_averaged_not_pooled():
    """Within both films the rulers disagree, although the second film is higher in both."""
    films = [{"a": [1, 2, 3], "b": [3, 2, 1]}, {"a": [11, 12, 13], "b": [13, 12, 11]}]
    assert agreement(films).rho[0, 1] == pytest.approx(-1)
    assert agreement([*films, {"a": [1, 2, 3], "b": [1, 2, 3]}]).rho[1, 0] == pytest.approx(-1 / 3)


def test_what_is_missing_does_not_count():
    nan = float("nan")
    films = [
        {"a": [1, 2, 3, 4, 5.0], "b": [1, nan, 2, nan, 3]},
        {"a": [1, 2, 3]},  # no such ruler
        {"a": [1, 2, 3], "b": [2, 2, 2]},  # no ranks
        {"a": [1, 2, 3], "b": [1, nan, 2]},  # two frames
    ]
    found = agreement(films)
    assert found.rho[0, 1] == pytest.approx(1)
    assert found.films.tolist() == [[4, 1], [1, 1]]
    alone = agreement([{"a": [1, 2, 3]}, {"b": [1, 2, 3]}])
    assert np.isnan(alone.rho[0, 1])
    assert alone.table() == (["", "a", "b"], [["a", "+1.00", ""], ["b", "", "+1.00"]])


def test_readings_of_a_film():
    """Pictures that move evenly from one to the other: all steps equal, no flicker, all crossfade."""
    a, b = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    w = torch.linspace(0, 1, 6)[:, None, None, None]
    frames = (1 - w) * a + w * b
    found = readings(frames, {"own": torch.tensor([1.0, 2, 3, 4, 5])})
    assert set(found) == {"own", "step_pixels", "flicker", "crossfade", "darkness"}
    assert all(value.shape == (4,) for value in found.values())
    assert found["own"].tolist() == [1.5, 2.5, 3.5, 4.5]
    rms = float((b - a).square().mean().sqrt()) / 5
    np.testing.assert_allclose(found["step_pixels"], rms, rtol=1e-5)
    np.testing.assert_allclose(found["flicker"], 0, atol=1e-9)
    np.testing.assert_allclose(found["crossfade"], 1, atol=1e-6)  # single precision, squared
