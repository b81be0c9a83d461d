"""Files that play, files that are whole, and one sentence where they cannot be written."""

from __future__ import annotations

import contextlib
import gc
import json
import warnings
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from geodesic_lightning.cli.error_messages import sentence
from geodesic_lightning.errors import UserError
from geodesic_lightning.report import files as artifacts
from geodesic_lightning.report.files import (
    strip,
    write_animation,
    write_frames,
    write_image,
    write_json,
    write_path,
    write_video,
)


def ramp(n: int = 5, height: int = 64, width: int = 64) -> torch.Tensor:
    """Frames of one grey each, from black to white."""
    return torch.linspace(0, 1, n).reshape(n, 1, 1, 1).expand(n, 3, height, width)


def film(path) -> tuple[np.ndarray, dict]:
    """Frames (n, H, W, 3) and properties; imageio's reader leaves its pipes to the collector."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        frames, properties = iio.imread(path, plugin="FFMPEG"), iio.immeta(path, plugin="FFMPEG")
        gc.collect()
    return frames, properties


def greys(path) -> list[int]:
    return [int(frame.mean().round()) for frame in film(path)[0]]


def test_a_video_plays_its_frames_in_order(tmp_path):
    write_video(ramp(), tmp_path / "new" / "a.mp4")
    assert np.abs(np.array(greys(tmp_path / "new" / "a.mp4")) - [0, 64, 128, 191, 255]).max() <= 3
    meta = film(tmp_path / "new" / "a.mp4")[1]
    assert meta["codec"] == "h264"
    assert meta["pix_fmt"].startswith("yuv420p")
    assert meta["fps"] == 12
    assert meta["size"] == (256, 256)
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["a.mp4"]


def test_there_and_back(tmp_path):
    write_video(ramp(), tmp_path / "a.mp4", fps=7, ping_pong=True)
    expected = [0, 64, 128, 191, 255, 191, 128, 64]
    assert np.abs(np.array(greys(tmp_path / "a.mp4")) - expected).max() <= 3
    assert film(tmp_path / "a.mp4")[1]["fps"] == 7


@pytest.mark.parametrize("n", [1, 2, 33])
def test_any_number_of_frames(tmp_path, n):
    write_video(ramp(n), tmp_path / "a.mp4", min_side=16)
    assert len(greys(tmp_path / "a.mp4")) == n


@pytest.mark.parametrize(
    ("shape", "min_side", "size"),
    [
        ((63, 65), 0, (66, 64)),
        ((75, 51), 0, (52, 76)),
        ((75, 51), 100, (102, 150)),
        ((1, 1), 255, (256, 256)),
        ((300, 301), 256, (302, 300)),
    ],
)
def test_sides_are_even_and_large_enough(tmp_path, shape, min_side, size):
    write_video(ramp(3, *shape), tmp_path / "a.mp4", min_side=min_side)
    assert film(tmp_path / "a.mp4")[1]["size"] == size


def test_the_index_comes_first(tmp_path):
    write_video(ramp(), tmp_path / "a.mp4")
    data = (tmp_path / "a.mp4").read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_animations_loop(tmp_path, kind):
    write_animation(ramp(), tmp_path / f"a.{kind}", fps=10)
    with Image.open(tmp_path / f"a.{kind}") as image:
        assert image.n_frames == 8
        assert image.size == (256, 256)
        assert image.info["loop"] == 0
        image.seek(4)
        assert np.asarray(image.convert("RGB")).min() >= 253
        assert image.info["duration"] == 100
    with pytest.raises(UserError, match=r"expected \.webp or \.gif"):
        write_animation(ramp(), tmp_path / "a.mp4")


def test_frames_keep_their_size_and_bytes(tmp_path):
    frames = torch.rand(3, 3, 7, 9, generator=torch.Generator().manual_seed(0))
    write_frames(frames, tmp_path / "frames")
    names = sorted(file.name for file in (tmp_path / "frames").iterdir())
    assert names == ["00.png", "01.png", "02.png"]
    with Image.open(tmp_path / "frames" / "01.png") as image:
        read = np.asarray(image)
    assert (read == (frames[1] * 255).round().byte().permute(1, 2, 0).numpy()).all()


def test_names_sort_beyond_a_hundred_frames(tmp_path):
    write_frames(ramp(101, 2, 2), tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir())[-1] == "100.png"
    assert (tmp_path / "007.png").exists()


def test_values_outside_are_clipped(tmp_path):
    write_image(torch.tensor([-0.2, 0.5, 1.7]).reshape(3, 1, 1), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.getpixel((0, 0)) == (0, 128, 255)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_pixels_that_are_no_numbers_are_refused(tmp_path, bad):
    frames = ramp().clone()
    write_video(frames, tmp_path / "a.mp4")
    before = (tmp_path / "a.mp4").read_bytes()
    frames[2, 0, 3, 3] = bad
    for write in (write_video, write_frames):
        with pytest.raises(UserError, match="NaN or infinite pixels"):
            write(frames, tmp_path / "a.mp4" if write is write_video else tmp_path / "frames")
    assert (tmp_path / "a.mp4").read_bytes() == before


@pytest.mark.parametrize("shape", [(0, 3, 8, 8), (3, 8, 8), (2, 1, 8, 8)])
def test_shapes_that_are_no_frames_are_refused(tmp_path, shape):
    with pytest.raises(UserError, match=r"expected \(n, 3, H, W\)"):
        write_video(torch.zeros(shape), tmp_path / "a.mp4")


def test_frames_per_second_are_positive(tmp_path):
    with pytest.raises(
        UserError, match=r"fps: got .*, expected a number of frames per second above 0"
    ):
        write_video(ramp(), tmp_path / "a.mp4", fps=0)


def test_a_strip_is_one_row_with_gaps():
    row = strip(ramp(3, 4, 5), gap=2)
    assert row.shape == (3, 4, 3 * 5 + 2 * 2)
    assert (row[..., 5:7] == 1).all()
    assert (row[..., 7:12] == 0.5).all()
    assert strip(ramp(1, 4, 5)).shape == (3, 4, 5)
    assert strip(ramp(3, 4, 5), gap=0).shape == (3, 4, 15)


def test_a_path_comes_back_bit_for_bit(tmp_path):
    nodes = torch.randn(6, 4, 5).transpose(0, 1).requires_grad_()  # neither contiguous nor a leaf
    u = torch.linspace(0, 1, 6)
    metadata = {"model": "embedded", "seed": 3, "u": u, "length": float("nan")}
    write_path(tmp_path / "path.safetensors", {"nodes": nodes, "again": nodes, "u": u}, metadata)
    with safe_open(tmp_path / "path.safetensors", framework="pt") as file:
        assert torch.equal(file.get_tensor("nodes"), nodes)
        assert torch.equal(file.get_tensor("u"), u)
        read = file.metadata()
    assert read["model"] == "embedded"
    assert json.loads(read["seed"]) == 3
    assert json.loads(read["length"]) is None
    assert len(json.loads(read["u"])) == 6


def test_a_path_is_the_same_file_every_time(tmp_path):
    tensors = {"nodes": torch.arange(6.0).reshape(2, 3), "u": torch.linspace(0, 1, 4)}
    metadata = {
        "step": 3,
        "finished": True,
        "alpha": 0.1,
        "name": 'süß "x"\n\x01',
        "b": "",
        "a": [1],
    }
    written = set()
    for _ in range(20):
        write_path(tmp_path / "path.safetensors", tensors, metadata)
        written.add((tmp_path / "path.safetensors").read_bytes())
        with safe_open(tmp_path / "path.safetensors", framework="pt") as file:
            assert torch.equal(file.get_tensor("nodes"), tensors["nodes"])
            assert file.metadata()["name"] == metadata["name"]
    assert len(written) == 1


def test_json_holds_plain_numbers(tmp_path):
    content = {
        "nan": float("nan"),
        "inf": [1.5, float("inf"), -float("inf")],
        "numpy": {"scalar": np.float32(0.5), "array": np.arange(3), "bool": np.bool_(True)},
        "torch": {"scalar": torch.tensor(2), "array": torch.tensor([[1.0, float("nan")]])},
        "path": tmp_path,
        "name": "süß",
        "none": None,
        3: (1, 2),
    }
    write_json(tmp_path / "a.json", content)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "süß" in text
    assert text.startswith('{\n  "nan": null')
    assert json.loads(text) == {
        "nan": None,
        "inf": [1.5, None, None],
        "numpy": {"scalar": 0.5, "array": [0, 1, 2], "bool": True},
        "torch": {"scalar": 2, "array": [[1.0, None]]},
        "path": str(tmp_path),
        "name": "süß",
        "none": None,
        "3": [1, 2],
    }
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"what": object()})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == text


WRITERS = {
    "a.mp4": lambda path: write_video(ramp(2), path),
    "a.gif": lambda path: write_animation(ramp(2), path),
    "a.png": lambda path: write_image(ramp(1)[0], path),
    "00.png": lambda path: write_frames(ramp(1), path.parent),
    "a.safetensors": lambda path: write_path(path, {"u": torch.zeros(2)}),
    "a.json": lambda path: write_json(path, {}),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_folder_that_cannot_be_written(tmp_path, name):
    (tmp_path / "file").write_text("in the way")
    for folder in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(UserError, match=r"cannot be written \(.+\): choose a folder") as caught:
            WRITERS[name](folder / name)
        assert "\n" not in str(caught.value)
    (tmp_path / name).mkdir()  # a folder where the file should go
    with pytest.raises(UserError, match="cannot be written"):
        WRITERS[name](tmp_path / name)
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([name, "file"])


def test_a_failure_leaves_the_former_file(tmp_path, monkeypatch):
    write_json(tmp_path / "a.json", {"a": 1})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(artifacts.os, "replace", full)
    with pytest.raises(UserError, match="No space left on device"):
        write_json(tmp_path / "a.json", {"a": 2})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": 1}
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(("count", "height", "width"), [(2000, 8, 64), (40, 2160, 3840)])
def test_a_strip_of_many_or_large_frames_is_thinned(count, height, width):
    """Both ends are in it, and no program refuses it."""
    frames = torch.linspace(0, 1, count).reshape(-1, 1, 1, 1).expand(count, 3, height, width)
    found = strip(frames)
    assert found.shape[-1] <= artifacts.WIDEST
    assert found.shape[-2] * found.shape[-1] <= artifacts.LARGEST
    assert (found.shape[-1] + 2) % (width + 2) == 0
    assert (float(found[0, 0, 0]), float(found[0, 0, -1])) == (0, 1)


def test_a_picture_that_pillow_would_refuse_is_made_smaller(tmp_path, monkeypatch):
    monkeypatch.setattr(artifacts, "LARGEST", 64 * 64)
    write_image(ramp(3, 100, 100)[1], tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (50, 50)
        assert np.asarray(image).std() == 0


def test_a_film_is_sent_frame_by_frame(tmp_path):
    """A hundred frames in the memory of one: as bytes at their film's size they are 20 MB."""
    import tracemalloc

    frames = torch.linspace(0, 1, 100).reshape(-1, 1, 1, 1).expand(100, 3, 8, 8)
    tracemalloc.start()
    write_video(frames, tmp_path / "a.mp4", min_side=256)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 4e6


@contextlib.contextmanager
def small_files(most: int):
    """No file that this process writes may become larger than so many bytes."""
    resource = pytest.importorskip("resource", reason="this system knows no such limit")
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, former[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_json(path / "a.json", {"numbers": list(range(9999))}),
        lambda path: write_image(torch.rand(3, 200, 200), path / "a.png"),
        lambda path: write_path(path / "a.safetensors", {"nodes": torch.zeros(9999)}),
        lambda path: write_animation(torch.rand(3, 3, 200, 200), path / "a.webp"),
    ],
    ids=["json", "png", "safetensors", "webp"],
)
def test_a_file_that_may_not_become_so_large(tmp_path, write):
    with small_files(4000), pytest.raises(UserError, match="files may not become so large") as told:
        write(tmp_path)
    assert "that you may write to" not in str(told.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_told_as_one():
    """As Hydra, or a library, meets it: the error names no file."""
    with pytest.raises(OSError, match="No space left") as met:
        Path("/dev/full").write_text("words")
    told = sentence(met.value)
    assert told.startswith(
        "A file cannot be read or written (No space left on device): the disk is full"
    )
    assert "that you may write to" not in told


def test_names_that_are_no_text_are_written_and_read_again(tmp_path):
    write_json(tmp_path / "a.json", {"file": "a\udcff.png"})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"file": "a\udcff.png"}
