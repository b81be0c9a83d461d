"""The mean of several images, as an image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer

from geodesic_lightning.report.files import write_image

from .final import Final
from .media import log_image

__all__ = ["MeanImage"]


class MeanImage(Final):
    """folder/mean.png, and "image/mean" in W&B, where the solver has a mean.

    Args:
        folder: the run's folder.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def write(self, trainer: Trainer, solver: Any) -> None:
        """Nothing for a solver without a mean."""
        if hasattr(solver, "mean_image"):
            path = Path(self.folder) / "mean.png"
            write_image(solver.mean_image(), path)
            log_image(trainer, "image/mean", path)
