"""Seam, lightness and flicker on films whose answer is known, and what stands under which network."""

from __future__ import annotations

import math

import pytest
import torch

from geodesic_lightning.decoding.perceptual import squared
from geodesic_lightning.metrics.flicker import flicker
from geodesic_lightning.metrics.lightness import least_lightness, lightness
from geodesic_lightning.metrics.seam import seam


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def between(a: torch.Tensor, b: torch.Tensor, count: int) -> torch.Tensor:
    w = torch.linspace(0, 1, count, dtype=torch.float64)[:, None, None, None]
    return (1 - w) * a + w * b


class TestSeam:
    def test_even_steps(self):
        assert seam(torch.full((16,), 0.3, dtype=torch.float64)) == pytest.approx(1)

    @pytest.mark.parametrize("count", [3, 4, 5, 6, 16])
    def test_ends_that_step_k_times_as_far(self, count):
        """Differences are squares: three times as far is nine times the difference."""
        steps = torch.full((count,), 0.2, dtype=torch.float64)
        steps[[0, -1]] *= 9
        assert seam(steps) == pytest.approx(3)

    def test_the_two_ends_are_averaged(self):
        """Roots 4, 1, 1, …, 1, 2: (4 + 2)/2."""
        steps = torch.ones(16, dtype=torch.float64)
        steps[0], steps[-1] = 16, 4
        assert seam(steps) == pytest.approx(3)

    def test_what_happens_in_the_middle_does_not_count(self):
        steps = torch.ones(16, dtype=torch.float64)
        steps[8] = 100
        assert seam(steps) == pytest.approx(1)

    def test_steps_that_grow_evenly_from_0_in_a_film_of_features(self):
        """Features that turn by an angle of 0.1 a frame, the given ends 0.3 away: chords of angles."""
        angles = torch.tensor([0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 1.0], dtype=torch.float64)
        features = torch.stack([angles.cos(), angles.sin()], 1)[..., None, None]
        expected = math.sin(0.15) / math.sin(0.05)
        assert seam(squared([features])) == pytest.approx(expected, rel=1e-9)

    def test_degenerate_films(self):
        assert seam(torch.tensor([5.0])) == 1
        assert seam(torch.tensor([5.0, 1.0])) == 1
        assert seam(torch.zeros(6)) == 1
        assert seam(torch.tensor([1.0, 0, 0, 0, 1.0])) == math.inf


class TestLightness:
    @pytest.mark.parametrize(
        ("srgb", "expected"),
        [
            ((0, 0, 0), 0.0),
            ((1, 1, 1), 100.0),
            # Published L* of sRGB's primaries and of its middle grey (119/255 is L* 50.03).
            ((1, 0, 0), 53.24),
            ((0, 1, 0), 87.73),
            ((0, 0, 1), 32.30),
            ((119 / 255,) * 3, 50.03),
            ((0.03, 0.03, 0.03), 903.2963 * 0.03 / 12.92),  # both linear pieces: κ Y
        ],
    )
    def test_known_colours(self, srgb, expected):
        images = torch.tensor(srgb, dtype=torch.float64)[None, :, None, None].expand(1, 3, 4, 5)
        assert float(lightness(images)[0]) == pytest.approx(expected, abs=0.01)

    def grey(self, *levels: float) -> torch.Tensor:
        return torch.tensor(levels, dtype=torch.float64)[:, None, None, None].expand(-1, 3, 4, 4)

    def test_a_fade_has_no_dark_middle(self):
        film = self.grey(0.4, 0.5, 0.6, 0.7, 0.8)
        assert least_lightness(film) > 1
        assert least_lightness(film.flip(0)) == least_lightness(film)

    def test_a_dark_middle(self):
        film = self.grey(0.8, 0.5, 0.3, 0.5, 0.9)
        expected = float(lightness(film)[2] / lightness(film)[0])
        assert least_lightness(film) == pytest.approx(expected)
        assert expected < 0.5

    def test_nothing_to_compare(self):
        assert least_lightness(self.grey(0.5, 0.6)) == 1
        assert least_lightness(self.grey(0.0, 0.0, 0.5)) == 1


class TestFlicker:
    def test_of_an_even_change_is_0(self):
        a, b = noise(2, 3, 32, 32)
        assert flicker(between(a, b, 9)) == pytest.approx(0, abs=1e-12)

    def test_of_two_pictures_in_turn_is_1(self):
        a, b = noise(2, 3, 32, 32)
        assert flicker(torch.stack([a, b] * 4)) == pytest.approx(1)

    def test_of_independent_noise_is_three_quarters(self):
        """E|s|² = 6 σ², E|e|² = 2 σ²: 6/(2 (2 + 2)); 245,760 numbers."""
        assert flicker(noise(20, 3, 64, 64)) == pytest.approx(0.75, abs=0.01)

    def test_of_steps_that_have_nothing_in_common_is_a_half(self):
        """A walk: e_j independent, |s|² = |e_j|² + |e_{j−1}|²."""
        walk = (noise(20, 3, 64, 64) - 0.5).cumsum(0)
        assert flicker(walk) == pytest.approx(0.5, abs=0.01)

    def test_one_jump_is_a_half_and_contrast_does_not_matter(self):
        a, b = noise(2, 3, 32, 32)
        jump = torch.stack([a, a, a, b, b, b])
        assert flicker(jump) == pytest.approx(0.5)
        assert flicker(0.1 * jump) == pytest.approx(0.5)

    def test_colours_that_change_at_random_everywhere_are_no_detail(self):
        """Even colour has no fine structure: what flickers is lightness as a whole, and not seen here."""
        film = noise(1, 3, 32, 32) + 5 * noise(9, 3, 1, 1, seed=1)
        assert flicker(film) == pytest.approx(0, abs=1e-9)

    def test_still_and_short_films(self):
        still = noise(1, 3, 32, 32).expand(5, -1, -1, -1)
        assert flicker(still) == 0
        assert flicker(noise(2, 3, 32, 32)) == 0
