"""Textual inversion of the ends: bend each prompt's whole embedding until the model describes that image by it.

    min over c of E_{t, ε} |ε(√ᾱ_t z₀ + σ_t ε, t, c) − ε|²,   t ~ U{0 … T−1},   AdamW from c = embedding of the prompt

Both ends are bent side by side, in one batch. Results are kept under a hash of everything they depend on: latents,
prompts, weights and settings. Source: Gal et al., 2023, as used by Yu et al., CVPR 2025, section 4.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from geodesic_lightning.data.paths import expanded
from geodesic_lightning.errors import UserError, advice
from geodesic_lightning.score.condition import (
    Condition,
    Piecewise,
    check_way,
    embedded,
    through,
)

CACHE = "~/.cache/geodesic_lightning"


def textual_inversion(
    model: Any,
    texts: Sequence[str],
    latents: Tensor,
    *,
    interpolation: str = "lerp",
    steps: int = 500,
    lr: float = 0.005,
    batch_size: int = 2,
    joint: bool = False,
    cache: str | None = CACHE,
    seed: int = 0,
    long_prompts: str = "refuse",
) -> Condition | Piecewise:
    """The condition of inverted embeddings.

    Args:
        model: with `embed` and a differentiable `noise_prediction`.
        texts: one prompt an end, where the embeddings start.
        latents: clean latents (n, *latent_shape) of the ends.
        steps: optimizer steps, ≥ 0; each sees `batch_size` draws of (t, ε) an end.
        joint: one embedding for all ends, started from their prompts one after the other.
        cache: folder of results, made when needed; None keeps nothing.
        long_prompts: as for condition.prompts.
    """
    check_way(interpolation)
    if steps < 0:
        raise UserError(f"condition.steps: got {steps}, expected at least 0.")
    if batch_size < 1:
        raise UserError(f"condition.batch_size: got {batch_size}, expected at least 1.")
    texts = [" ".join(texts)] if joint else list(texts)
    settings = {"texts": texts, "steps": steps, "lr": lr, "batch_size": batch_size, "seed": seed}
    if long_prompts != "refuse":  # files of before the setting was there are of prompts that fit
        settings["long_prompts"] = long_prompts
    file = (
        None
        if cache is None
        else expanded(cache) / f"{_fingerprint(model, latents, settings)}.safetensors"
    )
    found = _read(file)
    if found is None:
        _refuse_unwritable(file)
        found = _invert(
            model, embedded(model, texts, long_prompts), latents, steps, lr, batch_size, seed
        )
        _write(file, found)
    found = found.to(latents.device)  # a file's tensors are on the CPU
    return through(found, interpolation)


def _invert(
    model: Any, start: Tensor, latents: Tensor, steps: int, lr: float, batch_size: int, seed: int
) -> Tensor:
    embedding = start.clone().requires_grad_()
    optimizer = torch.optim.AdamW([embedding], lr=lr)
    generator = torch.Generator().manual_seed(seed)
    clean = latents.clone().repeat_interleave(batch_size, 0)
    for _ in range(steps):
        t = torch.randint(model.timesteps, (len(clean),), generator=generator)
        noise = torch.randn(clean.shape, generator=generator).to(clean)
        level = (
            torch.tensor([model.alpha_cumprod(int(i)) for i in t])
            .to(clean)
            .reshape(-1, *[1] * (clean.dim() - 1))
        )
        noised = level.sqrt() * clean + (1 - level).sqrt() * noise
        prompt = embedding.repeat_interleave(len(clean) // len(embedding), 0)
        # The sum over ends, so that each end's own gradient does not depend on how many there are.
        loss = (model.noise_prediction(noised, t, prompt) - noise).square().mean() * len(embedding)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return embedding.detach()


def _fingerprint(model: Any, latents: Tensor, settings: dict) -> str:
    """Hash of latents, settings, noise levels, and the first numbers of every frozen weight."""
    levels = [model.alpha_cumprod(t) for t in (0, model.timesteps // 2, model.timesteps - 1)]
    kind = {"prediction": getattr(model, "prediction", None), "levels": levels}
    if told := getattr(model, "distilled_guidance", None):
        kind["distilled_guidance"] = told
    digest = hashlib.sha256(json.dumps(settings | kind, sort_keys=True).encode())
    for tensor in [latents, *(p.detach().flatten()[:64] for p in model.parameters())]:
        digest.update(tensor.float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]


def _read(file: Path | None) -> Tensor | None:
    """The cached embeddings, or None where there are none or they cannot be read."""
    if file is None or not file.is_file():
        return None
    try:
        return load_file(file)["embedding"]
    except (SafetensorError, OSError, KeyError):
        return None


def _refuse_unwritable(file: Path | None) -> None:
    """Raise UserError where the result could not be kept: before the steps, not after them."""
    if file is None:
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=file.parent).close()
    except OSError as error:
        raise _unwritable(file, error) from error


def _unwritable(file: Path, error: OSError) -> UserError:
    return UserError(
        f"condition.cache: cannot write to {file.parent} ({error.strerror}); {advice(error, 'give another folder')}, "
        "or null."
    )


def _write(file: Path | None, embedding: Tensor) -> None:
    """Write under a name of its own, then rename: two runs at once each find a whole file."""
    if file is None:
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=file.parent, suffix=".part")
        os.close(handle)
        save_file({"embedding": embedding.cpu().contiguous()}, part)
        os.replace(part, file)
    except OSError as error:
        raise _unwritable(file, error) from error
