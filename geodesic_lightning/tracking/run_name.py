"""By which name, group and tags a run is found again among hundreds: those of its overrides."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig

from geodesic_lightning.cli import sweep

TELLING = ("solver", "model", "data", "score")  # groups that every run is tagged with
ASIDE = ("logger", "callbacks", "trainer", "hydra")  # groups that change nothing about the outcome
LONGEST_NAME, LONGEST_TAG = 128, 64  # characters that W&B takes


@dataclass(frozen=True)
class Identity:
    """What a run is called; nothing where it was not started by Hydra.

    Attributes:
        name: solver, data and the other overrides.
        group: the sweep that it belongs to.
        tags: group=choice of what it is made of.
        config: its overrides, its sweep and its number in it, beside the configuration.
    """

    name: str | None = None
    group: str | None = None
    tags: tuple[str, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)


def identity() -> Identity:
    """Of the present job."""
    if not HydraConfig.initialized():
        return Identity()
    job = HydraConfig.get()
    words = sweep.telling(job.overrides.task)
    choices = {group: choice for group, choice in job.runtime.choices.items() if choice}
    asked = [word.partition("=")[0].lstrip("+") for word in words]
    groups = (*TELLING, *(g for g in asked if g in choices and not g.startswith(ASIDE)))
    tags = tuple(f"{g}={choices[g]}"[:LONGEST_TAG] for g in dict.fromkeys(groups))
    rest = [
        w for w, g in zip(words, asked) if g not in ("solver", "data") and not g.startswith(ASIDE)
    ]
    name = " ".join([choices["solver"], choices["data"], *rest])[:LONGEST_NAME]
    folder = sweep.folder()
    group = "/".join(Path(folder).parts[-2:]) if folder else None
    config: dict[str, Any] = {"overrides": list(job.overrides.task)}
    if folder:
        config |= {"sweep_id": group, "job": job.job.num}
    return Identity(name, group, tags, config)
