"""What is no usable picture is refused in one sentence, early, and without decoding a bomb."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile

from geodesic_lightning.data.frames import pair
from geodesic_lightning.data.read_image import read_image
from geodesic_lightning.errors import UserError


def noise(width: int = 64, height: int = 64, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def refused(path, says: str) -> None:
    """read_image and pair, either end, raise one sentence that names the file and says so."""
    good = noise(seed=7)
    for attempt in (
        lambda: read_image(path),
        lambda: pair(str(path), good),
        lambda: pair(good, path),
    ):
        with pytest.raises(UserError, match=says) as caught:
            attempt()
        message = str(caught.value)
        assert "\n" not in message
        assert message.endswith(".")
        assert str(path) in message


def header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", size)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


def test_missing_file(tmp_path):
    refused(tmp_path / "nowhere.png", "does not exist")
    refused(tmp_path / ("n" * 300 + ".png"), "cannot be read")


def test_no_path():
    for nothing in ("", "  ", None):
        with pytest.raises(UserError, match="no image path"):
            read_image(nothing)


def test_directory(tmp_path):
    refused(tmp_path, "is a folder")


def test_a_file_as_a_folder(tmp_path):
    noise().save(tmp_path / "a.png")
    refused(tmp_path / "a.png" / "b.png", "does not exist")


def test_text_file(tmp_path):
    for name in ("a.txt", "a.png", "a.svg"):
        (tmp_path / name).write_text("<svg>not a picture</svg>\n" * 20)
        refused(tmp_path / name, "is not an image")


def test_zero_bytes(tmp_path):
    (tmp_path / "a.png").touch()
    refused(tmp_path / "a.png", "is empty")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.gif"])
@pytest.mark.parametrize("part", [0.05, 0.5, 0.9])
def test_truncated(tmp_path, name, part):
    noise(200, 200).save(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * part)])
    refused(tmp_path / name, "damaged|not an image")


def test_corrupt(tmp_path):
    noise(200, 200).save(tmp_path / "a.png")
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[5000:9000] = bytes(4000)
    (tmp_path / "a.png").write_bytes(data)
    refused(tmp_path / "a.png", "damaged")


@pytest.mark.parametrize("shape", [(1, 1), (7, 100), (100, 7)])
def test_too_small(tmp_path, shape):
    noise(*shape).save(tmp_path / "a.png")
    refused(tmp_path / "a.png", f"{shape[0]}×{shape[1]} px, expected at least 8×8")
    noise(8, 8).save(tmp_path / "b.png")
    assert read_image(tmp_path / "b.png").size == (8, 8)


@pytest.mark.parametrize(
    ("side", "says"),
    [(8_001, "8001×8001 px"), (10_000, "10000×10000 px"), (20_000, "megapixels")],
)
def test_too_large_by_its_header_alone(tmp_path, side, says, monkeypatch):
    def decode(self):
        pytest.fail("the pixels were decoded before their number was looked at")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
    (tmp_path / "a.png").write_bytes(header(side, side))
    refused(tmp_path / "a.png", f"too many pixels .*{says}.*at most 64 megapixels")


def test_pixels_that_are_no_numbers(tmp_path):
    pixels = np.full((16, 16), 0.5, dtype=np.float32)
    pixels[3, 3] = np.nan
    Image.fromarray(pixels).save(tmp_path / "a.tiff")
    refused(tmp_path / "a.tiff", "not finite numbers")


def test_identical_images(tmp_path):
    noise().save(tmp_path / "a.png")
    noise().save(tmp_path / "b.webp", lossless=True)
    with pytest.raises(UserError, match="same picture"):
        pair(tmp_path / "a.png", tmp_path / "a.png")
    with pytest.raises(UserError, match="same picture"):
        pair(tmp_path / "a.png", tmp_path / "b.webp")


def test_identical_within_the_crop():
    wide, narrow = noise(64, 64), Image.new("RGB", (96, 64), "white")
    narrow.paste(wide, (16, 0))
    with pytest.raises(UserError, match="same picture at 32×32 px"):
        pair(wide, narrow).at(32)
    pair(wide, narrow).at((32, 48))


def test_identical_at_the_models_size():
    plain = Image.new("RGB", (64, 64), "orange")
    large = Image.new("RGB", (100, 100), "orange")
    frames = pair(plain, large)
    with pytest.raises(UserError, match="same picture at 16×16 px"):
        frames.at(16)
