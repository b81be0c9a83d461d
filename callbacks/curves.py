"""What was measured along the solved path, drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer

from geodesic_lightning.report.files import write_image

from .final import Final
from .media import log_image

__all__ = ["Curves"]


class Curves(Final):
    """folder/curves.png, and "image/curves" in W&B: log density, metric speed, residual over u.

    The path that solving started from is dotted.

    Args:
        folder: the run's folder.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def write(self, trainer: Trainer, solver: Any) -> None:
        """Draw the solver's measurements, if it has any."""
        if getattr(solver, "measurement", None) is None:
            return
        from geodesic_lightning.report.curves import draw

        path = Path(self.folder) / "curves.png"
        write_image(draw(solver.measurement, solver.start, solver.name), path)
        log_image(trainer, "image/curves", path)
