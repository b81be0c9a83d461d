"""What cannot fit into memory is refused before it is tried, and nothing that fits."""

from __future__ import annotations

import pytest
import tiny
import torch
from PIL import Image

from geodesic_lightning.api import interpolate
from geodesic_lightning.cli.error_messages import sentence
from geodesic_lightning.data.frames import pair
from geodesic_lightning.errors import UserError
from geodesic_lightning.models import memory
from geodesic_lightning.models.diffusion import DiffusionModel, full_size
from geodesic_lightning.models.diffusion.activations import decoding_bytes, network_bytes
from geodesic_lightning.models.diffusion.size import LONGEST, given_size
from geodesic_lightning.models.exact import ExactModel
from geodesic_lightning.solvers.base import check_counts, check_memory

GB = 1e9


@pytest.fixture
def pictures(tmp_path):
    for name, colour in (("a", "white"), ("b", "blue")):
        Image.new("RGB", (64, 64), colour).save(tmp_path / f"{name}.png")
    return pair(tmp_path / "a.png", tmp_path / "b.png")


@pytest.fixture
def model(tiny_sd2):
    return lambda size: DiffusionModel(str(tiny_sd2), size=size, prediction="epsilon")


def test_the_formulas_by_hand(model):
    from diffusers import AutoencoderKL

    with torch.device("meta"):
        vae = AutoencoderKL(**full_size.VAE)  # 256 channels at the image's size
    assert decoding_bytes(vae, (1024, 512)) == 3 * 256 * 1024 * 512 * 4
    assert decoding_bytes(vae.half(), (1024, 512)) == 3 * 256 * 1024 * 512 * 2
    vae.enable_tiling()
    assert decoding_bytes(vae, (1024, 512)) == 0
    # 16 and 32 channels, one layer a level, and its halving
    assert network_bytes(model([32, 64])._network) == (2 * 16 + 2 * 32 / 4) * 16 * 32 * 4


def test_of_a_transformer(tmp_path):
    made = DiffusionModel(str(tiny.save("sd3", tmp_path / "sd3")), size=[16, 32])
    config = made.denoiser.config
    width = config.num_attention_heads * config.attention_head_dim
    tokens = 8 * 16 / config.patch_size**2
    assert network_bytes(made._network) == 5 * width * tokens * 4


def test_a_size_that_cannot_fit(model, pictures, monkeypatch):
    large = model([128, 128])
    needed = decoding_bytes(large._vae, (128, 128))
    monkeypatch.setattr(memory, "free_bytes", lambda device: needed)
    large.prepare(pictures)
    monkeypatch.setattr(memory, "free_bytes", lambda device: needed - 1)
    with pytest.raises(
        UserError, match=r"model.size: an image of \[128,128\] px in the autoencoder"
    ):
        large.prepare(pictures)
    large._vae.enable_tiling()
    large.prepare(pictures)
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1.0)
    with pytest.raises(
        UserError, match=r"px in the network needs at least .* take a smaller model.s"
    ):
        large.prepare(pictures)
    model(None).prepare(pictures)  # its own size may always be tried


def test_free_memory_is_what_the_machine_has():
    free = memory.free_bytes(torch.device("cpu"))
    assert 1e6 < free < 1e15
    assert memory.free_bytes(torch.device("meta")) == float("inf")


def test_sides_have_a_bound():
    assert given_size([LONGEST, 8]) == (LONGEST, 8)
    for size in ([20000, 20000], [8, LONGEST + 1], 10**9):
        with pytest.raises(
            UserError, match=r"model.size: got \[.*expected at most 16384 px a side"
        ):
            given_size(size)


def test_counts_have_bounds():
    for segments, frames in ((256, 1000), (2, 2), (100_000, 100_000)):
        check_counts(segments, frames)
    for segments, frames, said in (
        (10**7, 17, "solver.segments: got 10000000, expected at most 100,000"),
        (16, 10**9, "solver.frames: got 1000000000, expected at most 100,000"),
        (1, 17, "solver.segments: got 1, expected at least 2"),
    ):
        with pytest.raises(UserError, match=said):
            check_counts(segments, frames)


def test_a_film_that_cannot_fit(monkeypatch):
    model = ExactModel("gaussian")
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1 * GB)
    check_memory(model, 256, 1000)  # as many as anybody has may be tried
    check_memory(model, 100_000, 1001)
    with pytest.raises(
        UserError, match=r"solver.frames=50000: a film of images of \[256,256\] px needs"
    ):
        check_memory(model, 16, 50_000)
    model.image_size = (2, 4)
    check_memory(model, 16, 50_000)


@pytest.mark.parametrize("setting", ["frames=1000000000", "segments=10000000"])
def test_over_the_command_line_before_anything_is_loaded(geodesic, setting):
    words = ("model=diffusers", "model.pretrained=/nowhere", "data=pair_cat")
    done = geodesic(*words, f"solver.{setting}")
    assert done.code == 1
    assert done.err.startswith(f"Error: solver.{setting.partition('=')[0]}: got ")
    assert done.err.count("\n") == 1


def test_in_python(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1e6)
    a, b = Image.new("RGB", (64, 64), "white"), Image.new("RGB", (64, 64), "blue")
    with pytest.raises(
        UserError, match=r"model.size: an image of \[256,256\] px in the autoencoder"
    ):
        interpolate(a, b, size=(256, 256))


class TestWhereItRunsOut:
    """Torch's and Python's own errors, of more than any machine has."""

    def said(self, ask):
        with pytest.raises((RuntimeError, MemoryError)) as caught:
            ask()
        return sentence(caught.value)

    @pytest.mark.parametrize("ask", [lambda: torch.empty(10**17), lambda: bytearray(10**17)])
    def test_of_the_machine(self, ask):
        assert self.said(ask).startswith(
            "There is no memory left on this machine: take a smaller mo"
        )

    def test_of_a_device(self):
        error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        assert sentence(error).startswith(
            "There is no memory left on the device: take a smaller mod"
        )

    def test_no_other_error_is_taken_for_it(self):
        assert sentence(RuntimeError("shapes do not match")) is None
