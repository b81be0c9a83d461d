"""Whatever is in a file: it is read, or refused in one sentence; and what is read is what it should be.

hypothesis mangles sound pictures, tables and films: bytes are changed, cut, doubled, put in.
"""

from __future__ import annotations

import io
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from PIL import Image, features
from safetensors.torch import save

from geodesic_lightning.data.clip import clip, clip_points
from geodesic_lightning.data.frames import pair
from geodesic_lightning.data.pair_folder import numbered, pairs_in
from geodesic_lightning.data.read_image import read_image
from geodesic_lightning.data.resize import ANCHORS, FITS, resize
from geodesic_lightning.errors import UserError
from geodesic_lightning.integrators.initial_velocity import read_path

KINDS = ["png", "jpg", "webp", "gif", "tiff", "bmp", "ppm", "jp2"]
KINDS += ["avif"] if features.check("avif") else []
FILMS = {"gif": None, "webp": None, "png": None, "mp4": "libx264", "mkv": "ffv1", "avi": "mpeg4"}
often = {"deadline": None, "suppress_health_check": list(HealthCheck), "derandomize": True}


def picture(mode: str = "RGB", size: tuple[int, int] = (24, 16)) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


@cache
def sound(kind: str, mode: str = "RGB") -> bytes:
    stored = io.BytesIO()
    name = {"jpg": "jpeg", "jp2": "jpeg2000"}.get(kind, kind)
    picture(mode).save(
        stored, name, **({"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0"} if kind == "jpg" else {})
    )
    return stored.getvalue()


@cache
def sound_film(kind: str) -> bytes:
    frames = [np.roll(np.asarray(picture(size=(48, 32))), 3 * k, 1) for k in range(5)]
    if FILMS[kind] is None:
        stored = io.BytesIO()
        first, *rest = map(Image.fromarray, frames)
        first.save(stored, kind, save_all=True, append_images=rest)
        return stored.getvalue()
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "48x32", "-r", "4", "-i", "-"]
    coded = ["-c:v", FILMS[kind], "-f", {"mkv": "matroska"}.get(kind, kind)]
    coded += ["-movflags", "frag_keyframe+empty_moov"] if kind == "mp4" else []
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *raw, *coded, "-"]
    data = np.stack(frames).tobytes()
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


@st.composite
def mangled(draw: st.DrawFn, data: bytes) -> bytes:
    """One to four injuries."""
    made = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(made) - 1)))
        match draw(st.sampled_from(["change", "cut", "drop", "double", "insert", "zero"])):
            case "change":
                made[at : at + 1] = draw(st.binary(min_size=1, max_size=4))
            case "cut":
                del made[at:]
            case "drop":
                del made[at : at + draw(st.integers(1, 64))]
            case "double":
                made[at:at] = made[at : at + draw(st.integers(1, 64))]
            case "insert":
                made[at:at] = draw(st.binary(min_size=1, max_size=16))
            case "zero":
                made[at : at + 16] = bytes(len(made[at : at + 16]))
    return bytes(made)


def one_sentence(error: UserError) -> None:
    event("refused")
    text = str(error)
    assert text.endswith(".")
    assert "\n" not in text
    assert "Traceback" not in text


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=60, **often)
def test_mangled_pictures(tmp_path_factory, kind, data):
    place = tmp_path_factory.getbasetemp() / f"mangled.{kind}"
    mode = data.draw(st.sampled_from({"png": ["RGB", "RGBA", "P", "I;16", "LA"], "jpg": ["RGB", "CMYK", "L"],
                                      "tiff": ["RGB", "CMYK", "F", "I;16", "LAB"]}.get(kind, ["RGB"])))  # fmt: skip
    whole = sound(kind, mode) if mode not in ("I;16", "LAB") else deep(kind, mode)
    place.write_bytes(data.draw(mangled(whole)))
    try:
        found = read_image(place)
    except UserError as error:
        one_sentence(error)
    else:
        assert found.mode == "RGB"
        assert min(found.size) >= 8


@cache
def deep(kind: str, mode: str) -> bytes:
    stored = io.BytesIO()
    if mode == "LAB":
        Image.frombytes("LAB", (24, 16), picture().tobytes()).save(stored, kind)
    else:
        Image.fromarray(np.arange(384, dtype=np.uint16).reshape(16, 24) * 170).save(stored, kind)
    return stored.getvalue()


@given(
    data=st.binary(max_size=400),
    ending=st.sampled_from([".png", ".jpg", ".tga", ".heic", ".eps", ".im", ""]),
)
@settings(max_examples=150, **often)
def test_any_bytes_as_a_picture(tmp_path_factory, data, ending):
    place = tmp_path_factory.getbasetemp() / f"bytes{ending}"
    place.write_bytes(data)
    try:
        read_image(place)
    except UserError as error:
        one_sentence(error)


@pytest.mark.parametrize("kind", FILMS)
@given(data=st.data())
@settings(max_examples=20, **often)
def test_mangled_films(tmp_path_factory, kind, data):
    place = tmp_path_factory.getbasetemp() / f"film.{kind}"
    place.write_bytes(data.draw(mangled(sound_film(kind))))
    try:
        found = clip(place)
        count = sum(len(images) for images in found.chunks(16, 4))
        assert count == len(found)
    except UserError as error:
        one_sentence(error)


TABLE = 'name,start,end,prompt_start,prompt_end\r\nein,a.png,b.png,"Kätzchen, rot",blau\r\nzwei,b.png,a.png,,\r\n'


def folder(root: Path) -> Path:
    root.mkdir(exist_ok=True)
    for name in ("a", "b"):
        picture(size=(16 + 8 * (name == "b"), 16)).save(root / f"{name}.png")
    return root


@given(
    data=st.data(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252", "utf-32"]),
)
@settings(max_examples=200, **often)
def test_mangled_tables(tmp_path_factory, data, encoding):
    root = folder(tmp_path_factory.getbasetemp() / "table")
    (root / "pairs.csv").write_bytes(data.draw(mangled(TABLE.encode(encoding))))
    try:
        for number in range(len(pairs_in(root))):
            numbered(str(root), number)
    except UserError as error:
        one_sentence(error)


@given(
    text=st.binary(max_size=200),
    encoding=st.sampled_from([None, "utf-8", "utf-16", "cp1252"]),
    words=st.text(max_size=60),
)
@settings(max_examples=200, **often)
def test_any_prompts(tmp_path_factory, text, encoding, words):
    root = tmp_path_factory.getbasetemp() / "prompts"
    root.mkdir(exist_ok=True)
    folder(root / "one")
    stored = text if encoding is None else words.encode(encoding, errors="replace")
    (root / "one" / "prompts.txt").write_bytes(stored)
    try:
        (found,) = pairs_in(root)
        assert "\n" not in found.prompt_start
        assert not found.prompt_start.startswith("\ufeff") or encoding is None
    except UserError as error:
        one_sentence(error)


@pytest.mark.parametrize("ending", ["csv", "npy"])
@given(data=st.data())
@settings(max_examples=100, **often)
def test_mangled_points(tmp_path_factory, ending, data):
    stored = io.BytesIO()
    np.save(stored, np.arange(8.0).reshape(4, 2))
    whole = stored.getvalue() if ending == "npy" else b"0,1\r\n1,2.5\r\n-2,5e3\r\n4,4\r\n"
    place = tmp_path_factory.getbasetemp() / f"points.{ending}"
    place.write_bytes(data.draw(mangled(whole)))
    try:
        assert len(clip_points(place)) >= 3
    except UserError as error:
        one_sentence(error)


@given(name=st.text(max_size=40))
@settings(max_examples=200, **often)
def test_any_name(name):
    try:
        there = Path(name).expanduser().is_dir()
    except (OSError, ValueError, RuntimeError):
        there = False
    for read in (read_image, clip_points) if there else (read_image, clip, clip_points, pairs_in):
        try:
            read(name)
        except UserError as error:
            one_sentence(UserError(str(error).replace(name, "…") if name.strip() else error))


sides = st.integers(8, 90)


@given(
    shape=st.tuples(sides, sides),
    size=st.tuples(sides, sides),
    fit=st.sampled_from(FITS),
    anchor=st.sampled_from(sorted(ANCHORS)),
)
@settings(max_examples=200, **often)
def test_any_shape_at_any_size(shape, size, fit, anchor):
    image = picture(size=shape)
    pixels = resize(image, size, fit, anchor)
    assert pixels.shape == (3, *size)
    if shape == size[::-1]:
        assert (pixels * 255).round().byte().permute(1, 2, 0).numpy().tobytes() == image.tobytes()
    frames = pair(image, image.rotate(180), size=size, fit=fit, anchor=anchor)
    assert frames.images.shape == (2, 3, *size)


# How each kind of file is read whole.
READERS = {kind: read_image for kind in KINDS}
READERS |= {kind: lambda file: list(clip(file).chunks(16, 4)) for kind in ("mp4", "mkv", "avi")}
READERS |= {
    "csv": clip_points,
    "npy": clip_points,
    "safetensors": lambda file: read_path(str(file)),
}


@cache
def sound_file(kind: str) -> bytes:
    stored = io.BytesIO()
    if kind in KINDS:
        return sound(kind)
    if kind in FILMS:
        return sound_film(kind)
    if kind == "csv":
        return b"0,1\r\n1,2.5\r\n-2,5e3\r\n4,4\r\n"
    if kind == "safetensors":
        return save({"nodes": torch.ones(2, 3), "ends": torch.ones(2, 3)}, {"alpha": "0.5"})
    np.save(stored, np.arange(8.0).reshape(4, 2))
    return stored.getvalue()


@pytest.mark.slow
def test_500_mangled_files(tmp_path):
    counts: Counter[str] = Counter()

    @given(data=st.data(), kind=st.sampled_from(sorted(READERS)))
    @settings(max_examples=500, **often)
    def read(data, kind):
        file = tmp_path / f"file.{kind}"
        content = data.draw(mangled(sound_file(kind)))
        file.write_bytes(content)
        try:
            READERS[kind](file)
            counts["read"] += 1
        except UserError as error:
            one_sentence(error)
            counts["refused"] += 1
        assert file.read_bytes() == content

    read()
    print(dict(counts))
    assert counts.total() >= 500
    assert min(counts.values()) > 50  # both were seen
