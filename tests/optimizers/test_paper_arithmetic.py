"""The paper's field, once more and step by step, from diffusers' own components at tiny size.

Written from the paper's formulas alone, in the order in which the released code goes:

    eps ~ N(0, 1),  t ~ U{τ − 100 … τ + 99}
    x̂₀ = (x − σ_τ eps)/√ᾱ_τ,   x_t = √ᾱ_t x̂₀ + σ_t eps
    gradient = ½(ε(x_t, t, negative) − ε(x_t, t, c))

The same x, t and eps go into both; the same gradient must come out.
"""

from __future__ import annotations

import diffusers
import pytest
import tiny
import torch

from geodesic_lightning.models.diffusion import DiffusionModel
from geodesic_lightning.models.scheduler import Scheduler
from geodesic_lightning.score.condition import prompts
from geodesic_lightning.score.estimator import Score
from geodesic_lightning.score.fields import Contrast

NEGATIVE = "a doubling image"
T = 643
U = torch.tensor([0.25, 0.75])


@pytest.fixture(scope="module", params=["sd2", "sd2_v"])
def both(request, tmp_path_factory):
    """The project's model, and diffusers' pipeline, of the same weights."""
    folder = tiny.save(request.param, tmp_path_factory.mktemp(request.param))
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(
        folder, safety_checker=None, feature_extractor=None, requires_safety_checker=False,
        low_cpu_mem_usage=False,
    )  # fmt: skip
    return DiffusionModel(str(folder), Scheduler("ddim", 50)), pipeline


def random(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def embedding(pipeline, text):
    """(1, 77, width), by hand: tokenizer, text encoder."""
    ids = pipeline.tokenizer(
        text, padding="max_length", max_length=77, truncation=True, return_tensors="pt"
    ).input_ids
    with torch.no_grad():
        return pipeline.text_encoder(ids)[0]


def epsilon(pipeline, x, t, prompt):
    """The pipeline's noise prediction for one latent."""
    with torch.no_grad():
        raw = pipeline.unet(x, t, encoder_hidden_states=prompt).sample
    if pipeline.scheduler.config.prediction_type == "epsilon":
        return raw
    alpha = pipeline.scheduler.alphas_cumprod[t]
    return alpha.sqrt() * raw + (1 - alpha).sqrt() * x


def test_the_gradient(both, monkeypatch):
    model, pipeline = both
    x, eps = random(1, 2, 4, 8, 8), random(2, 2, 4, 8, 8)
    start, end = embedding(pipeline, "a cat"), embedding(pipeline, "dog")
    negative = embedding(pipeline, NEGATIVE)
    scheduler = pipeline.scheduler
    inverse = diffusers.DDIMInverseScheduler.from_config(scheduler.config)
    inverse.set_timesteps(50)
    tau = int(inverse.timesteps[29])
    assert tau == model.timestep == 581
    expected = []
    for latent, noise, u in zip(x, eps, U):
        alpha = scheduler.alphas_cumprod[tau]
        clean = (latent - (1 - alpha).sqrt() * noise) / alpha.sqrt()
        noised = scheduler.add_noise(clean[None], noise[None], torch.tensor([T]))
        prompt = (1 - u) * start + u * end
        expected.append(
            0.5 * (epsilon(pipeline, noised, T, negative) - epsilon(pipeline, noised, T, prompt))
        )
    monkeypatch.setattr(torch, "randn", lambda shape, generator: eps.clone())
    monkeypatch.setattr(torch, "randint", lambda low, high, size, generator: torch.tensor([T]))
    score = Score(
        model, prompts(model, ["a cat", "dog"]), Contrast(), (-100, 99), negative_prompt=NEGATIVE
    )
    torch.testing.assert_close(score(x, U, rng_step=0), torch.cat(expected), rtol=1e-4, atol=1e-6)


def test_the_timesteps(both):
    """U{τ − 100 … τ + 99}: both bounds are met and never passed."""
    model, _ = both
    score = Score(model, prompts(model, ["", ""]), Contrast(), (-100, 99))
    assert (score.low, score.high) == (481, 680)


def test_the_climb(both):
    """z₀ = 0.18215 times the encoder's mean; thirty DDIM inversion steps at guidance 1."""
    model, pipeline = both
    images = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    prompt = embedding(pipeline, "a cat")
    with torch.no_grad():
        z = 0.18215 * pipeline.vae.encode(2 * images - 1).latent_dist.mean
    inverse = diffusers.DDIMInverseScheduler.from_config(
        pipeline.scheduler.config, prediction_type="epsilon"
    )
    inverse.set_timesteps(50)
    x = z
    for t in inverse.timesteps[:30]:
        x = inverse.step(epsilon(pipeline, x, t, prompt), t, x).prev_sample
    torch.testing.assert_close(model.invert(z, prompt), x, rtol=1e-3, atol=1e-3)
