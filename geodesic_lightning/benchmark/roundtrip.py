"""Sampler × noise level: how well a latent comes back from the path's noise level, and what it costs.

Images are encoded, carried to the noise level and down again. Compared are, in decibels on the
decoded images (PSNR, the mean of the images' errors first):

    round trip   up and down by the rule, against the autoencoder's own reconstruction
    down         down by the rule from the true latent at the noise level, against the same: the
                 true way down leads back to where the true way up began
    film         the frame in the middle of the great circle between the true latents of a pair,
                 under both prompts' mean, against the true way down
    up           error of the latent at the noise level, relative to the true one's norm

True is the rule TRUE, many steps of the third order. Passes are evaluations of the denoiser for
one image, counted up and down. Every pair is a row of its own, so that an interrupted run goes on,
and one of 8 pairs can be made one of 24.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from geodesic_lightning.benchmark import kept
from geodesic_lightning.benchmark.markdown import markdown
from geodesic_lightning.data.frames import shipped_pair
from geodesic_lightning.errors import UserError
from geodesic_lightning.models.scheduler import Scheduler

if TYPE_CHECKING:
    from geodesic_lightning.models.diffusion import DiffusionModel

PAIRS = kept.HELD_OUT
LEVELS = (0.4, 0.6, 0.8)
SEEN = ("round_trip", "down", "film")
TRUE: dict[str, Any] = {"sampler": "multistep", "steps": 100, "grid": "karras", "order": 3}


def _multistep(*steps: int, **settings: Any) -> list[dict[str, Any]]:
    return [{"sampler": "multistep", "steps": n, "grid": "karras", **settings} for n in steps]


RULES: list[dict[str, Any]] = [
    *_multistep(10, 13, 16, 20, 30),
    *_multistep(13, 16, 20, order=3),
    *_multistep(10, 16, rho=7.0),
    *_multistep(16, 30, corrector=False),
    {"sampler": "multistep", "steps": 16, "grid": "even"},
    *({"sampler": "heun", "steps": steps} for steps in (10, 15, 20, 30)),
    {"sampler": "heun", "steps": 12, "grid": "karras", "rho": 7.0},
    *({"sampler": "dpm_solver", "steps": steps} for steps in (10, 15, 20, 30, 50)),
    {"sampler": "dpm_solver", "steps": 20, "grid": "karras"},
    *({"sampler": "ddim", "steps": steps} for steps in (10, 20, 30, 50)),
    *({"sampler": "ddim", "steps": n, "iterations": k} for n in (10, 20, 50) for k in (1, 3)),
    {"sampler": "heun", "steps": 10, "iterations": 3},
]


def label(settings: dict[str, Any]) -> str:
    """A rule's name: sampler and steps, then what else is set, as in `multistep 16 karras order=3`."""
    rest = {k: v for k, v in settings.items() if k not in ("sampler", "steps", "grid")}
    words = [settings[k] for k in ("sampler", "steps", "grid") if k in settings]
    return " ".join([*map(str, words), *(f"{k}={v}" for k, v in rest.items())])


@dataclass(frozen=True)
class Row:
    """One rule at one noise level on one pair: passes, mean square errors, and |x − true|², |true|²."""

    rule: str
    noise_level: float
    pair: str
    passes_up: int
    passes_down: int
    round_trip: float
    down: float
    film: float
    miss: float
    norm: float

    @property
    def key(self) -> tuple[str, float, str]:
        """What no two rows share."""
        return self.rule, self.noise_level, self.pair


def chosen(names: Sequence[str]) -> list[dict[str, Any]]:
    """The rules of these names, all of them for none; UserError lists the names there are."""
    known = {label(settings): settings for settings in RULES}
    for name in names:
        if name not in known:
            raise UserError(f"--rules: got {name!r}, expected some of {', '.join(known)}.")
    return [known[name] for name in names] or RULES


def read(file: Path) -> list[Row]:
    """The rows that a former run has left in its file."""
    return kept.rows(file, Row)


def run(
    model: DiffusionModel,
    pairs: Iterable[str] = PAIRS,
    rules: Sequence[dict[str, Any]] = RULES,
    noise_levels: Sequence[float] = LEVELS,
    known: Collection[tuple[str, float, str]] = (),
) -> Iterator[Row]:
    """Rows as they are found, on the shipped pairs of pictures named, but for those that are known."""
    before = model.scheduler
    try:
        for pair in pairs:
            frames = shipped_pair(pair)
            z, c = model.encode(frames), model.embed(frames.prompts)
            own = model.decode(z)
            for level in noise_levels:
                new = [rule for rule in rules if (label(rule), level, pair) not in known]
                if not new:
                    continue
                model.use(Scheduler(**TRUE, noise_level=level))
                true = model.invert(z, c)
                middle, prompt = halfway(true), c.mean(0, keepdim=True)
                shown = model.decode(model.denoise(middle, prompt))
                for rule in new:
                    model.use(Scheduler(**rule, noise_level=level))
                    x, up = _counted(model, model.invert, z, c)
                    back, down = _counted(model, model.denoise, x, c)
                    yield Row(
                        label(rule), level, pair, up, down,
                        error(model.decode(back), own),
                        error(model.decode(model.denoise(true, c)), own),
                        error(model.decode(model.denoise(middle, prompt)), shown),
                        float((x - true).square().sum()),
                        float(true.square().sum()),
                    )  # fmt: skip
    finally:
        model.use(before)


def _counted(
    model: DiffusionModel, verb: Callable[[Tensor, Tensor], Tensor], x: Tensor, c: Tensor
) -> tuple[Tensor, int]:
    """Where a verb leads, and its evaluations of one image."""
    before = model.evaluations
    moved = verb(x, c)
    return moved, (model.evaluations - before) // len(x)


def halfway(ends: Tensor) -> Tensor:
    """(1, *shape) in the middle of the great circle between ends (2, *shape), of their mean norm."""
    flat = ends.flatten(1)
    middle = torch.nn.functional.normalize(flat, dim=1).sum(0)
    middle = middle * (flat.norm(dim=1).mean() / middle.norm())
    return middle.reshape(1, *ends.shape[1:])


def error(images: Tensor, others: Tensor) -> float:
    """Mean square difference of images in [0, 1]."""
    return float((images - others).square().mean())


def decibels(errors: Sequence[float]) -> float:
    """PSNR of images in [0, 1] from their mean square errors."""
    return float(-10 * torch.tensor(errors, dtype=torch.float64).mean().log10())


def table(rows: Iterable[Row]) -> str:
    """Rows in Markdown, the pairs of each rule and noise level together."""
    groups: dict[tuple[str, float], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.rule, row.noise_level), []).append(row)
    head = (
        "rule", "noise level", "pairs", "passes up", "down",
        "round trip, dB", "down, dB", "film, dB", "up, error",
    )  # fmt: skip
    body = []
    for (rule, level), each in sorted(groups.items(), key=lambda item: item[0][1]):
        miss, norm = sum(r.miss for r in each), sum(r.norm for r in each)
        body.append(
            [
                rule, f"{level:g}", str(len(each)),
                str(each[0].passes_up), str(each[0].passes_down),
                *(f"{decibels([getattr(r, k) for r in each]):.1f}" for k in SEEN),
                f"{(miss / norm) ** 0.5:.2%}",
            ]
        )  # fmt: skip
    return markdown(head, body)
