"""From a trained autoencoder to whitened latents of every training drawing, written once.

means.npy, deviations.npy   float16 (n, channels, h, w), of q(z|x)
"""

from pathlib import Path

import numpy as np
import torch

from .autoencoder import to_unit
from .networks import whiten


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


@torch.no_grad()
def write(folder, vae, pictures, batch=32):
    """Encode every picture into `folder`, unless it has been done. Returns the two memory maps."""
    folder = Path(folder)
    names = [folder / "means.npy", folder / "deviations.npy"]
    if not names[1].exists():
        folder.mkdir(parents=True, exist_ok=True)
        parts = [[], []]
        for start in range(0, len(pictures), batch):
            some = to_unit(torch.from_numpy(np.array(pictures[start : start + batch])))
            with torch.autocast("cpu", dtype=torch.bfloat16):
                posterior = vae.encode(some).latent_dist
            for part, value in zip(parts, (posterior.mean, posterior.std), strict=True):
                part.append(value.half().numpy())
        for name, part in zip(names, parts, strict=True):
            np.save(name, np.concatenate(part))
    return [np.load(name, mmap_mode="r") for name in names]
