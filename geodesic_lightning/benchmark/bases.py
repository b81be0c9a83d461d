"""What each base is at its published size, without its weights: the tables of docs/bases.md.

    python -m geodesic_lightning.benchmark.bases      half a minute, no download

Modules are made on torch's meta device, which stores nothing: parameters and buffers are counted, latent
shapes and noise levels are those that the model computes with.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from geodesic_lightning.models.scheduler import Scheduler
from geodesic_lightning.report.terminal import forgiving

USUAL = 0.9056139  # σ of Stable Diffusion 2 at the default noise level
T5 = "text_encoder_3"


@dataclass(frozen=True)
class Row:
    """A base at its own size.

    Attributes:
        name: of the choice. latent: its shape. predicts: what the network does.
        denoiser, texts, vae: millions of parameters.
        half, single: GB of all weights with 16-bit networks and a float32 VAE, and all in float32.
        sigma: σ of the path at the default noise level. level: at which σ is Stable Diffusion 2's.
        passes: of a latent down from there, and up to it.
    """

    name: str
    latent: tuple[int, int, int]
    predicts: str
    denoiser: float
    texts: float
    vae: float
    half: float
    single: float
    sigma: float
    level: float
    passes: int


def rows() -> Iterator[Row]:
    """Every base, those with a third text encoder without it, then with it."""
    from geodesic_lightning.models.diffusion.published import BASES

    for name, base in BASES.items():
        if any(part == T5 for part, *_ in base.texts):
            yield row(name, (T5,))
            yield row(name, (), ", with T5")
        else:
            yield row(name)


def row(name: str, without: tuple[str, ...] = (), more: str = "") -> Row:
    """One base."""
    from geodesic_lightning.models.diffusion import DiffusionModel
    from geodesic_lightning.models.diffusion.published import on_meta

    model = DiffusionModel(on_meta(name, without), Scheduler(), name=name)
    parts = model._placement.parts
    stored = {part: numbers_stored(module) for part, module in parts.items()}
    networks = sum(stored.values()) - stored["vae"]
    texts = [part for part in parts if part.startswith("text")]
    return Row(
        name + more, model.latent_shape, model.prediction,
        _millions(parts[model._network.denoiser_name]), sum(_millions(parts[part]) for part in texts),
        _millions(parts["vae"]), (2 * networks + 4 * stored["vae"]) / 1e9,
        4 * sum(stored.values()) / 1e9, model.sigma, _level(model), model.passes,
    )  # fmt: skip


def table(found: Iterable[Row]) -> str:
    """Rows in Markdown."""
    lines = [
        "| base | latent | predicts | denoiser, M | text encoders, M | VAE, M | weights, GB | in float32, GB "
        "| σ at 0.6 | level of σ = 0.906 |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {r.name} | {'×'.join(map(str, r.latent))} | {r.predicts} | {r.denoiser:.0f} | {r.texts:.0f} "
        f"| {r.vae:.0f} | {r.half:.1f} | {r.single:.1f} | {r.sigma:.3f} | {r.level:.2f} |"
        for r in found
    ]
    return "\n".join(lines)


def _millions(module: Any) -> float:
    return sum(weight.numel() for weight in module.parameters()) / 1e6


def numbers_stored(module: Any) -> int:
    """Numbers that a checkpoint holds: parameters, and tables of positions."""
    learned = dict(module.named_parameters(remove_duplicate=False))  # a T5 shares its embedding
    rest = [value for key, value in module.state_dict().items() if key not in learned]
    return sum(value.numel() for value in (*module.parameters(), *rest))


def _level(model: Any) -> float:
    """The noise level whose σ is nearest to the usual one."""
    levels = model.levels
    sigmas = (1 - levels.alphas_cumprod).sqrt()
    t = int((sigmas - USUAL).abs().argmin())
    return (t + len(levels) // 50 - 1) / len(levels)  # Scheduler.timesteps, the other way round


def main(words: Sequence[str] | None = None) -> None:
    """Print the table."""
    forgiving()
    argparse.ArgumentParser(
        prog="python -m geodesic_lightning.benchmark.bases",
        description="Print the table of the bases.",
    ).parse_args(words)
    print(table(rows()))


if __name__ == "__main__":
    main()
