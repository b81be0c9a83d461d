"""The path over the density it runs through, where that density is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer

from geodesic_lightning.report.files import write_image

from .final import Final
from .media import log_image

__all__ = ["Picture"]


class Picture(Final):
    """folder/picture.png, and "image/picture" in W&B: an exact density, the path, the known geodesic.

    A network's density cannot be drawn; nothing is written for it.

    Args:
        folder: the run's folder.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def write(self, trainer: Trainer, solver: Any) -> None:
        """Draw the path, and the reference where there is one of these ends at this alpha."""
        path, problem = solver.path, solver.problem
        picture = problem.score.model.picture(path.points().cpu(), problem.alpha, path.manifold)
        if picture is None:
            return
        file = Path(self.folder) / "picture.png"
        write_image(picture, file)
        log_image(trainer, "image/picture", file)
