"""Every frame of the solved path as a picture of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer

from geodesic_lightning.report.files import write_frames

from .final import Final

__all__ = ["FrameImages"]


class FrameImages(Final):
    """folder/frames/00.png, 01.png, … at the model's size.

    Args:
        folder: the run's folder.
    """

    shows = True

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def write(self, trainer: Trainer, solver: Any) -> None:
        """One file a frame."""
        write_frames(solver.frames(), Path(self.folder) / "frames")
