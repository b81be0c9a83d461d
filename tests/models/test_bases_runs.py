"""What the command line makes of the newer bases: resumed, in two processes, with other decoders and weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache

import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file

from geodesic_lightning.errors import UserError
from geodesic_lightning.models.diffusion import DiffusionModel
from geodesic_lightning.models.scheduler import Scheduler

SLOWLY = [
    pytest.param("sd35", marks=pytest.mark.slow),
    pytest.param("pixart", marks=pytest.mark.slow),
]
NAMES = pytest.mark.parametrize("name", ["sd35", "flux", "pixart"])
FEW = Scheduler("ddim", 5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return cache(lambda name: tiny.save(name, tmp_path_factory.mktemp(name) / name))


def words(name, folder, *more):
    """A command line of the tiny base, at the default strength, which draws nothing."""
    return (
        f"model={name}", f"model.pretrained={folder(name)}", "model.size=16", "logger=csv",
        "scheduler.steps=5", "solver.segments=4", "solver.frames=3",
        "optimizer.tolerance=1e-7", "trainer.accelerator=cpu", "callbacks=log", *more,
    )  # fmt: skip


def nodes(run):
    return load_file(run / "path.safetensors")["nodes"]


@pytest.mark.slow
@NAMES
def test_resumed_it_ends_with_the_nodes_of_the_run_that_was_never_stopped(name, folder, geodesic):
    whole = geodesic(*words(name, folder, "trainer.max_steps=4", "hydra.run.dir=whole"))
    begun = geodesic(*words(name, folder, "trainer.max_steps=2", "hydra.run.dir=begun"))
    rest = geodesic("resume=begun", "trainer.max_steps=4", "hydra.run.dir=rest")
    assert whole.code == begun.code == rest.code == 0, rest.err
    assert not torch.equal(nodes(begun.folder), nodes(whole.folder))
    assert torch.equal(nodes(rest.folder), nodes(whole.folder))
    summary = json.loads((rest.folder / "summary.json").read_text())
    assert summary["model"] == name
    assert summary["strength"] > 0


@pytest.mark.slow
@NAMES
def test_two_processes_solve_what_one_does(name, folder, tmp_path):
    environment = {k: v for k, v in os.environ.items() if k not in ("RANK", "LOCAL_RANK")}

    def run(place, *more):
        done = subprocess.run(
            [sys.executable, "-m", "geodesic_lightning",
             *words(name, folder, "trainer.max_steps=3", f"hydra.run.dir={place}", *more)],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return nodes(tmp_path / place)

    one, two = run("one"), run("two", "trainer.devices=2")
    torch.testing.assert_close(two, one, rtol=1e-3, atol=1e-3)  # batches of another size


class TestDecoders:
    @pytest.mark.parametrize("name", ["flux", *SLOWLY])
    def test_attention_is_not_mixed_and_that_is_said_before_solving(self, name, folder, geodesic):
        done = geodesic(*words(name, folder, "decoder=attention_interpolation"))
        assert done.code == 1
        assert "attention can be mixed in Stable Diffusion 1, 2 and XL" in done.err
        assert not (done.folder / "path.safetensors").exists()

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["sd35", "flux"])
    def test_low_rank_weights_are_trained(self, name, folder, geodesic):
        done = geodesic(
            *words(name, folder, "decoder=lora_interpolation", "decoder.lora.steps=1",
                   "decoder.lora.rank=2", "trainer.max_steps=1", "callbacks=video")
        )  # fmt: skip
        assert done.code == 0, done.err
        assert len(list((done.folder / "frames").iterdir())) == 3

    def test_but_not_in_pixart_which_is_said_before_solving(self, folder, geodesic):
        pytest.importorskip("peft")
        done = geodesic(*words("pixart", folder, "decoder=lora_interpolation"))
        assert done.code == 1
        assert "cannot be trained in a PixArtTransformer2DModel" in done.err
        assert not (done.folder / "path.safetensors").exists()


class TestWeights:
    def loaded(self, folder, name, **options):
        kind = "epsilon" if name == "pixart" else "auto"
        return DiffusionModel(str(folder(name)), FEW, size=16, prediction=kind, **options)

    def wrapped(self, folder, name):
        """The denoiser with low-rank weights of peft's, drawn at random."""
        peft = pytest.importorskip("peft")
        denoiser = self.loaded(folder, name).denoiser
        made = peft.get_peft_model(denoiser, peft.LoraConfig(r=2, target_modules=["to_q", "to_v"]))
        with torch.no_grad():
            for key, weight in made.named_parameters():
                if "lora_" in key:
                    weight.normal_(0, 0.1)
        return made

    @NAMES
    def test_peft_layout(self, name, folder, tmp_path):
        made = self.wrapped(folder, name)
        made.save_pretrained(tmp_path / "lora")
        plain = self.loaded(folder, name)
        merged = made.merge_and_unload().state_dict()
        given = self.loaded(folder, name, lora=str(tmp_path / "lora")).denoiser.state_dict()
        assert any(not torch.equal(v, given[k]) for k, v in plain.denoiser.state_dict().items())
        for key, value in merged.items():
            torch.testing.assert_close(given[key], value)

    @pytest.mark.parametrize("name", ["sd35", "flux"])
    def test_diffusers_layout(self, name, folder, tmp_path):
        made = self.wrapped(folder, name)
        made.save_pretrained(tmp_path / "lora")
        found = load_file(tmp_path / "lora" / "adapter_model.safetensors")
        file = tmp_path / "pytorch_lora_weights.safetensors"
        save_file(
            {k.replace("base_model.model.", "transformer."): v for k, v in found.items()}, file
        )
        # peft's own α is 8 and the rank 2; this layout has no α.
        given = self.loaded(folder, name, lora=str(file), lora_scale=4.0).denoiser.state_dict()
        for key, expected in made.merge_and_unload().state_dict().items():
            torch.testing.assert_close(given[key], expected, rtol=1e-4, atol=1e-5)

    def test_diffusers_layout_for_pixart(self, folder, tmp_path):
        file = tmp_path / "pytorch_lora_weights.safetensors"
        save_file({"transformer.a.lora_A.weight": torch.zeros(2, 2)}, file)
        with pytest.raises(UserError, match="is not in peft's layout"):
            self.loaded(folder, "pixart", lora=str(file))

    @NAMES
    def test_words_of_textual_inversion(self, name, folder, tmp_path):
        torch.save({"<odd>": torch.zeros(1, 32)}, tmp_path / "odd.pt")
        with pytest.raises(UserError, match="takes none, expected Stable Diffusion 1, 2 or XL"):
            self.loaded(folder, name, embeddings=[str(tmp_path / "odd.pt")])

    @NAMES
    def test_weights_in_prompts(self, name, folder):
        pytest.importorskip("compel")
        with pytest.raises(
            UserError, match=r"has weights, .* expected Stable Diffusion 1, 2 or XL"
        ):
            self.loaded(folder, name).embed(["a (cat:1.2)"])
