"""Films of the path while it is being solved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor

from geodesic_lightning.errors import UserError
from geodesic_lightning.report.files import check_fps, write_video

from .media import log_video

__all__ = ["DecodeEvery"]

EVERY = 10  # steps between films that cost next to nothing


class DecodeEvery(Callback):
    """folder/videos/step_0000.mp4 before the first step, then one every k optimizer steps.

    Each is shown in W&B too, under "video/path", where there is a W&B logger. By default they cost
    next to nothing: every EVERY steps there is a rough film, of as many frames as keep all that is
    shown within a sixteenth of the run's network passes, and none where that is none. A number of
    steps that is asked for has its films whole, whatever they cost.

    Args:
        every_n_steps: k >= 1; None for what costs next to nothing.
        folder: the run's folder.
        fps: frames a second.
        count: frames a film, at most if they are to cost next to nothing; None for the solver's own number.
    """

    def __init__(
        self,
        folder: str,
        every_n_steps: int | None = None,
        fps: float = 12,
        count: int | None = 9,
    ) -> None:
        if every_n_steps is not None and every_n_steps < 1:
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
        if step % (self.every_n_steps or EVERY) == 0 and step != self._written:
            self._write(trainer, solver)

    def _write(self, trainer: Trainer, solver: Any) -> None:
        step = self._written = trainer.global_step
        path = Path(self.folder) / "videos" / f"step_{step:04d}.mp4"
        with isolate_rng(), solver.stages.at("show"):
            frames = self._film(solver, step)  # by all processes together, if there are several
            if frames is not None and trainer.is_global_zero:
                path = write_video(frames, path, self.fps)
                log_video(trainer, "video/path", path)

    def _film(self, solver: Any, step: int) -> Tensor | None:
        count = self.count or solver.frame_count
        if self.every_n_steps is None:
            return solver.sketch(count) if step else solver.start_film(None, count)
        return solver.frames(count) if step else solver.start_film(count)
