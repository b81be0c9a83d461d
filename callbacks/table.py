"""The run's outcome on the screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from rich.console import Console
from rich.table import Table as RichTable

from geodesic_lightning.report.summary_rows import rows
from geodesic_lightning.report.terminal import short

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
            console.print(short(video), soft_wrap=True, markup=False)
