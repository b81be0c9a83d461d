"""Frames: every kind of picture is read as the same upright RGB, at the size that is asked for."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from geodesic_lightning.data import frames as module
from geodesic_lightning.data.frames import Frames, pair, points, shipped_pair
from geodesic_lightning.data.read_image import read_image
from geodesic_lightning.data.resize import resize
from geodesic_lightning.errors import UserError


def quadrants(width: int = 32, height: int = 24) -> Image.Image:
    """Red, green / blue, grey: any flip or rotation shows."""
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    y, x = height // 2, width // 2
    pixels[:y, :x], pixels[:y, x:] = (250, 10, 10), (10, 250, 10)
    pixels[y:, :x], pixels[y:, x:] = (10, 10, 250), (90, 90, 90)
    return Image.fromarray(pixels)


def corners(image: Image.Image) -> np.ndarray:
    """The four pixels near the corners, (4, 3)."""
    pixels = np.asarray(image).astype(int)
    return pixels[[2, 2, -3, -3], [2, -3, 2, -3]]


def difference(a: Image.Image, b: Image.Image) -> int:
    return int(np.abs(corners(a) - corners(b)).max())


@pytest.mark.parametrize(
    ("name", "mode", "options", "tolerance"),
    [
        ("a.png", "RGB", {}, 0),
        ("a.png", "RGBA", {}, 0),
        ("a.png", "P", {}, 0),
        ("a.gif", "P", {}, 0),
        ("a.jpg", "RGB", {"quality": 95}, 12),
        ("a.jpg", "CMYK", {"quality": 95}, 12),
        ("a.webp", "RGB", {"lossless": True}, 0),
        ("a.webp", "RGBA", {"quality": 95}, 20),
        ("a.tiff", "RGB", {}, 0),
        ("a.bmp", "RGB", {}, 0),
    ],
)
def test_every_format_reads_as_the_same_rgb(tmp_path, name, mode, options, tolerance):
    picture = quadrants().quantize() if mode == "P" else quadrants().convert(mode)
    picture.save(tmp_path / name, **options)
    image = read_image(str(tmp_path / name))
    assert image.mode == "RGB"
    assert image.size == (32, 24)
    assert difference(image, quadrants()) <= tolerance


def test_transparency_lies_over_white(tmp_path):
    pixels = np.zeros((16, 16, 4), dtype=np.uint8)
    pixels[:8, :, 3] = 255  # the upper half opaque black, the lower half clear black
    pixels[:, :2, 3] = 128  # a strip half clear
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = np.asarray(read_image(tmp_path / "a.png"))
    assert (image[:8, 2:] == 0).all()
    assert (image[8:, 2:] == 255).all()
    assert np.abs(image[:, :2].astype(int) - 127).max() <= 1


@pytest.mark.parametrize("mode", ["P", "L", "LA"])
def test_transparency_of_palettes_and_greys(tmp_path, mode):
    image = Image.new(mode, (16, 16), 0 if mode != "LA" else (0, 0))
    image.save(tmp_path / "a.png", **({} if mode == "LA" else {"transparency": 0}))
    assert np.asarray(read_image(tmp_path / "a.png")).min() == 255


def test_grey_of_8_and_16_bits_and_1(tmp_path):
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / "8.png")
    Image.fromarray(ramp.astype(np.uint16) * 257).save(tmp_path / "16.png")
    for name in ("8.png", "16.png"):
        image = np.asarray(read_image(tmp_path / name))
        assert (image == ramp[..., None]).all()
    Image.new("1", (16, 16), 1).save(tmp_path / "1.png")
    assert np.asarray(read_image(tmp_path / "1.png")).min() == 255


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(tmp_path, orientation):
    inverse = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # what a camera held so would store
    upright = quadrants()
    stored = upright if orientation == 1 else upright.transpose(inverse[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    image = read_image(tmp_path / "a.png")
    assert image.size == upright.size
    assert difference(image, upright) == 0


def test_reading_changes_neither_the_file_nor_the_picture(tmp_path):
    picture = quadrants()
    before = picture.tobytes()
    copy = read_image(picture)
    copy.putpixel((0, 0), (1, 2, 3))
    assert picture.tobytes() == before


@pytest.mark.parametrize("shape", [(32, 24), (24, 32), (513, 8), (9, 200), (64, 64)])
@pytest.mark.parametrize("size", [8, 33, 64])
def test_resize_any_shape_to_a_square(shape, size):
    tensor = resize(quadrants(*shape), size)
    assert tensor.shape == (3, size, size)
    assert tensor.dtype == torch.float32
    assert tensor.min() >= 0
    assert tensor.max() <= 1


def test_resize_keeps_every_pixel_at_the_same_size():
    picture = quadrants(32, 32)
    tensor = resize(picture, 32)
    assert torch.equal(
        (tensor * 255).round().byte(), torch.tensor(np.array(picture)).permute(2, 0, 1)
    )


def test_resize_is_centred_and_antialiased():
    stripes = np.zeros((64, 128, 3), dtype=np.uint8)
    stripes[:, 32:96:2] = 255  # one px on, one px off, in the central square alone
    stripes[:, :32], stripes[:, 96:] = (255, 0, 0), (255, 0, 0)
    tensor = resize(Image.fromarray(stripes), 8)
    assert (tensor - 0.5).abs().max() < 0.06  # neither the red sides nor aliased stripes


def test_a_pair_waits_for_the_size(tmp_path):
    quadrants().save(tmp_path / "a.png")
    quadrants().rotate(180).save(tmp_path / "b.jpg")
    frames = pair(tmp_path / "a.png", str(tmp_path / "b.jpg"), "one", "two")
    assert frames.images is None
    assert (len(frames), frames.prompts, frames.names) == (2, ("one", "two"), ("a.png", "b.jpg"))
    small, large = frames.at(16), frames.at(64)
    assert small.images.shape == (2, 3, 16, 16)
    assert large.images.shape == (2, 3, 64, 64)
    assert frames.images is None  # at() makes new frames
    assert torch.equal(small.images[0], resize(quadrants(), 16))
    given = pair(tmp_path / "a.png", tmp_path / "b.jpg", size=16)
    assert torch.equal(given.images, small.images)
    assert given.prompts == ("", "")


def test_pictures_in_memory_make_a_pair():
    frames = pair(start=quadrants(), end=quadrants().rotate(90), size=24)
    assert frames.names == ("start", "end")
    assert frames.images.shape == (2, 3, 24, 24)


@pytest.mark.parametrize(
    "made",
    [
        lambda pixels: pixels,
        lambda pixels: pixels.astype(np.int64),
        lambda pixels: (pixels / 255).astype(np.float32),
        lambda pixels: np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)]),
        lambda pixels: pixels.astype(np.uint16) * 257,
        lambda pixels: pixels[None],
        lambda pixels: torch.from_numpy(pixels).permute(2, 0, 1),
        lambda pixels: torch.from_numpy(pixels).permute(2, 0, 1)[None],
        lambda pixels: torch.from_numpy(pixels / 255),
        lambda pixels: torch.from_numpy(pixels.astype(np.uint16) * 257),
        lambda pixels: torch.from_numpy(pixels / 255).permute(2, 0, 1).requires_grad_(),
    ],
    ids=[
        "uint8",
        "int64",
        "float32",
        "rgba",
        "uint16",
        "batch",
        "tensor of bytes",
        "tensor batch",
        "channels last",
        "tensor of uint16",
        "tensor",
    ],
)
def test_arrays_and_tensors_are_pictures(made):
    pixels = np.array(quadrants())
    given = made(pixels.copy())
    assert np.array_equal(np.asarray(read_image(given)), pixels)
    assert pair(given, quadrants(40)).names == ("start", "end")
    grey = np.asarray(read_image(torch.full((1, 8, 9), 0.5, dtype=torch.bfloat16)))
    assert grey.shape == (8, 9, 3)
    assert (grey == 128).all()


def test_true_is_white():
    pattern = np.eye(16, dtype=bool)
    for given in (pattern, torch.from_numpy(pattern), np.stack([pattern] * 3, -1)):
        assert np.array_equal(np.asarray(read_image(given))[..., 1] == 255, pattern)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (np.zeros((3, 32, 32)), r"shape \(3, 32, 32\), expected an array \(H, W, 3\)"),
        (torch.zeros(2, 3, 32, 32), r"expected a tensor \(3, H, W\)"),
        (np.zeros((2, 32, 32, 3)), "expected an array .*one picture at a time"),
        (torch.zeros(3, 20, 3), r"shape \(3, 20, 3\), where the channels may come first or last"),
        (torch.zeros(1, 3, 20, 4), "where the channels may come first or last"),
        (torch.zeros(3, 16, 16).to_sparse(), "holds no plain pixels"),
        (torch.zeros(3, 16, 16, device="meta"), "on meta"),
        (torch.zeros(3, 0, 8), "expected a tensor"),
        (np.full((16, 16, 3), 255.0), "float64 from 255 to 255, expected whole numbers"),
        (torch.linspace(-1, 1, 768).reshape(3, 16, 16), "float32 from -1 to 1"),
        (np.full((16, 16), np.nan), "from nan to nan"),
        (np.full((16, 16), 300), "int64 from 300 to 300"),
        (np.full((16, 16), 200, np.uint16), "uint16 from 200 to 200, which are 8 bits, or 16 bits"),
        (np.full((16, 16), 1j), "of complex128"),
        (np.full((16, 16), "a"), "of <U1"),
        (np.zeros((4, 16, 3), dtype=np.uint8), "at least 8×8"),
    ],
)
def test_arrays_that_are_no_pictures(given, says):
    with pytest.raises(UserError, match=says):
        read_image(given)


def test_images_of_the_models_size_pass_and_others_do_not():
    frames = Frames(torch.rand(3, 3, 8, 8), ("a", "b", "c"))
    assert frames.at(8) is frames
    with pytest.raises(UserError, match=r"8×8 px, expected 16×16"):
        frames.at(16)
    with pytest.raises(UserError, match="at least 1"):
        frames.at(0)


def test_frames_need_one_prompt_each():
    with pytest.raises(UserError, match=r"'images': 2, 'prompts': 1"):
        Frames(torch.rand(2, 3, 8, 8), ("a",))
    with pytest.raises(UserError, match="as many prompts"):
        Frames(None, ())


def test_points_are_the_ends_of_an_exact_density():
    frames = points(start=[0, 1.5], end=(2, -1))
    assert frames.points.tolist() == [[0.0, 1.5], [2.0, -1.0]]
    assert frames.points.dtype == torch.float64
    assert frames.images is None
    assert len(frames) == 2
    assert frames.at(64) is frames


@pytest.mark.parametrize(
    ("start", "end", "says"),
    [
        ([0, 1], [1], r"2 numbers for start and 1 for end"),
        ([], [], "at least one finite number"),
        ([0.0], [float("nan")], "at least one finite number"),
        ([float("inf")], [0.0], "at least one finite number"),
        ([0.0], [1e400], "at least one finite number"),
        (["a"], [0.0], "at least one finite number"),
        ("12", [0.0, 1.0], "at least one finite number"),
        (1.0, 2.0, "at least one finite number"),
        (None, [0.0], "at least one finite number"),
        ([1.0, 2.0], [1.0, 2.0], "two different points"),
        ([1.0], [1.0 + 1e-12], "two different points"),
    ],
)
def test_points_that_are_none(start, end, says):
    with pytest.raises(UserError, match=says):
        points(start=start, end=end)


@pytest.mark.parametrize("name", json.loads((module.SHIPPED / "pairs.json").read_text()))
def test_every_shipped_pair_opens(name):
    frames = shipped_pair(name, size=64)
    assert frames.images.shape == (2, 3, 64, 64)
    assert all(frames.prompts)


def test_reading_and_writing_wait_for_no_heavy_library():
    heavy = ("diffusers", "hydra", "imageio", "lightning", "torchvision", "transformers", "wandb")
    source = (
        "import sys, geodesic_lightning.data.frames, geodesic_lightning.report.files;"
        f"sys.exit(', '.join(name for name in {heavy} if name in sys.modules) or 0)"
    )
    found = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr


def test_a_shipped_pair_by_name(tmp_path, monkeypatch):
    quadrants().save(tmp_path / "cat_start.png")
    quadrants().rotate(180).save(tmp_path / "cat_end.png")
    (tmp_path / "pairs.json").write_text(
        '{"cat": {"prompt_start": "a", "prompt_end": "b", "seed": 1}, "ant": {}}'
    )
    monkeypatch.setattr(module, "SHIPPED", tmp_path)
    assert shipped_pair(name="cat").prompts == ("a", "b")
    assert shipped_pair("cat", size=16).images.shape == (2, 3, 16, 16)
    with pytest.raises(UserError, match="'dog', expected one of ant, cat"):
        shipped_pair("dog")
    monkeypatch.setattr(module, "SHIPPED", tmp_path / "nowhere")
    with pytest.raises(UserError, match="install the package again"):
        shipped_pair("cat")
