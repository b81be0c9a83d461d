"""Sampler × steps: how well a latent comes back from the path's noise level, and what it costs.

Images are encoded, carried to noise level 0.6 and down again. Compared are, in decibels on the
decoded images (PSNR, the mean of the images' errors first):

    round trip   up and down by the sampler, against the autoencoder's own reconstruction
    down         down by the sampler from the true latent at the noise level, against the true way
    up           error of the latent at the noise level, relative to the true one's norm

True is Heun's rule with five times the usual steps. Passes are evaluations of the denoiser for one
image, up plus down.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from geodesic_lightning.data.frames import shipped_pair

PAIRS = tuple(f"eval_{k:02d}" for k in range(8))
RULES = (
    *(("ddim", steps, 0) for steps in (50, 30, 20, 10)),
    *(("ddim", steps, iterations) for steps in (50, 20, 10) for iterations in (1, 3)),
    *(("dpm_solver", steps, 0) for steps in (50, 30, 20, 15, 10)),
    *(("heun", steps, 0) for steps in (30, 20, 15, 10)),
    *(("heun", steps, 3) for steps in (10,)),
)


@dataclass(frozen=True)
class Row:
    """One rule: its passes an image, decibels and relative error as above, and seconds for all."""

    sampler: str
    steps: int
    iterations: int
    passes: int
    round_trip: float
    down: float
    up: float
    seconds: float


def run(
    model, pairs: Iterable[str] = PAIRS, rules: Iterable[tuple[str, int, int]] = RULES
) -> Iterator[Row]:
    """Rows as they are found, on the shipped pairs of pictures named."""
    from geodesic_lightning.models.scheduler import Scheduler

    frames = [shipped_pair(name) for name in pairs]
    z = torch.cat([model.encode(pair) for pair in frames])
    c = model.embed([prompt for pair in frames for prompt in pair.prompts])
    own, kept = model.decode(z), model.scheduler
    try:
        model.use(Scheduler("heun", 5 * 50, kept.noise_level))
        true = model.invert(z, c)
        shown = model.decode(model.denoise(true, c))
        for sampler, steps, iterations in rules:
            model.use(Scheduler(sampler, steps, kept.noise_level, iterations))
            before, began = model.evaluations, time.perf_counter()
            x = model.invert(z, c)
            back = model.denoise(x, c)
            seconds = time.perf_counter() - began
            yield Row(
                sampler,
                steps,
                iterations,
                (model.evaluations - before) // len(z),
                decibels(model.decode(back), own),
                decibels(model.decode(model.denoise(true, c)), shown),
                float((x - true).norm() / true.norm()),
                seconds,
            )
    finally:
        model.use(kept)


def decibels(images: Tensor, others: Tensor) -> float:
    """PSNR of images in [0, 1] against others, from the mean square over all of them."""
    return float(-10 * (images - others).square().mean().log10())


def table(rows: Iterable[Row]) -> str:
    """Rows in Markdown."""
    lines = [
        "| sampler | steps | fixed point | passes | round trip, dB | down, dB | up, error |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {r.sampler} | {r.steps} | {r.iterations} | {r.passes} | {r.round_trip:.1f} "
        f"| {r.down:.1f} | {r.up:.2%} |"
        for r in rows
    ]
    return "\n".join(lines)
