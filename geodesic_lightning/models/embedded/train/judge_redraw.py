"""How far the redraw error can be trusted: pictures whose answer is known, none of them trained on.

drawings must have next to none; the autoencoder's own drawings have the least that a decoded frame can
have; crossfades of two cats are no cats, at a quarter as at a half.
"""

import time

import numpy as np
import torch
from torch import Tensor

from geodesic_lightning.models.embedded import pipeline_folder, redraw
from geodesic_lightning.models.embedded.drawing import draw
from geodesic_lightning.models.embedded.train import dataset

SEED = 77  # of cats that neither network saw


def judge(count: int) -> dict[str, dict[str, float] | float]:
    """Mean, standard error and largest error in per cent of each kind; how well the kinds are told apart.

    `separation` is the area under the curve: the chance that a crossfade at a quarter has a larger error
    than a decoded cat. `seconds` are of the processor, a picture.
    """
    some, others = cats(0, count), cats(count, count)
    kinds = {
        "drawings": some,
        "through the autoencoder": decoded(some),
        "crossfades at a quarter": 0.75 * some + 0.25 * others,
        "crossfades at a half": (some + others) / 2,
    }
    began = time.process_time()
    errors = {name: 100 * redraw.error(pictures).numpy() for name, pictures in kinds.items()}
    spent = time.process_time() - began
    found: dict[str, dict[str, float] | float] = {
        name: {
            "mean": float(e.mean()),
            "standard_error": float(e.std(ddof=1) / len(e) ** 0.5),
            "largest": float(e.max()),
            "least": float(e.min()),
        }
        for name, e in errors.items()
    }
    blends, real = errors["crossfades at a quarter"], errors["through the autoencoder"]
    found["separation"] = float(np.mean(blends[:, None] > real[None]))
    found["seconds"] = spent / (len(kinds) * count)
    return found


def cats(start: int, count: int) -> Tensor:
    """Drawings (count, 3, 128, 128) in [0, 1]."""
    pictures = [torch.from_numpy(draw(dataset.cat(SEED, start + k), 128)) for k in range(count)]
    return torch.stack(pictures).permute(0, 3, 1, 2) / 255


@torch.no_grad()
def decoded(pictures: Tensor) -> Tensor:
    """Pictures (n, 3, H, W) in [0, 1] through the shipped autoencoder and back: of the same shape."""
    from diffusers import AutoencoderKL

    vae = AutoencoderKL.from_pretrained(pipeline_folder() / "vae", torch_dtype=torch.float32)
    latents = torch.cat([vae.encode(2 * p[None] - 1).latent_dist.mean for p in pictures])
    return torch.cat([vae.decode(z[None]).sample for z in latents]).div(2).add(0.5).clamp(0, 1)
