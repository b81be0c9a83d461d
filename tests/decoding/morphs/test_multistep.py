"""Decoders that change ε on the way, under a sampler whose steps rest on the steps before."""

import pytest
import torch
from morphing import decoder, random

from geodesic_lightning.decoding.morphs import freemorph
from geodesic_lightning.decoding.morphs.attention import Mixer
from geodesic_lightning.decoding.morphs.lora import Lora
from geodesic_lightning.models.diffusion import DiffusionModel
from geodesic_lightning.models.scheduler import Scheduler
from geodesic_lightning.score.condition import Condition

ENDS = torch.tensor([0.0, 1.0])


@pytest.fixture(params=[2, 3])
def model(request, tiny_sd2):
    scheduler = Scheduler("multistep", 8, grid="karras", order=request.param)
    return DiffusionModel(str(tiny_sd2), scheduler, batch_size=16)


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_attention(model, share):
    """An end looks at itself, so that mixing changes nothing there, wherever on the way it ends."""
    made, plain, path = decoder(model, attention=Mixer("outer", True), share=share)
    torch.testing.assert_close(made(path, ENDS), plain(path, ENDS), rtol=0, atol=2e-4)
    middle = torch.tensor([0.5])
    assert (made(path, middle) - plain(path, middle)).abs().max() > 1e-3


def test_guidance(model):
    """Guided with one prompt against the same it is that prompt's own way down."""
    made, plain, path = decoder(model, guidance=4.0, negative="cat")
    last = torch.tensor([1.0])  # its prompt is "cat"
    torch.testing.assert_close(made(path, last), plain(path, last), rtol=0, atol=2e-4)


def test_lora(model):
    """Weights that are fitted change the film; those that are not, do not."""
    pytest.importorskip("peft")
    unfitted, plain, path = decoder(model, lora=Lora(rank=2, steps=0))
    torch.testing.assert_close(unfitted(path, ENDS), plain(path, ENDS), rtol=0, atol=2e-4)


def test_lora_fitted(model):
    pytest.importorskip("peft")
    fitted, plain, path = decoder(model, lora=Lora(rank=2, steps=5, lr=1e-2))
    frames = fitted(path, ENDS)
    assert frames.isfinite().all()
    assert (frames - plain(path, ENDS)).abs().max() > 1e-3


def test_freemorph(model, monkeypatch):
    """Without its stages and its noise it is the model's own inversion."""
    monkeypatch.setattr(freemorph, "SHARED", 1.0)
    monkeypatch.setattr(freemorph, "KEPT", (1.0,) * 6)
    condition = Condition(*model.embed(["a cat", "cat"]))
    clean, u = random(2, *model.latent_shape, seed=3), torch.linspace(0, 1, 4)
    found = freemorph.frames(model, condition, clean, u)
    plain = model.invert(freemorph.great_circle(clean, u), condition(u))
    torch.testing.assert_close(found, plain, rtol=1e-3, atol=1e-3)
