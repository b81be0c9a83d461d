"""The recipe: from a folder of drawings to a pipeline. A stage that is done is not done again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import safetensors.torch
import torch

from geodesic_lightning.models.embedded.train import dataset, latents, networks, training
from geodesic_lightning.models.embedded.train.autoencoder import Autoencoder
from geodesic_lightning.models.embedded.train.denoiser import Batch, Denoiser

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from transformers import CLIPTokenizer

HELD_OUT, VAE_BATCH, UNET_BATCH = 64, 8, 32


def train(work: Path, vae_steps: int, unet_steps: int) -> Callable[[Path], None]:
    """Train both networks on work/world. Returns a function that saves the pipeline in a folder."""
    vae = trained_autoencoder(work, vae_steps)
    latents.write(work / "latents", vae, work / "world" / "drawings.npy")
    tokens, module = trained_denoiser(work, vae, unet_steps)
    return partial(save, vae=vae, tokens=tokens, module=module)


def save(folder: Path, vae: AutoencoderKL, tokens: CLIPTokenizer, module: Denoiser) -> None:
    """Save `vae` and the averaged weights of `module` in `folder`."""
    pair = module.average.network
    networks.save(folder, vae, pair["unet"], pair["text"], tokens)


def trained_autoencoder(work: Path, steps: int) -> AutoencoderKL:
    """The averaged autoencoder, whitened, in the fp16 that is shipped, kept as a file."""
    file = work / "vae.safetensors"
    if file.exists():
        vae = networks.autoencoder().eval()
        vae.load_state_dict(safetensors.torch.load_file(file))
        return vae
    _, pictures = dataset.held_out(HELD_OUT, dataset.SIZE)
    batches = list(torch.from_numpy(pictures).split(VAE_BATCH))
    module = training.fit(
        Autoencoder(steps),
        work / "autoencoder",
        [work / "world" / "drawings.npy"],
        VAE_BATCH,
        batches,
        "bf16-mixed",
    )
    vae = latents.whitened(module.average.network, dataset.drawings(work / "world"))
    safetensors.torch.save_file(vae.state_dict(), file)
    return vae


def trained_denoiser(work: Path, vae: AutoencoderKL, steps: int) -> tuple[CLIPTokenizer, Denoiser]:
    """The tokenizer and the trained `Denoiser`."""
    tokens = words(work)
    module = training.fit(
        Denoiser(tokens, steps),
        work / "denoiser",
        [work / "latents" / f"{name}.npy" for name in ("means", "deviations", "ids")],
        UNET_BATCH,
        validation_batches(vae, tokens),
        "32-true",
    )
    return tokens, module


def words(work: Path, wordings: int = 4) -> CLIPTokenizer:
    """The tokenizer, learned from the captions of work/world, whose ids go to work/latents."""
    if (work / "tokenizer").exists():
        return networks.load_tokenizer(work / "tokenizer")
    captions = [one for row in dataset.captions(work / "world", wordings) for one in row]
    tokens = networks.tokenizer(captions)
    ids = networks.ids(tokens, captions).view(-1, wordings, networks.TOKENS)
    np.save(work / "latents" / "ids.npy", ids.numpy())
    tokens.save_pretrained(work / "tokenizer")
    return tokens


@torch.no_grad()
def validation_batches(vae: AutoencoderKL, tokens: CLIPTokenizer) -> list[Batch]:
    """Held-out latents and captions, four batches of 64 as `Denoiser` takes them."""
    from geodesic_lightning.models.embedded.train.autoencoder import to_unit
    from geodesic_lightning.models.embedded.train.captions import caption

    cats, pictures = dataset.held_out(256, dataset.SIZE)
    ids = networks.ids(tokens, [caption(one) for one in cats])[:, None]
    parts = [vae.encode(to_unit(part)).latent_dist for part in torch.from_numpy(pictures).split(64)]
    return [
        (part.mean.half(), part.std.half(), some)
        for part, some in zip(parts, ids.split(64), strict=True)
    ]
