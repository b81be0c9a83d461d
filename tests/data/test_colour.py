"""Colours are those that the file means: profiles, inks, deep pixels, and what lies beside them."""

from __future__ import annotations

import io
import logging
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, features
from profiles import in_space, ink, ink_profile, matrix, matrix_profile, meant

from geodesic_lightning.data.read_image import read_image
from geodesic_lightning.errors import UserError

LEAST = 2  # of 255; rounding to 8 bits costs half


def colours(side: int = 48) -> np.ndarray:
    """All sorts of sRGB colours, the corners of the cube among them; uint8 (side, side, 3)."""
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    pixels[0, :8] = [[255 * (i >> b & 1) for b in range(3)] for i in range(8)]
    pixels[1] = np.linspace(0, 255, side).round()[:, None]
    return pixels


def furthest(image: Image.Image, expected: np.ndarray) -> int:
    return int(np.abs(np.asarray(image).astype(float) - expected).max())


def test_the_profiles_of_the_tests_are_right():
    """A white of their own is the white of all; what sRGB shows is what is stored."""
    for space in ("srgb", "adobe", "p3"):
        assert matrix(space).sum(1) == pytest.approx([0.9642, 1, 0.8249], abs=1e-3)
    assert meant(colours(), "srgb") == pytest.approx(colours(), abs=0.01)
    assert np.abs(meant(in_space(colours(), "p3"), "p3") - colours()).mean() < 0.5


@pytest.mark.parametrize("space", ["adobe", "p3"])
@pytest.mark.parametrize("name", ["a.png", "a.tiff", "a.webp", "a.avif"])
def test_a_display_profile_is_applied(tmp_path, space, name):
    if name.endswith("avif") and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    stored = in_space(colours(), space)
    options = {"lossless": True} if name.endswith("webp") else {}
    if name.endswith("avif"):  # a flat picture, for AVIF is not lossless
        stored = np.broadcast_to(in_space(np.array([200, 120, 40]), space), stored.shape)
        options = {"quality": 100, "subsampling": "4:4:4"}
    picture = Image.fromarray(np.ascontiguousarray(stored))
    picture.save(tmp_path / name, icc_profile=matrix_profile(space), **options)
    expected = meant(stored, space)
    assert np.abs(stored - expected).max() > 10  # or the test would show nothing
    assert furthest(read_image(tmp_path / name), expected) <= LEAST


def test_a_picture_in_memory_has_its_profile_too():
    stored = in_space(colours(), "adobe")
    picture = Image.fromarray(stored)
    picture.info["icc_profile"] = matrix_profile("adobe")
    assert furthest(read_image(picture), meant(stored, "adobe")) <= LEAST


def test_transparency_and_palette_keep_their_profile(tmp_path):
    stored = in_space(colours(), "p3")
    picture = Image.fromarray(stored)
    picture.putalpha(255)
    picture.save(tmp_path / "a.png", icc_profile=matrix_profile("p3"))
    assert furthest(read_image(tmp_path / "a.png"), meant(stored, "p3")) <= LEAST
    flat = np.broadcast_to(np.array([200, 120, 40], np.uint8), (16, 16, 3))
    Image.fromarray(in_space(flat, "p3")).quantize(4).save(
        tmp_path / "p.png", icc_profile=matrix_profile("p3")
    )
    assert furthest(read_image(tmp_path / "p.png"), flat) <= LEAST


def test_a_display_profile_of_a_grey_picture(tmp_path):
    grey = np.linspace(0, 255, 256).astype(np.uint8).reshape(16, 16)
    stored = in_space(np.repeat(grey[..., None], 3, -1), "adobe")[..., 0]
    Image.fromarray(stored).save(tmp_path / "a.png", icc_profile=matrix_profile("adobe"))
    assert furthest(read_image(tmp_path / "a.png"), grey[..., None]) <= LEAST


def test_ink_is_what_its_press_prints(tmp_path):
    """At the nodes of the profile's table, where nothing is interpolated."""
    shares = np.random.default_rng(1).integers(0, 9, (16, 16, 4)) / 8
    shares[..., 3] = np.minimum(shares[..., 3], 0.5)
    stored = np.round(shares * 255).astype(np.uint8)
    picture = Image.frombytes("CMYK", (16, 16), stored.tobytes())
    picture.save(tmp_path / "a.tiff", icc_profile=ink_profile())
    expected = ink(shares) * 255
    assert furthest(read_image(tmp_path / "a.tiff"), expected.round()) <= LEAST
    assert furthest(picture.convert("RGB"), expected) > 40  # what the convention would show


def test_srgb_under_another_name_keeps_every_byte(tmp_path):
    Image.fromarray(colours()).save(tmp_path / "a.png", icc_profile=matrix_profile("srgb"))
    assert furthest(read_image(tmp_path / "a.png"), colours()) == 0


@pytest.mark.parametrize(
    "broken", [b"garbage" * 30, b"", matrix_profile("p3")[:300], ink_profile()]
)
def test_a_profile_that_is_none_is_said_and_not_used(tmp_path, caplog, broken):
    Image.fromarray(colours()).save(tmp_path / "a.png", icc_profile=broken)
    with caplog.at_level(logging.WARNING):
        assert furthest(read_image(tmp_path / "a.png"), colours()) == 0
    assert len(caplog.records) == bool(broken)
    assert all("its colour profile is not used" in r.getMessage() for r in caplog.records)


def test_lab(tmp_path):
    Image.new("LAB", (16, 16), (128, 128, 128)).save(tmp_path / "a.tiff")
    pixels = np.asarray(read_image(tmp_path / "a.tiff"))
    assert np.ptp(pixels) <= 6  # grey
    assert 110 < pixels.mean() < 128  # L* = 50 is 119 in sRGB


@pytest.mark.parametrize(
    ("kind", "scale"),
    [("float32", 1 / 255), ("float32", 1.0), ("float32", 257.0), ("int32", 1), ("int32", 257)],
)
def test_deep_greys_are_scaled(tmp_path, kind, scale):
    ramp = np.arange(256).reshape(16, 16)
    Image.fromarray((ramp * scale).astype(kind)).save(tmp_path / "a.tiff")
    assert furthest(read_image(tmp_path / "a.tiff"), ramp[..., None]) == 0


def test_pixels_beyond_any_white_are_scaled_to_their_range_and_said(tmp_path, caplog):
    ramp = np.arange(256).reshape(16, 16)
    Image.fromarray((ramp * 1000.0 - 5000).astype(np.float32)).save(tmp_path / "a.tiff")
    with caplog.at_level(logging.WARNING):
        assert furthest(read_image(tmp_path / "a.tiff"), ramp[..., None]) == 0
    assert "pixels from -5000 to 250000 are taken as black to white" in caplog.text
    Image.fromarray(np.full((16, 16), -1.0, np.float32)).save(tmp_path / "b.tiff")
    assert np.ptp(np.asarray(read_image(tmp_path / "b.tiff"))) == 0


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of the colours with more chunks before its pixels."""
    stored = io.BytesIO()
    Image.fromarray(colours()).save(stored, "png")
    data, start = stored.getvalue(), 8 + 25
    more = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    return data[:start] + more + data[start:]


def test_megabytes_of_text_beside_a_picture(tmp_path):
    text = b"parameters\0\0" + zlib.compress(b"a cat, " * 300_000)
    for name, chunks in {
        "one.png": [(b"zTXt", text)],
        "many.png": [(b"tEXt", b"note\0" + b"x" * 900_000)] * 80,
        "bomb.png": [(b"zTXt", b"parameters\0\0" + zlib.compress(bytes(200_000_000), 9))],
    }.items():
        (tmp_path / name).write_bytes(png(*chunks))
        assert furthest(read_image(tmp_path / name), colours()) == 0


@pytest.mark.parametrize(
    "exif",
    [b"garbage", b"Exif\0\0garbage", b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01", b"MM\0*\xff"],
)
@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.jpg"])
def test_malformed_exif_spoils_no_picture(tmp_path, name, exif):
    flat = np.full((32, 32, 3), 90, np.uint8)
    Image.fromarray(flat).save(tmp_path / name, exif=exif)
    assert furthest(read_image(tmp_path / name), flat) <= 2


def test_formats_of_this_pillow(tmp_path):
    flat = np.full((32, 40, 3), (200, 120, 40), np.uint8)
    for name in ("a.avif", "a.jp2", "a.tga", "a.ico", "a.pcx", "a.ppm", "a.dds", "a.sgi"):
        if name == "a.avif" and not features.check("avif"):
            continue
        Image.fromarray(flat[:, :32] if name == "a.ico" else flat).save(tmp_path / name)
        assert furthest(read_image(tmp_path / name), flat[0, 0]) <= 3


def test_drawings_and_raw_files_are_no_pictures(tmp_path):
    Image.new("RGB", (32, 32)).save(tmp_path / "a.eps")
    Image.new("RGB", (32, 32)).save(tmp_path / "a.tiff")
    (tmp_path / "a.tiff").rename(tmp_path / "a.dng")
    for name, says in {
        "a.eps": "not an image that can be read",
        "a.dng": "camera's raw file",
    }.items():
        with pytest.raises(UserError, match=says):
            read_image(tmp_path / name)


def test_heic(tmp_path, monkeypatch):
    heif = pytest.importorskip("pillow_heif")
    flat = np.full((64, 48, 3), (200, 120, 40), np.uint8)
    heif.from_pillow(Image.fromarray(flat)).save(tmp_path / "a.heic", quality=100)
    assert furthest(read_image(tmp_path / "a.heic"), flat) <= 6
    monkeypatch.delitem(Image.OPEN, "HEIF")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(
        UserError, match=r"HEIC, which needs pillow-heif: run pip install '.*\[heic\]'"
    ):
        read_image(tmp_path / "a.heic")
