"""Pictures of any shape at any size: what a crop keeps, where a padded picture stands, what is said."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from geodesic_lightning.data.clip import clip
from geodesic_lightning.data.frames import Frames, image, pair
from geodesic_lightning.data.keyframes import keyframes
from geodesic_lightning.data.resize import ANCHORS, FITS, kept, resize
from geodesic_lightning.errors import UserError


def thirds(width: int = 48, height: int = 16) -> Image.Image:
    """Red, green, blue along the longer side."""
    pixels = np.zeros((height, width, 3), np.uint8)
    for channel, part in enumerate(np.array_split(np.arange(max(width, height)), 3)):
        if width >= height:
            pixels[:, part, channel] = 255
        else:
            pixels[part, :, channel] = 255
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    ("shape", "anchor", "channel"),
    [
        ((48, 16), "center", 1), ((48, 16), "left", 0), ((48, 16), "right", 2),
        ((48, 16), "top", 1), ((16, 48), "center", 1), ((16, 48), "top", 0),
        ((16, 48), "bottom", 2), ((16, 48), "left", 1),
    ],
)  # fmt: skip
def test_a_crop_keeps_what_its_anchor_says(shape, anchor, channel):
    pixels = resize(thirds(*shape), 16, "crop", anchor)
    assert pixels[channel].min() == 1
    assert pixels.sum() == 256


@pytest.mark.parametrize("size", [(16, 48), (8, 24), (32, 96)])
@pytest.mark.parametrize("fit", FITS)
def test_a_size_of_the_pictures_own_shape_loses_nothing(size, fit):
    pixels = resize(thirds(), size, fit)
    assert pixels.shape == (3, *size)
    assert pixels.mean() == pytest.approx(1 / 3, abs=0.02)
    assert torch.equal(pixels, resize(thirds(), size, "stretch"))


def test_padding_keeps_everything_and_is_black():
    for anchor, rows in {"center": (16, 32), "top": (0, 16), "bottom": (32, 48)}.items():
        pixels = resize(thirds(), 48, "pad", anchor)
        assert pixels.sum() == 48 * 16
        assert pixels[:, rows[0] : rows[1]].sum() == 48 * 16
    assert resize(thirds(16, 48), 48, "pad", "right")[:, :, 32:].sum() == 48 * 16


@pytest.mark.parametrize("shape", [(3000, 300), (17, 23), (9, 500), (640, 481)])
@pytest.mark.parametrize("size", [(8, 8), (64, 96), (96, 64)])
@pytest.mark.parametrize("fit", FITS)
def test_any_shape_at_any_size(shape, size, fit):
    for anchor in ANCHORS:
        pixels = resize(Image.new("RGB", shape, "white"), size, fit, anchor)
        assert pixels.shape == (3, *size)
        assert pixels.dtype == torch.float32
        if fit != "pad":
            assert pixels.min() == 1


def test_the_part_that_is_kept():
    assert kept((3000, 300), 512) == pytest.approx(0.1)
    assert kept((512, 768), 512) == pytest.approx(2 / 3)
    assert kept((512, 768), (768, 512)) == 1
    assert kept((512, 768), (512, 768)) == pytest.approx(4 / 9, abs=1e-3)


def test_what_a_crop_loses_is_said_in_one_line():
    frames = keyframes([Image.new("RGB", s, c) for s, c in
                        (((3000, 300), "red"), ((512, 768), "blue"), ((64, 64), "green"))])  # fmt: skip
    said = frames.cropped(512)
    assert said.startswith("Cropped to the model's 512×512 px: ")
    assert "image 1 (3000×300 px) loses 90%, image 2 (512×768 px) loses 33%;" in said
    assert "image 3" not in said
    assert "data.fit=pad and stretch keep all" in said
    assert "\n" not in said
    for fit in ("pad", "stretch"):
        assert (
            Frames(None, frames.prompts, frames.names, pictures=frames.pictures, fit=fit).cropped(
                512
            )
            == ""
        )
    assert image(Image.new("RGB", (64, 64))).cropped((512, 512)) == ""
    assert image(Image.new("RGB", (1000, 1001))).cropped(512) == ""  # a thousandth


def test_frames_and_clips_take_fit_and_anchor(tmp_path):
    frames = pair(thirds(), thirds().rotate(180), fit="crop", anchor="right")
    assert frames.at(16).images[0, 2].min() == 1
    assert frames.at((16, 48)).images.shape == (2, 3, 16, 48)
    for number in range(3):
        picture = thirds()
        picture.putpixel((0, 0), (0, 0, number))
        picture.save(tmp_path / f"{number}.png")
    film = clip(tmp_path, anchor="left")
    assert next(film.chunks(16, 3))[:, 0, 1:].min() == 1
    assert "loses 67%" in film.cropped(16)
    assert next(clip(tmp_path, fit="pad").chunks((48, 48), 3)).sum() == pytest.approx(
        3 * 48 * 16, abs=3
    )
    assert clip(tmp_path, resize="stretch").fit == "stretch"  # as it was called


@pytest.mark.parametrize("options", [{"fit": "squeeze"}, {"anchor": "middle"}])
def test_words_that_are_none(options):
    with pytest.raises(UserError, match=r"data\.(fit|anchor): got .*, expected one of c"):
        image(thirds(), **options)
    with pytest.raises(UserError, match="expected at least 1 px"):
        resize(thirds(), (16, 0))
