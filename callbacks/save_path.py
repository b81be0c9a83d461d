"""The path itself, as numbers."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from geodesic_lightning.report.files import path_tensors, write_path

from .final import Final

__all__ = ["SavePath"]


class SavePath(Final):
    """folder/path.safetensors: nodes (N - 1, *latent), u (N + 1,) and ends (2, *latent).

    The metadata says α, after how many steps, and whether the run came to its end: a run that fails
    or is interrupted leaves the nodes of its last whole step that were finite, if there was one.

    Args:
        folder: the run's folder.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._good: dict[str, Tensor] | None = None
        self._step = 0
        self._alpha = 0.0

    def write(self, trainer: Trainer, solver: Any) -> None:
        """The solved path."""
        self._alpha = solver.problem.alpha
        self._save(path_tensors(solver.path), trainer.global_step, finished=True)

    def on_train_batch_end(self, trainer: Trainer, solver: Any, *_: object) -> None:
        """Remember the nodes if they are finite."""
        tensors = path_tensors(solver.path)
        if torch.isfinite(tensors["nodes"]).all():
            self._good, self._step = tensors, trainer.global_step
            self._alpha = solver.problem.alpha

    def on_exception(self, trainer: Trainer, solver: Any, exception: BaseException) -> None:
        """Keep the remembered nodes; should that fail as well, the first error is the one told."""
        if self._good is not None and trainer.is_global_zero:
            with contextlib.suppress(Exception):
                self._save(self._good, self._step, finished=False)

    def _save(self, tensors: dict[str, Tensor], step: int, finished: bool) -> None:
        metadata = {"step": step, "finished": finished, "alpha": self._alpha}
        write_path(Path(self.folder) / "path.safetensors", tensors, metadata)
