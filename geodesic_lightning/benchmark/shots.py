"""How far does a shot stay a drawable cat? Pairs × velocities × floors of density.

A shot goes on for LENGTHS of its velocity's unit (`velocity=`): past a solved path, towards the
second image and past it, the way that a prompt takes, and in a random direction. A frame is drawable while its redraw
error is below that of a crossfade of two cats at a quarter (models/embedded/redraw.py). The floor was chosen on
the hand-made pairs, past a solved path alone (`--named`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path as FilePath

import numpy as np

from geodesic_lightning import api
from geodesic_lightning.benchmark import kept
from geodesic_lightning.benchmark.markdown import markdown
from geodesic_lightning.benchmark.morphs import interval
from geodesic_lightning.data.frames import shipped_pair
from geodesic_lightning.integrators.initial_velocity import (
    Onward,
    PromptChange,
    Random,
    Toward,
    Velocity,
)
from geodesic_lightning.models.diffusion.model import DiffusionModel
from geodesic_lightning.models.embedded.redraw import error

PAIRS = kept.HELD_OUT
LENGTHS = {"continue": 1.5, "toward": 1.5, "prompt": 2.0, "random": 1.0}
FLOORS: tuple[float | None, ...] = (None, 6.0)
CHOICES: tuple[float | None, ...] = (None, 3.0, 6.0, 9.0, 12.0)  # that the floor was chosen from
SEGMENTS, FRAMES = 24, 13
DRAWABLE = 6.5  # %, of a crossfade at a quarter: 6.47 ± 0.11
PROMPT = "a sad blue cat with short round ears"


@dataclass(frozen=True)
class Row:
    """One shot: redraw errors of its frames, in %, at even places from the start on.

    Attributes:
        drawable: how far it stays drawable, in units of the velocity.
        trusted: how far log p stays within three standard deviations of the start's; None with a floor.
    """

    pair: str
    velocity: str
    floor: float | None
    length: float
    errors: list[float]
    drawable: float
    trusted: float | None
    evaluations: int

    @property
    def key(self) -> tuple[str, str, float | None]:
        """What no two rows share."""
        return self.pair, self.velocity, self.floor


def read(file: FilePath) -> list[Row]:
    """The rows that a former run has left in its file."""
    return kept.rows(file, Row)


def reach(errors: Sequence[float], length: float, limit: float = DRAWABLE) -> float:
    """How far errors at even places of a length stay below the limit, between places linearly."""
    for k, (before, after) in enumerate(pairwise(errors)):
        if after > limit:
            share = (limit - before) / (after - before) if before < limit else 0.0
            return length * (k + share) / (len(errors) - 1)
    return length


def run(
    model: DiffusionModel,
    folder: FilePath,
    pairs: Sequence[str] = PAIRS,
    known: Collection[tuple[str, str, float | None]] = (),
    velocities: Sequence[str] = tuple(LENGTHS),
    floors: Sequence[float | None] = FLOORS,
) -> Iterator[Row]:
    """Rows as they are found, but for those that are known; solved paths are kept under the folder."""
    for pair in pairs:
        keys = [(pair, velocity, floor) for velocity in velocities for floor in floors]
        if not (new := [key for key in keys if key not in known]):
            continue
        frames = shipped_pair(pair)
        (start, end), (prompt, prompt_end) = frames.pictures, frames.prompts
        path = folder / pair
        if not (path / "path.safetensors").exists():
            api.interpolate(start, end, prompt, prompt_end, model=model).save(path)
        makers: dict[str, Velocity] = {
            "continue": Onward(str(path)),
            "toward": Toward(),
            "prompt": PromptChange(PROMPT),
            "random": Random(),
        }
        for _, velocity, floor in new:
            length = LENGTHS[velocity]
            shot = api.extrapolate(
                start, end, prompt, prompt_end, velocity=makers[velocity], length=length, floor=floor, model=model,
                segments=SEGMENTS, frames=FRAMES,
            )  # fmt: skip
            errors = [100 * float(one) for one in error(shot.frames.cpu())]
            yield Row(
                pair, velocity, floor, length, errors, reach(errors, length),
                shot.summary["shot"]["trusted"], shot.evaluations,
            )  # fmt: skip


def table(rows: Iterable[Row]) -> str:
    """Rows in Markdown, the pairs of each velocity and floor together."""
    groups: dict[tuple[str, float | None], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.velocity, row.floor), []).append(row)
    head = ("velocity", "floor", "shots", "drawable for", "times the free one, pair by pair",
            "trusted for", "error where it ends, %", "evaluations")  # fmt: skip
    body = []
    for (velocity, floor), each in groups.items():
        free = {row.pair: row.drawable for row in groups.get((velocity, None), ())}
        ratios = [row.drawable / free[row.pair] for row in each if free.get(row.pair)]
        low, high = interval(ratios) if ratios else (np.nan, np.nan)
        trust = [row.trusted for row in each if row.trusted is not None]
        body.append((
            velocity, "free" if floor is None else f"{floor:g}", str(len(each)),
            f"{np.mean([r.drawable for r in each]):.2f}",
            f"{np.mean(ratios):.2f} [{low:.2f}, {high:.2f}]" if ratios else "–",
            f"{np.mean(trust):.2f}" if trust else "–",
            f"{np.mean([r.errors[-1] for r in each]):.1f}",
            f"{np.mean([r.evaluations for r in each]):.0f}",
        ))  # fmt: skip
    return markdown(head, body)
