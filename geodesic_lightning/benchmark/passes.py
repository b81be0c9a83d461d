"""Where a run's network passes go: by stage, for some command lines and samplers.

Each is a run of the command line itself, on `data=pair_cat` and the shipped model, in a folder that is gone
afterwards; passes are `unet_evaluations_by_stage` of its summary (solvers/stages.py), which do not depend on
the machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from geodesic_lightning.benchmark.markdown import markdown
from geodesic_lightning.errors import UserError

RUNS: dict[str, tuple[str, ...]] = {
    "default": (),
    "no films on the way": ("callbacks=video", "callbacks.page.compare=false"),
    "no callbacks": ("callbacks=none",),
    "re-timed twice": ("retime=perceptual", "retime.rounds=2"),
    "every tenth step whole": ("callbacks.decode.every_n_steps=10",),
    "the paper's, 30 iterations a level": (
        *(
            "experiment=paper",
            "optimizer.iterations=30",
            "condition.steps=5",
            "condition.cache=null",
        ),
    ),
}
SAMPLERS = ("heun", "multistep")
COMMON = ("solver=bvp", "data=pair_cat", "logger=none")


@dataclass(frozen=True)
class Row:
    """A run, its sampler, and its passes by stage."""

    run: str
    sampler: str
    passes: Mapping[str, int]


def study(
    runs: Mapping[str, Sequence[str]] = RUNS, samplers: Sequence[str] = SAMPLERS
) -> Iterator[Row]:
    """Rows as they are found."""
    for sampler in samplers:
        for name, words in runs.items():
            yield Row(name, sampler, spent((*COMMON, *words, f"scheduler={sampler}")))


def spent(words: Sequence[str]) -> dict[str, int]:
    """Passes by stage of one command line; UserError where it fails."""
    with tempfile.TemporaryDirectory(
        prefix="geodesic-passes-", ignore_cleanup_errors=True
    ) as place:
        command = [sys.executable, "-m", "geodesic_lightning", *words, f"hydra.run.dir={place}/run"]
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            env=os.environ | {"WANDB_MODE": "disabled"},
        )
        if done.returncode:
            raise UserError(f"{' '.join(words)} failed: {done.stderr.strip()}")
        summary = json.loads((Path(place) / "run" / "summary.json").read_text(encoding="utf-8"))
    return summary["unet_evaluations_by_stage"]


def table(rows: Iterable[Row]) -> str:
    """Rows in Markdown, a column a stage."""
    rows = list(rows)
    stages = list(dict.fromkeys(stage for row in rows for stage in row.passes))
    body = [
        [
            row.run,
            f"`{row.sampler}`",
            *(f"{row.passes.get(stage, 0):,}" for stage in stages),
            f"{sum(row.passes.values()):,}",
        ]
        for row in rows
    ]
    return markdown(("run", "scheduler", *stages, "all"), body)
