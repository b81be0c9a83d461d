"""What a run takes besides the imports that it stands on.

Commands run one after the other, each in a process of its own, over several rounds: machines are now quick
and now slow, so that only times of one round are compared. The imports are those of a run on the shipped
model, by themselves.
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
from statistics import median

from geodesic_lightning.benchmark import timed_process
from geodesic_lightning.benchmark.markdown import markdown
from geodesic_lightning.errors import UserError

IMPORTS = (
    "import torch, lightning\n"
    "from diffusers import AutoencoderKL, UNet2DConditionModel\n"
    "from transformers import CLIPTextModel, CLIPTokenizer"
)
RUN = ("-m", "geodesic_lightning", "solver=bvp", "data=pair_cat")
COMMANDS: dict[str, tuple[str, ...]] = {
    "imports alone": ("-c", IMPORTS),
    "default": RUN,
    "`logger=csv`": (*RUN, "logger=csv"),
    "`callbacks=none logger=none`": (*RUN, "callbacks=none", "logger=none"),
    "`model=exact`": (*RUN, "model=exact"),
    "`--help`": ("-m", "geodesic_lightning", "--help"),
    "`--cfg job`": ("-m", "geodesic_lightning", "--cfg", "job"),
}
ROUNDS = 5


@dataclass(frozen=True)
class Row:
    """A command, the round it ran in, its seconds by the wall and of the processor, and its memory at most."""

    command: str
    round: int
    wall: float
    cpu: float
    peak_mb: float


def study(commands: Mapping[str, Sequence[str]] = COMMANDS, rounds: int = ROUNDS) -> Iterator[Row]:
    """Rows as they are found."""
    for index in range(rounds):
        for name, words in commands.items():
            yield Row(name, index, **timed(words))


def timed(words: Sequence[str]) -> dict[str, float]:
    """wall and cpu, seconds, and peak_mb of `python` with these words, run in an empty folder.

    Raises:
        UserError: it fails.
    """
    with tempfile.TemporaryDirectory(
        prefix="geodesic-seconds-", ignore_cleanup_errors=True
    ) as place:
        found = Path(place) / "found.json"
        (folder := Path(place) / "folder").mkdir()
        done = subprocess.run(
            [sys.executable, Path(timed_process.__file__), found, *words],
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            cwd=folder,
            env=os.environ | {"WANDB_MODE": "offline"},
        )
        if done.returncode:
            told = (done.stderr.strip() or "nothing was said").splitlines()[-1]
            raise UserError(f"python {' '.join(words)} failed: {told}")
        return json.loads(found.read_text(encoding="utf-8"))


def table(rows: Iterable[Row]) -> str:
    """Medians over the rounds, in Markdown; times the imports are those of the same round."""
    by_command: dict[str, list[Row]] = {}
    for row in rows:
        by_command.setdefault(row.command, []).append(row)
    first = {row.round: row.wall for row in next(iter(by_command.values()))}
    head = ("command", "rounds", "wall, s", "processor, s", "times the imports", "peak, MB")
    body = [
        [
            name,
            str(len(found)),
            f"{median(row.wall for row in found):.1f}",
            f"{median(row.cpu for row in found):.1f}",
            f"{median(row.wall / first[row.round] for row in found):.2f}",
            f"{max(row.peak_mb for row in found):,.0f}",
        ]
        for name, found in by_command.items()
    ]
    return markdown(head, body)
