"""Films of the path while it is being solved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.utilities.seed import isolate_rng

from geodesic_lightning.errors import UserError
from geodesic_lightning.report.files import check_fps, write_video

from .media import log_video

__all__ = ["DecodeEvery"]


class DecodeEvery(Callback):
    """folder/videos/step_0000.mp4 before the first step, then one every k optimizer steps.

    Each is shown in W&B too, under "video/path", where there is a W&B logger.

    Args:
        every_n_steps: k >= 1.
        folder: the run's folder.
        fps: frames a second.
        count: frames a film, None for the solver's own number; fewer cost less.
    """

    def __init__(
        self, folder: str, every_n_steps: int = 10, fps: float = 12, count: int | None = 9
    ) -> None:
        if every_n_steps < 1:
            raise UserError(
                f"Got every_n_steps = {every_n_steps}, expected at least 1: use callbacks without "
                "decode for no intermediate videos."
            )
        check_fps(fps)
        self.every_n_steps = every_n_steps
        self.folder = folder
        self.fps = fps
        self.count = count
        self._written: int | None = None

    def on_train_start(self, trainer: Trainer, solver: Any) -> None:
        """The path before the first step; a resumed run has that film already."""
        self._written = None
        if trainer.global_step == 0:
            self._write(trainer, solver)
        else:
            self._written = trainer.global_step

    def on_train_batch_end(self, trainer: Trainer, solver: Any, *_: object) -> None:
        """The path after each k-th optimizer step."""
        step = trainer.global_step
        if step % self.every_n_steps == 0 and step != self._written:
            self._write(trainer, solver)

    def _write(self, trainer: Trainer, solver: Any) -> None:
        step = self._written = trainer.global_step
        path = Path(self.folder) / "videos" / f"step_{step:04d}.mp4"
        with isolate_rng():
            frames = solver.frames(self.count)  # by all processes together, if there are several
            if trainer.is_global_zero:
                path = write_video(frames, path, self.fps)
                log_video(trainer, "video/path", path)
