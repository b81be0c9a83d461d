"""The run's outcome on the screen."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from lightning.pytorch import Trainer
from rich.console import Console
from rich.table import Table as RichTable

from .final import Final

__all__ = ["Table"]


class Table(Final):
    """A short table of `solver.summary()` and the path of the video, on standard output.

    A row whose figure the solver does not give is left out.

    Args:
        folder: the run's folder, where the video is.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def write(self, trainer: Trainer, solver: Any) -> None:
        """Print the table and the path."""
        console = Console(highlight=False)
        table = RichTable(show_header=False, box=None, padding=(0, 2, 0, 0))
        table.add_column(style="bold")
        table.add_column()
        for row in rows(solver.summary()):
            table.add_row(*row)
        console.print(table)
        video = Path(self.folder) / "video.mp4"
        if video.exists():
            console.print(_short(video), soft_wrap=True, markup=False)


def rows(summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and figure of each row; lengths and densities in nats."""
    for key in ("solver", "model"):
        if key in summary:
            yield key, str(summary[key])
    if summary.get("weights") not in (None, "shipped"):
        yield "weights", str(summary["weights"])
    if "strength" in summary:
        yield "strength", f"{summary['strength']:.3g} rad (alpha {summary['alpha']:.3g})"
    if "segments" in summary:
        yield "segments", f"{summary['segments']}"
    if "length" in summary:
        start = f"{summary['length_start']:.4g} → " if "length_start" in summary else ""
        yield "length", f"{start}{summary['length']:.4g}"
    if density := summary.get("log_density"):
        mean = fmean(density)
        gain = mean - fmean(summary.get("log_density_start") or [0.0])
        start = "the first path" if summary.get("log_density_start") else "the start"
        yield "log density", f"mean {mean:+.4g} nats, {gain:+.4g} against {start}"
    if "score_evaluations" in summary:
        yield "evaluations", f"{summary['score_evaluations']:,}"
    if passes := summary.get("unet_evaluations_by_stage"):
        yield "network passes", by_stage(passes)
    if seconds := summary.get("seconds"):
        yield "seconds", ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())


def by_stage(passes: Mapping[str, int]) -> str:
    """All of them, then those of each stage."""
    each = ", ".join(f"{stage} {count:,}" for stage, count in passes.items())
    return f"{sum(passes.values()):,}: {each}"


def _short(path: Path) -> str:
    """The path as one would type it here: relative where that is shorter."""
    relative = os.path.relpath(path)
    return min(relative, str(path.absolute()), key=len)
