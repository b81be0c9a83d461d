"""What a clip turned out to be, for reading."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer

from .final import Final

__all__ = ["ClipReport"]


class ClipReport(Final):
    """folder/report.md and its three plots, where the solver has a clip to report on.

    Args:
        folder: the run's folder.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def write(self, trainer: Trainer, solver: Any) -> None:
        """Nothing for a solver without a departure."""
        if getattr(solver, "departure", None) is not None:
            from geodesic_lightning.report.clip_report import write

            write(solver.summary(), Path(self.folder))
