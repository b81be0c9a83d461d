"""Pictures and films for the loggers that can show them: W&B, online or offline."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import WandbLogger

__all__ = ["log_image", "log_video"]


def log_video(trainer: Trainer, key: str, path: Path) -> None:
    """Show an mp4 under `key` at the present step in every W&B logger of the trainer."""
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.log_video(key, [str(path)], step=trainer.global_step, format=["mp4"])


def log_image(trainer: Trainer, key: str, path: Path) -> None:
    """Show a picture file under `key` at the present step in every W&B logger of the trainer."""
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.log_image(key, [str(path)], step=trainer.global_step)
