"""Textured pairs: the noise's spectrum and size, and a folder that data=collection reads."""

import numpy as np
import pytest

from geodesic_lightning.benchmark.textured import texture, write
from geodesic_lightning.data.pair_folder import numbered, pairs_in


def test_the_amplitude_falls_as_one_over_the_frequency():
    """Power over rings falls with exponent −2: least squares over logarithms, twenty textures."""
    f = np.fft.fftfreq(64)
    radius = np.hypot(f[:, None], f)
    power = sum(np.abs(np.fft.fft2(texture(64, k)[..., 0])) ** 2 for k in range(20))
    inside = (radius > 0) & (radius < 0.5)
    slope = np.polyfit(np.log(radius[inside]), np.log(power[inside]), 1)[0]
    assert slope == pytest.approx(-2, abs=0.1)


def test_size_and_seed():
    found = texture(32, 1, 0.1)
    assert found.shape == (32, 32, 3)
    assert found.std() == pytest.approx(0.1)
    assert found.mean() == pytest.approx(0, abs=1e-12)
    assert np.array_equal(found, texture(32, 1, 0.1))
    assert not np.array_equal(found, texture(32, 2, 0.1))


def test_a_folder_of_pairs(tmp_path):
    write(tmp_path, ["pair_cat"])
    assert [pair.name for pair in pairs_in(tmp_path)] == ["pair_cat"]
    frames = numbered(str(tmp_path), 0)
    assert len(frames.pictures) == 2
    assert "orange cat" in frames.prompts[0]
