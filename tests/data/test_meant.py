"""Pixels are what their file says they are: which number is white, which is clear, how wide a pixel is."""

from __future__ import annotations

import io
import logging
import struct
import subprocess
import zlib

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from geodesic_lightning.data.clip import clip
from geodesic_lightning.data.read_image import read_image

RAMP = np.arange(256).reshape(16, 16)
EXE = imageio_ffmpeg.get_ffmpeg_exe()


def tiff(
    pixels: np.ndarray, photometric: int = 1, bits: int = 0, order: str = "<", turn: int = 1
) -> bytes:
    """One strip of greys, by hand: Pillow writes no such kinds; photometric 0: zero is white."""
    kind = {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
    data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    if bits == 12:
        pairs = pixels.reshape(-1, 2).astype(int)
        packed = [pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255]
        data = np.stack(packed, -1).astype(np.uint8).tobytes()
    height, width = pixels.shape
    tags = {256: width, 257: height, 258: bits or 8 * pixels.itemsize, 259: 1, 262: photometric,
            273: 8, 274: turn, 277: 1, 278: height, 279: len(data), 339: kind}  # fmt: skip
    entries = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", 8 + len(data))
    return head + data + struct.pack(f"{order}H", len(tags)) + entries + bytes(4)


def png(
    bits: int, colour: int, rows: np.ndarray, clear: bytes = b"", *more: tuple[bytes, bytes]
) -> bytes:
    """A PNG by hand; rows (height, bytes), clear: its tRNS chunk, more: other chunks before the pixels."""
    height, width = len(rows), rows.shape[1] * 8 // (bits * {0: 1, 2: 3}[colour])
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    chunks = [
        (b"IHDR", header),
        *more,
        *([(b"tRNS", clear)] if clear else []),
        (b"IDAT", pixels),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )  # fmt: skip


def shown(data: bytes) -> np.ndarray:
    return np.asarray(read_image(io.BytesIO(data))).astype(int)


TIFFS = {
    "8 bits": (RAMP.astype(np.uint8), 0),
    "16 bits": ((RAMP * 257).astype(np.uint16), 0),
    "12 bits": ((RAMP * 4095 / 255).round().astype(np.uint16), 12),
    "32 bits": ((RAMP * 16843009).astype(np.uint32), 0),
    "32 bits of 16": ((RAMP * 257).astype(np.uint32), 0),
    "signed 16 bits": ((RAMP * 32767 / 255).round().astype(np.int16), 0),
    "signed 32 bits": (RAMP.astype(np.int32), 0),
    "float": ((RAMP / 255).astype(np.float32), 0),
}


BIG_ENDIAN = ("16 bits", "signed 16 bits", "signed 32 bits", "float")  # which Pillow reads


@pytest.mark.parametrize(
    ("kind", "order"), [*((kind, "<") for kind in TIFFS), *((kind, ">") for kind in BIG_ENDIAN)]
)
def test_every_type_of_number_has_its_white(kind, order):
    pixels, bits = TIFFS[kind]
    assert np.abs(shown(tiff(pixels, bits=bits, order=order)) - RAMP[..., None]).max() == 0


@pytest.mark.parametrize(
    ("kind", "order"),
    [("8 bits", "<"), ("8 bits", ">"), ("16 bits", "<"), ("float", "<"), ("float", ">")],
)
def test_where_zero_is_white_it_is(kind, order):
    found = shown(tiff(TIFFS[kind][0], photometric=0, order=order))
    assert np.abs(found - (255 - RAMP[..., None])).max() == 0


def test_where_zero_is_white_and_the_picture_lies_on_its_side():
    found = shown(tiff(TIFFS["16 bits"][0], photometric=0, turn=6))
    assert np.abs(found[..., 0] - np.rot90(255 - RAMP, -1)).max() == 0


def test_half_of_an_unsigned_range_is_half_grey():
    half = np.full((16, 16), 2**31 + 2**23, np.uint32)
    assert (shown(tiff(half)) == 128).all()


def test_signed_bytes_below_zero_are_said(caplog):
    with caplog.at_level(logging.WARNING):
        found = shown(tiff((RAMP - 128).astype(np.int8)))
    assert np.abs(found[..., 0] - RAMP).max() == 0
    assert "pixels from -128 to 127 are taken as black to white" in caplog.text


def test_a_dark_map_of_16_bits_stays_dark(tmp_path):
    """A portable grey map says how deep it is; no pixel of this one is above 255."""
    (tmp_path / "a.pgm").write_bytes(b"P5 16 16 65535\n" + RAMP.astype(">u2").tobytes())
    assert np.asarray(read_image(tmp_path / "a.pgm")).max() == 1


def test_the_clear_grey_of_16_bits_shows_white():
    grey = (RAMP * 257).astype(">u2")
    grey[3, 5] = 20 * 257 + 1  # as the clear one in 8 bits, and not the same
    expected = RAMP.copy()
    expected[RAMP == 20] = 255
    expected[3, 5] = 20
    found = shown(png(16, 0, grey.view(np.uint8), struct.pack(">H", 20 * 257)))
    assert np.abs(found - expected[..., None]).max() == 0


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_the_clear_grey_of_few_bits_shows_white(bits):
    most = 2**bits - 1
    stored = RAMP % (most + 1)
    packed = np.packbits((stored[..., None] >> np.arange(bits)[::-1] & 1).reshape(16, -1), axis=1)
    found = shown(png(bits, 0, packed, struct.pack(">H", most - 1)))
    expected = np.where(stored == most - 1, 255, stored * (255 // most))
    assert np.abs(found - expected[..., None]).max() == 0


def test_the_clear_colour_of_16_bits_shows_white(tmp_path):
    colours = np.zeros((16, 16, 3), ">u2")
    colours[:8] = (0, 0, 7)  # clear
    colours[8:12] = (0, 0, 8)  # the same in 8 bits, and not clear
    colours[12:] = (65535, 0, 0)
    data = png(16, 2, colours.reshape(16, -1).view(np.uint8), struct.pack(">HHH", 0, 0, 7))
    (tmp_path / "a.png").write_bytes(data)
    for found in (shown(data), np.asarray(read_image(tmp_path / "a.png"))):
        assert (found[:8] == 255).all()
        assert (found[8:12] == 0).all()
        assert (found[12:] == (255, 0, 0)).all()


@pytest.mark.parametrize(
    ("name", "dpi", "size"),
    [
        ("a.tiff", (204, 98), (48, 50)),
        ("a.png", (100, 200), (96, 24)),
        ("a.jpg", (200, 100), (48, 48)),
        ("a.png", (300, 300), (48, 24)),
        ("a.png", (1, 3000), (48, 24)),
        ("a.jpg", (72, 0), (48, 24)),
    ],
)
def test_pixels_that_are_not_square_become_so_and_that_is_said(tmp_path, caplog, name, dpi, size):
    Image.new("RGB", (48, 24), (200, 120, 40)).save(tmp_path / name, dpi=dpi, quality=95)
    with caplog.at_level(logging.WARNING):
        found = read_image(tmp_path / name)
    assert found.size == size
    assert np.abs(np.asarray(found).astype(int) - (200, 120, 40)).max() <= 3
    assert ("its pixels are not square" in caplog.text) == (size != (48, 24))


@pytest.mark.parametrize("name", ["a.tiff", "a.jpg"])
def test_the_sides_of_a_pixel_turn_with_the_picture(tmp_path, name):
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (48, 24)).save(tmp_path / name, dpi=(100, 200), exif=exif)
    assert read_image(tmp_path / name).size == (24, 96)


def film(path, source: str, *options: str):
    """Half a second of what lavfi draws."""
    drawn = f"{source}:s=64x48:d=0.5:r=10,format=rgba"
    made = [EXE, "-y", "-v", "error", "-f", "lavfi", "-i", drawn, *options]
    subprocess.run([*made, str(path)], check=True)
    return path


def frames(path) -> np.ndarray:
    return np.stack([np.asarray(picture) for picture in clip(path).pictures()]).astype(int)


@pytest.mark.parametrize(
    ("aspect", "size"), [("2", (128, 48)), ("1/2", (64, 96)), ("1", (64, 48)), ("100", (64, 48))]
)
def test_frames_have_square_pixels(tmp_path, aspect, size):
    made = film(tmp_path / "a.mp4", "testsrc=n=1", "-vf", f"setsar={aspect}", "-pix_fmt", "yuv420p")
    found = clip(made)
    assert found.size == size
    assert {picture.size for picture in found.pictures()} == {size}


def test_the_sides_of_a_pixel_turn_with_the_film(tmp_path):
    made = film(tmp_path / "a.mp4", "testsrc=n=1", "-vf", "setsar=2", "-pix_fmt", "yuv420p")
    turned = tmp_path / "b.mp4"
    command = [EXE, "-v", "error", "-display_rotation", "90", "-i", str(made), "-c", "copy"]
    subprocess.run([*command, str(turned)], check=True)
    assert clip(turned).size == (48, 128)


ALPHA = {
    "VP9": ("a.webm", "-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p"),
    "VP8": ("a.webm", "-c:v", "libvpx", "-auto-alt-ref", "0", "-pix_fmt", "yuva420p"),
    "VP9 in mkv": ("a.mkv", "-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p"),
    "Animation": ("a.mov", "-c:v", "qtrle", "-pix_fmt", "argb"),
    "ProRes 4444": ("a.mov", "-c:v", "prores_ks", "-pix_fmt", "yuva444p10le"),
    "PNG": ("a.mov", "-c:v", "png", "-pix_fmt", "rgba"),
    "ffv1": ("a.mkv", "-c:v", "ffv1", "-pix_fmt", "bgra"),
}


@pytest.mark.parametrize("kind", ALPHA)
def test_transparent_frames_go_over_white(tmp_path, kind):
    """Blue, half clear: half way to white."""
    name, *options = ALPHA[kind]
    found = frames(film(tmp_path / name, "color=blue@0.5", *options))
    assert len(found) == 5
    assert np.abs(found - (127, 127, 255)).max() <= 6


def test_the_fourth_byte_of_plain_avi_means_nothing(tmp_path):
    made = film(tmp_path / "a.avi", "color=blue@0", "-c:v", "rawvideo", "-pix_fmt", "bgra")
    assert np.abs(frames(made) - (0, 0, 255)).max() <= 2


def test_opaque_frames_keep_every_bit(tmp_path):
    """Whatever is asked of a film for the sake of others, frames without alpha are ffmpeg's own."""
    made = film(tmp_path / "a.mp4", "testsrc=n=1", "-pix_fmt", "yuv420p")
    raw = [EXE, "-v", "error", "-i", str(made), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    expected = np.frombuffer(subprocess.run(raw, capture_output=True, check=True).stdout, np.uint8)
    assert np.array_equal(frames(made).ravel(), expected)
