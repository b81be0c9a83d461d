"""The solved path at one glance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer

from geodesic_lightning.report.files import strip, write_image

from .final import Final
from .media import log_image

__all__ = ["Strip"]


class Strip(Final):
    """folder/strip.png, all frames in one row, and "image/strip" in W&B.

    Args:
        folder: the run's folder.
        gap: white px between frames.
    """

    shows = True

    def __init__(self, folder: str, gap: int = 2) -> None:
        self.folder = folder
        self.gap = gap

    def write(self, trainer: Trainer, solver: Any) -> None:
        """Lay the frames side by side."""
        path = Path(self.folder) / "strip.png"
        write_image(strip(solver.frames(), self.gap), path)
        log_image(trainer, "image/strip", path)
