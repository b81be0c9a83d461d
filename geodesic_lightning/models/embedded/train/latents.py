"""From a trained autoencoder to whitened latents of every training drawing, written once.

means.npy, deviations.npy   float16 (n, channels, h, w), of q(z|x)
"""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch

from geodesic_lightning.models.embedded.train.autoencoder import to_unit
from geodesic_lightning.models.embedded.train.networks import whiten


@torch.no_grad()
def statistics(vae, pictures, batch=32):
    """Per-channel mean and deviation of raw latents of uint8 pictures: two (channels,)."""
    parts = [
        vae.encode(to_unit(torch.from_numpy(pictures[i : i + batch]))).latent_dist
        for i in range(0, len(pictures), batch)
    ]
    mean = torch.cat([part.mean for part in parts])
    noise = torch.cat([part.var for part in parts]).mean(dim=(0, 2, 3))
    return mean.mean(dim=(0, 2, 3)), (mean.var(dim=(0, 2, 3)) + noise).sqrt()


def whitened(vae, pictures):
    """`vae`, whitened in place over the first 2,000 `pictures` and rounded to fp16, as shipped."""
    mean, deviation = statistics(vae, np.array(pictures[:2000]))
    whiten(vae, mean, deviation)
    return vae.half().float().eval()


def write(folder, vae, drawings, workers=2, part=1000):
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
def _encode(job, batch=25):
    vae, drawings, start, stop = job
    pictures, parts = np.load(drawings, mmap_mode="r"), ([], [])
    for first in range(start, stop, batch):
        some = to_unit(torch.from_numpy(np.array(pictures[first : min(first + batch, stop)])))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            posterior = vae.encode(some).latent_dist
        for part, value in zip(parts, (posterior.mean, posterior.std), strict=True):
            part.append(value.half().numpy())
    return [np.concatenate(part) for part in parts]
