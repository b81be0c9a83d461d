"""Low-rank weights from a file: W + scale · B A in every layer they are for, in diffusers' and in peft's layout."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from geodesic_lightning.errors import UserError
from geodesic_lightning.models.diffusion import DiffusionModel
from geodesic_lightning.models.scheduler import Scheduler

peft = pytest.importorskip("peft")


def loaded(folder, **settings):
    return DiffusionModel(str(folder), Scheduler("ddim", 5), **settings)


def weights(model):
    return {k: v.clone() for k, v in model.denoiser.state_dict().items()}


@pytest.fixture
def trained(tiny_sd2):
    """A denoiser with adapters of random weights, rank 2 and α = 4, and its products 2 B A by layer."""
    denoiser = loaded(tiny_sd2).denoiser
    config = peft.LoraConfig(r=2, lora_alpha=4, target_modules=["to_q", "to_v"])
    wrapped = peft.get_peft_model(denoiser, config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in wrapped.named_parameters():
            if "lora_" in name:
                weight.copy_(0.1 * torch.randn(weight.shape, generator=generator))
    products = {
        name.removeprefix("base_model.model.") + ".weight": 2
        * layer.lora_B["default"].weight
        @ layer.lora_A["default"].weight
        for name, layer in wrapped.named_modules()
        if hasattr(layer, "lora_A") and "default" in layer.lora_A
    }
    return wrapped, products


def check(tiny_sd2, folder, products, scale=1.0):
    before = weights(loaded(tiny_sd2))
    model = loaded(tiny_sd2, lora=str(folder), lora_scale=scale)
    after = weights(model)
    assert set(after) == set(before)
    assert products
    for name, weight in before.items():
        if name in products:
            expected = weight + scale * products[name].to(weight)
            torch.testing.assert_close(after[name], expected, rtol=1e-4, atol=1e-5)
        else:
            assert torch.equal(after[name], weight), name
    return model


@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_pefts_layout(tiny_sd2, trained, tmp_path, scale):
    wrapped, products = trained
    wrapped.save_pretrained(tmp_path / "lora")
    model = check(tiny_sd2, tmp_path / "lora", products, scale)
    assert f"with {scale:g} × " in model.source
    assert not any(p.requires_grad for p in model.parameters())


def diffusers_layout(wrapped, folder):
    """As diffusers' training scripts leave it: unet.….lora_A.weight, α equal to the rank."""
    folder.mkdir()
    wrapped.save_pretrained(folder / "peft")
    found = load_file(folder / "peft" / "adapter_model.safetensors")
    named = {
        k.replace("base_model.model.", "unet."): v * 2 if "lora_B" in k else v
        for k, v in found.items()
    }
    save_file(named, folder / "pytorch_lora_weights.safetensors")
    return folder


def test_diffusers_layout(tiny_sd2, trained, tmp_path):
    wrapped, products = trained
    folder = diffusers_layout(wrapped, tmp_path / "lora")
    check(tiny_sd2, folder, products)
    check(tiny_sd2, folder / "pytorch_lora_weights.safetensors", products)


def test_no_scale_is_no_change(tiny_sd2, trained, tmp_path):
    wrapped, products = trained
    check(tiny_sd2, diffusers_layout(wrapped, tmp_path / "lora"), products, 0.0)


def test_over_the_command_line(geodesic, tiny_sd2, trained, tmp_path):
    folder = diffusers_layout(trained[0], tmp_path / "lora")
    words = ("model=sd2", f"model.pretrained={tiny_sd2}", "scheduler.steps=3", "callbacks=log")
    words = (*words, "solver=slerp", "solver.segments=4")
    runs = [
        geodesic(*words, "hydra.run.dir=without"),
        geodesic(*words, "hydra.run.dir=with", f"model.lora={folder}"),
    ]
    assert [run.code for run in runs] == [0, 0], runs[1].err
    said = [json.loads((run.folder / "summary.json").read_text()) for run in runs]
    assert "lora" in said[1]["weights"]
    assert said[0]["log_density"] != said[1]["log_density"]


class TestOneSentence:
    def refused(self, tiny_sd2, lora, match):
        with pytest.raises(UserError, match=match):
            loaded(tiny_sd2, lora=str(lora))

    def test_nothing_there(self, tiny_sd2, tmp_path):
        self.refused(tiny_sd2, tmp_path / "no", r"model.lora: got .*no \(nothing there\)")

    def test_pickled(self, tiny_sd2, tmp_path):
        (tmp_path / "lora.bin").write_bytes(b"x")
        self.refused(
            tiny_sd2, tmp_path / "lora.bin", r"a .bin file\), expected a folder or a .safe"
        )

    def test_an_empty_folder(self, tiny_sd2, tmp_path):
        self.refused(tiny_sd2, tmp_path, r"holds 0 .safetensors files")

    def test_something_else(self, tiny_sd2, tmp_path):
        save_file({"unet.nothing.lora_A.weight": torch.ones(2, 2)}, tmp_path / "x.safetensors")
        self.refused(tiny_sd2, tmp_path / "x.safetensors", r"do not fit|changes nothing")

    def test_a_broken_file(self, tiny_sd2, tmp_path):
        (tmp_path / "x.safetensors").write_bytes(b"not at all")
        self.refused(tiny_sd2, tmp_path / "x.safetensors", r"do not fit this model")
