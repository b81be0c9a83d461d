"""By which name, group and tags a run is found again among hundreds: those of its overrides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
        config: its sweep and its number in it, beside the configuration.
    """

    name: str | None = None
    group: str | None = None
    tags: tuple[str, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)


def identity(
    overrides: Sequence[str], choices: Mapping[str, str | None], sweep: str | None, job: int | None
) -> Identity:
    """Of a job.

    Args:
        overrides: those that its outcome depends on.
        choices: of each group.
        sweep: the folder of the sweep that it belongs to, and job: its number there; None outside of one.
    """
    asked = [word.partition("=")[0].lstrip("+") for word in overrides]
    groups = (*TELLING, *(g for g in asked if choices.get(g) and not g.startswith(ASIDE)))
    tags = tuple(f"{g}={choices[g]}"[:LONGEST_TAG] for g in dict.fromkeys(groups))
    rest = [
        word
        for word, group in zip(overrides, asked)
        if group not in ("solver", "data") and not group.startswith(ASIDE)
    ]
    name = " ".join([str(choices["solver"]), str(choices["data"]), *rest])[:LONGEST_NAME]
    group = "/".join(Path(sweep).parts[-2:]) if sweep else None
    return Identity(name, group, tags, {"sweep_id": group, "job": job} if sweep else {})
