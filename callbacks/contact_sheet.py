"""A fan of geodesics at one glance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer

from geodesic_lightning.errors import UserError
from geodesic_lightning.report.files import strip, write_image

from .final import Final
from .media import log_image

__all__ = ["ContactSheet"]


class ContactSheet(Final):
    """folder/fan.png, a row of frames for each path of a fan, and "image/fan" in W&B.

    Nothing where the solver has one path only.

    Args:
        folder: the run's folder.
        count: frames of a row.
        gap: white px between frames and rows.
    """

    def __init__(self, folder: str, count: int = 9, gap: int = 2) -> None:
        if count < 2:
            raise UserError(f"callbacks.fan.count: got {count}, expected at least 2.")
        self.folder = folder
        self.count = count
        self.gap = gap

    def write(self, trainer: Trainer, solver: Any) -> None:
        """Lay the fan's rows one below the other."""
        if not len(getattr(solver, "others", ())):
            return
        rows = [strip(frames, self.gap) for frames in solver.fan_frames(self.count)]
        white = torch.ones(3, self.gap, rows[0].shape[-1])
        sheet = torch.cat([part for row in rows for part in (row, white)][:-1], dim=-2)
        path = Path(self.folder) / "fan.png"
        write_image(sheet, path)
        log_image(trainer, "image/fan", path)
