"""Held-out figures of a saved pipeline, and pictures to look at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geodesic_lightning.models.embedded.train import networks
from geodesic_lightning.models.embedded.train.autoencoder import psnr, to_unit
from geodesic_lightning.models.embedded.train.captions import caption
from geodesic_lightning.models.embedded.train.dataset import held_out

if TYPE_CHECKING:
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import (
        StableDiffusionPipeline,
    )

STEPS, NOISE_LEVEL = 50, 0.6

PROMPTS = (
    "a happy orange cat with long pointed ears",
    "a sly dark blue cat with long pointed ears",
    "a calm black cat with round ears",
    "a sleepy white cat with short round ears",
    "a grumpy grey striped cat with pointed ears",
    "a surprised light pink cat with drooping ears",
    "a sad cream cat with round ears",
    "a happy brown tabby cat with green eyes",
)


def schedule(steps: int = STEPS, level: float = NOISE_LEVEL) -> tuple[Tensor, Tensor]:
    """Timesteps from 1 up to the noise level (30, the last 581), and ᾱ before and at each."""
    scheduler = networks.scheduler()
    scheduler.set_timesteps(steps)
    times = scheduler.timesteps.flip(0)[: round(level * steps)]
    first = scheduler.final_alpha_cumprod[None]
    return times, torch.cat([first, scheduler.alphas_cumprod[times]])


def ddim(x: Tensor, noise: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """One DDIM step from ᾱ = `before` to ᾱ = `after` (Song et al., 2021, eq. 12, η = 0)."""
    clean = (x - (1 - before).sqrt() * noise) / before.sqrt()
    return after.sqrt() * clean + (1 - after).sqrt() * noise


@torch.no_grad()
def embed(pipeline: StableDiffusionPipeline, captions: Iterable[str]) -> Tensor:
    """Captions to (n, 24, 128)."""
    return pipeline.text_encoder(networks.ids(pipeline.tokenizer, list(captions))).last_hidden_state


@torch.no_grad()
def round_trip(
    pipeline: StableDiffusionPipeline,
    latents: Tensor,
    condition: Tensor,
    steps: int = STEPS,
    level: float = NOISE_LEVEL,
) -> tuple[Tensor, Tensor]:
    """DDIM inversion of latents to the noise level, and back. Returns (inverted, returned).

    latents: (n, channels, h, w), as both that are returned. condition: (n, 24, 128).
    """
    times, signal = schedule(steps, level)
    x = latents
    for index, t in enumerate(times):
        noise = pipeline.unet(x, t, condition).sample
        x = ddim(x, noise, signal[index], signal[index + 1])
    inverted = x
    for index in reversed(range(len(times))):
        noise = pipeline.unet(x, times[index], condition).sample
        x = ddim(x, noise, signal[index + 1], signal[index])
    return inverted, x


@torch.no_grad()
def measure(pipeline: StableDiffusionPipeline, n: int = 64, batch: int = 16) -> dict[str, float]:
    """Name -> mean over n held-out cats: psnr_… in dB, plain numbers for the latents."""
    cats, pictures = held_out(n, pipeline.vae.config.sample_size)
    rows = []
    for start in range(0, n, batch):
        some = to_unit(torch.from_numpy(pictures[start : start + batch]))
        condition = embed(pipeline, [caption(one) for one in cats[start : start + batch]])
        latents = pipeline.vae.encode(some).latent_dist.mean
        decoded = pipeline.vae.decode(latents).sample.clamp(-1, 1)
        inverted, returned = round_trip(pipeline, latents, condition)
        again = pipeline.vae.decode(returned).sample.clamp(-1, 1)
        norms = inverted.flatten(1).norm(dim=1)
        rows.append(
            {
                "psnr_autoencoder": psnr(decoded - some),
                "psnr_round_trip": psnr(again - some),
                "psnr_round_trip_to_autoencoder": psnr(again - decoded),
                "latent_deviation": latents.std(),
                "inverted_deviation": inverted.std(),
                "inverted_norm": norms.mean(),
                "inverted_norm_spread": norms.std(),
            }
        )
    return {name: float(np.mean([float(row[name]) for row in rows])) for name in rows[0]}


def sheet(
    pipeline: StableDiffusionPipeline,
    prompts: Sequence[str] = PROMPTS,
    columns: int = 6,
    guidance: float = 2.5,
    seed: int = 0,
) -> NDArray[np.uint8]:
    """A grid of samples, one prompt a row: uint8 (rows · side, columns · side, 3)."""
    rows = []
    for row, prompt in enumerate(prompts):
        generator = torch.Generator().manual_seed(seed + row)
        pictures = pipeline(
            [prompt] * columns,
            guidance_scale=guidance,
            num_inference_steps=STEPS,
            generator=generator,
            output_type="np",
        ).images
        rows.append(np.concatenate(list(pictures), axis=1))
    return np.rint(255 * np.concatenate(rows)).astype(np.uint8)
