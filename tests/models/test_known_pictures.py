"""The shipped model says where it cannot know the pictures, and is silent on drawn cats."""

from __future__ import annotations

import io
import logging

import numpy as np
import pytest
from PIL import Image

from geodesic_lightning.api import analyse, interpolate
from geodesic_lightning.data.clip import shipped_clip
from geodesic_lightning.data.frames import Frames, pair
from geodesic_lightning.data.keyframes import keyframes
from geodesic_lightning.models.diffusion import EMBEDDED_KNOWS, embedded
from geodesic_lightning.models.embedded import pairs_folder


@pytest.fixture(scope="module")
def model():
    return embedded()


def texture(seed: int, power: float, size: int = 160) -> Image.Image:
    """Colour noise of spectrum 1/f^power, as photographs have (power about 1 in amplitude)."""
    rng = np.random.default_rng(seed)
    f = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None])
    f[0, 0] = 1
    shared, *own = (
        np.fft.ifft2(np.fft.fft2(rng.normal(size=(size, size))) / f**power).real for _ in range(4)
    )
    layers = [shared + 0.4 * one for one in own]
    pixels = np.stack([0.5 + 0.2 * (v - v.mean()) / v.std() for v in layers], -1)
    return Image.fromarray((pixels.clip(0, 1) * 255).round().astype(np.uint8))


def said(model, frames, caplog) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.WARNING, "geodesic_lightning"):
        model.prepare(frames)
    return [r.getMessage() for r in caplog.records]


def test_no_drawn_cat_is_a_stranger(model, caplog):
    cats = [Image.open(f) for f in sorted(pairs_folder().glob("*.png"))]
    assert len(cats) >= 60
    assert said(model, keyframes(cats), caplog) == []
    for name in ("clip_even", "clip_detour"):
        assert said(model, shipped_clip(name), caplog) == []


def test_a_cat_saved_as_jpeg_or_enlarged_is_known(model, caplog):
    cat = Image.open(pairs_folder() / "pair_cat_start.png").convert("RGB")
    stored = io.BytesIO()
    cat.save(stored, "jpeg", quality=75)
    assert said(model, keyframes([Image.open(stored), cat.resize((500, 500))]), caplog) == []


@pytest.mark.parametrize("power", [0.8, 1.0, 1.3, 1.6, 2.0])
def test_textures_of_photographs_are_strangers(model, caplog, power):
    frames = keyframes([texture(seed, power) for seed in range(5)])
    (line,) = said(model, frames, caplog)
    assert line.startswith(
        "model=embedded does not know pictures such as image 1, image 2, image 3 and 2 more"
    )
    assert "model=sd2" in line
    assert "\n" not in line


def test_only_the_stranger_is_named(model, caplog):
    cat = Image.open(pairs_folder() / "pair_cat_start.png")
    (line,) = said(model, pair(cat, texture(0, 1.0)), caplog)
    assert "such as end:" in line


def test_the_margin(model):
    """The threshold lies 2 dB or more from all cats and all textures, judged as it judges."""

    def decibels(pictures):
        frames = Frames(None, ("",) * len(pictures), pictures=tuple(pictures))
        images, back = model.given(frames), model.decode(model.encode(frames))
        return -10 * (back - images).square().flatten(1).mean(1).log10()

    cats = [Image.open(f).convert("RGB") for f in sorted(pairs_folder().glob("*.png"))]
    assert decibels(cats).min() > EMBEDDED_KNOWS + 2
    assert (
        decibels([texture(s, p) for s in range(4) for p in (0.8, 1.2, 1.6, 2)]).max()
        < EMBEDDED_KNOWS - 2
    )


def test_once_a_run_and_not_by_models_of_anything(caplog, tiny_sd2):
    from geodesic_lightning.models.diffusion import DiffusionModel

    ends = texture(0, 1.0), texture(1, 1.0)
    with caplog.at_level(logging.WARNING, "geodesic_lightning"):
        interpolate(*ends, segments=2, frames=3, alpha=0.0, device="cpu")
    assert sum("does not know" in r.getMessage() for r in caplog.records) == 1
    other = DiffusionModel(str(tiny_sd2))
    assert said(other, pair(*ends), caplog) == []


def test_a_film_of_strangers(tmp_path, caplog):
    for number in range(3):
        texture(number, 1.0).save(tmp_path / f"{number}.png")
    with caplog.at_level(logging.WARNING, "geodesic_lightning"):
        analyse(tmp_path, segments=2, frames=3, alpha=0.0, device="cpu")
    assert sum("does not know" in r.getMessage() for r in caplog.records) == 1
