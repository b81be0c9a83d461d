"""From a trained autoencoder to whitened latents of every training drawing, written once.

means.npy, deviations.npy   float16 (n, channels, h, w), of q(z|x)
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geodesic_lightning.models.embedded.train.autoencoder import to_unit
from geodesic_lightning.models.embedded.train.networks import whiten

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL


@torch.no_grad()
def statistics(
    vae: AutoencoderKL, pictures: NDArray[np.uint8], batch: int = 32
) -> tuple[Tensor, Tensor]:
    """Per-channel mean and deviation of raw latents of pictures (n, h, w, 3): two (channels,)."""
    parts = [
        vae.encode(to_unit(torch.from_numpy(pictures[i : i + batch]))).latent_dist
        for i in range(0, len(pictures), batch)
    ]
    mean = torch.cat([part.mean for part in parts])
    noise = torch.cat([part.var for part in parts]).mean(dim=(0, 2, 3))
    return mean.mean(dim=(0, 2, 3)), (mean.var(dim=(0, 2, 3)) + noise).sqrt()


def whitened(vae: AutoencoderKL, pictures: NDArray[np.uint8]) -> AutoencoderKL:
    """`vae`, whitened in place over the first 2,000 `pictures` and rounded to fp16, as shipped."""
    mean, deviation = statistics(vae, np.array(pictures[:2000]))
    whiten(vae, mean, deviation)
    return vae.half().float().eval()


def write(
    folder: str | Path, vae: AutoencoderKL, drawings: Path, workers: int = 2, part: int = 1000
) -> None:
    """Encode every picture of the file `drawings` into `folder`, unless it has been done."""
    folder = Path(folder)
    names = [folder / "means.npy", folder / "deviations.npy"]
    if names[1].exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    n = len(np.load(drawings, mmap_mode="r"))
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawn, torch.set_num_threads, (1,)) as pool:
        jobs = [(vae, drawings, start, min(start + part, n)) for start in range(0, n, part)]
        parts = list(pool.map(_encode, jobs))
    for name, values in zip(names, zip(*parts, strict=True), strict=True):
        np.save(name, np.concatenate(values))


@torch.no_grad()
def _encode(
    job: tuple[AutoencoderKL, Path, int, int], batch: int = 25
) -> list[NDArray[np.float16]]:
    vae, drawings, start, stop = job
    pictures = np.load(drawings, mmap_mode="r")
    parts: tuple[list[NDArray[np.float16]], list[NDArray[np.float16]]] = ([], [])
    for first in range(start, stop, batch):
        some = to_unit(torch.from_numpy(np.array(pictures[first : min(first + batch, stop)])))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            posterior = vae.encode(some).latent_dist
        for part, value in zip(parts, (posterior.mean, posterior.std), strict=True):
            part.append(value.half().numpy())
    return [np.concatenate(part) for part in parts]
