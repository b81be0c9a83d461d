"""The bases at their published sizes, on the meta device: shapes, and numbers of parameters."""

from __future__ import annotations

import pytest
import torch

from geodesic_lightning.benchmark import bases
from geodesic_lightning.errors import UserError
from geodesic_lightning.models.diffusion import DiffusionModel
from geodesic_lightning.models.diffusion.published import BASES, on_meta

# Latent, rows and width of an embedding, denoiser's parameters in millions, px that sides are multiples of.
SIZES = {
    "sd15": ((4, 64, 64), (77, 768), 860, 64),
    "sd2": ((4, 64, 64), (77, 1024), 866, 64),
    "sdxl": ((4, 128, 128), (78, 2048), 2567, 32),
    "sd3": ((16, 128, 128), (334, 4096), 2028, 16),
    "sd35": ((16, 128, 128), (334, 4096), 2243, 16),
    "sd35_large": ((16, 128, 128), (334, 4096), 8057, 16),
    "flux": ((16, 128, 128), (513, 4096), 11901, 16),
    "flux_schnell": ((16, 128, 128), (257, 4096), 11891, 16),
    "pixart": ((4, 128, 128), (301, 4096), 611, 16),
}


def test_all_of_them():
    assert SIZES.keys() == BASES.keys()


@pytest.mark.parametrize("name", ["flux", "pixart"])
def test_sizes(name):
    latent, _, millions, multiple = SIZES[name]
    pipeline = on_meta(name)
    made = DiffusionModel(pipeline, name=name)
    assert made.latent_shape == latent
    assert made.image_size == (8 * latent[1], 8 * latent[2])
    with pytest.raises(UserError, match=f"expected multiples of {multiple} px"):
        DiffusionModel(pipeline, size=multiple // 2)
    count = sum(weight.numel() for weight in made.denoiser.parameters())
    assert round(count / 1e6) == millions


@pytest.mark.slow
@pytest.mark.parametrize("name", SIZES)
def test_what_is_computed(name):
    """An embedding, a prediction and a picture, as shapes, at the base's own size and another."""
    test_sizes(name)
    latent, embedding, *_ = SIZES[name]
    pipeline = on_meta(name)
    made = DiffusionModel(pipeline, name=name)
    if name != "pixart":  # whose text encoder looks at the values of its mask
        assert made.embed(["a"]).shape == (1, *embedding)
    wide = (4 * latent[1], 16 * latent[2])
    for size in (made.image_size, wide):
        made = DiffusionModel(pipeline, name=name, size=size)
        x = torch.zeros(1, *made.latent_shape, device="meta")
        c = torch.zeros(1, *embedding, device="meta")
        assert made.noise_prediction(x, 581, c).shape == x.shape
        assert made.decode(x).shape == (1, 3, *size)


def test_stored_numbers_are_those_of_the_published_files():
    """GB of diffusion_pytorch_model.safetensors in 16 bits: Stable Diffusion 3 4.17, 3.5 medium 4.94, large 16.3."""
    for name, stored in (("sd3", 4.17), ("sd35", 4.94), ("sd35_large", 16.3)):
        network = on_meta(name, ("text_encoder_3",)).transformer
        assert 2 * bases.numbers_stored(network) / 1e9 == pytest.approx(stored, rel=0.01)


def test_a_row():
    found = bases.row("pixart")
    assert found.latent == (4, 128, 128)
    assert found.half == pytest.approx(2 * (610.9 + 4762.3) / 1e3 + 4 * 83.7 / 1e3, rel=2e-3)
    assert found.passes == 10
    assert found.sigma > 0.98
    assert bases.row("sd2").level == pytest.approx(0.6)
    assert "| pixart | 4×128×128 | epsilon | 611 |" in bases.table([found])
