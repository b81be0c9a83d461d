"""Pictures, films, charts and tables for the loggers that can show them: W&B, and TensorBoard for pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from PIL import Image
from torch import Tensor

__all__ = ["log_curves", "log_image", "log_table", "log_video"]


def log_video(trainer: Trainer, key: str, path: Path) -> None:
    """Show an mp4 or a gif under `key` at the present step."""
    for logger in _wandb(trainer):
        logger.log_video(key, [str(path)], step=trainer.global_step, format=[path.suffix[1:]])


def log_image(trainer: Trainer, key: str, path: Path) -> None:
    """Show a picture file under `key` at the present step."""
    for logger in _wandb(trainer):
        logger.log_image(key, [str(path)], step=trainer.global_step)
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            with Image.open(path) as image:
                pixels = np.asarray(image.convert("RGB"))
            logger.experiment.add_image(key, pixels, trainer.global_step, dataformats="HWC")


def log_curves(
    trainer: Trainer, key: str, curves: Mapping[str, tuple[Tensor, Tensor]], title: str, x: str
) -> None:
    """One chart of named curves, each (n,) over (n,), under `key` at the present step."""
    for logger in _wandb(trainer):
        from wandb import plot

        xs, ys = zip(*((u.tolist(), values.tolist()) for u, values in curves.values()))
        chart = plot.line_series(xs, ys, keys=list(curves), title=title, xname=x)
        logger.log_metrics({key: chart}, step=trainer.global_step)


def log_table(
    trainer: Trainer, key: str, columns: Sequence[str], rows: Callable[[], list[list[Any]]]
) -> None:
    """A table under `key`; pictures in it are arrays (H, W, 3) of bytes. Rows are made only if shown."""
    for logger in _wandb(trainer):
        import wandb

        data = [[wandb.Image(v) if isinstance(v, np.ndarray) else v for v in row] for row in rows()]
        logger.log_table(key, columns=list(columns), data=data, step=trainer.global_step)


def _wandb(trainer: Trainer) -> Iterator[WandbLogger]:
    return (logger for logger in trainer.loggers if isinstance(logger, WandbLogger))
