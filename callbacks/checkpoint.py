"""What a killed run needs to go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Checkpoint as LightningCheckpoint

from geodesic_lightning.errors import UserError
from geodesic_lightning.trainer.checkpoint_io import LatestCheckpoint, replace

__all__ = ["Checkpoint"]


class Checkpoint(LightningCheckpoint):
    """folder/checkpoints/last.ckpt: the latest whole step, for `resume=folder`.

    Every step hands its checkpoint over; the file is written every so many seconds, at the end, and
    when the run is interrupted or fails, then with the last step that was whole.

    Args:
        folder: the run's folder.
        every_n_seconds: so much is lost at most when the process is killed.
    """

    def __init__(self, folder: str, every_n_seconds: float = 10.0) -> None:
        if not every_n_seconds >= 0:
            raise UserError(
                f"callbacks.checkpoint.every_n_seconds: got {every_n_seconds}, expected at least 0."
            )
        self.file = Path(folder) / "checkpoints" / "last.ckpt"
        self._writer = LatestCheckpoint(every_n_seconds)

    def setup(self, trainer: Trainer, solver: Any, stage: str) -> None:
        """Have this run's checkpoints written by us; one that is resumed can be so from the start."""
        trainer.strategy.checkpoint_io = self._writer
        if stage == "fit" and trainer.ckpt_path and trainer.is_global_zero:
            replace(self.file, Path(trainer.ckpt_path).read_bytes())

    def on_train_batch_end(self, trainer: Trainer, solver: Any, *_: object) -> None:
        """A step is whole."""
        with solver.stages.at("write"):
            trainer.save_checkpoint(self.file)

    def on_train_end(self, trainer: Trainer, solver: Any) -> None:
        """The last one."""
        self._writer.flush()

    def on_exception(self, trainer: Trainer, solver: Any, exception: BaseException) -> None:
        """Whatever stopped the run, it may go on from its last whole step."""
        self._writer.flush()
