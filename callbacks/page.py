"""The run on one page."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer

from geodesic_lightning.report import run_settings
from geodesic_lightning.report.files import check_fps, write_text, write_video
from geodesic_lightning.report.terminal import command

from .final import Final
from .video import Video

__all__ = ["Page"]


class Page(Final):
    """folder/report.html: films, frames, curves and summary in one file that needs no network.

    The path's film stands beside that of the path solving started from, a clip's beside the geodesic
    between its ends. The other film is rough and of few frames, unless there is a better one already:
    what is shown beside the outcome takes a sixteenth of the run's network passes at most.

    Args:
        folder: the run's folder.
        compare: show the other film.
        fps: frames a second.
    """

    shows = True

    def __init__(self, folder: str, compare: bool = True, fps: float = 12) -> None:
        check_fps(fps)
        self.folder, self.compare, self.fps = folder, compare, fps
        self.history: list[dict[str, float]] = []

    def on_train_batch_end(self, trainer: Trainer, solver: Any, *_: object) -> None:
        """Remember what the solver says of the step before: callbacks are called first."""
        self.history.append(dict(solver.report))

    def write(self, trainer: Trainer, solver: Any) -> None:
        """Gather, render, write."""
        from geodesic_lightning.report.run_page import Film, Run, first_curves, render

        folder, summary = Path(self.folder), solver.summary()
        whole = solver.frames()
        video = self._video(trainer)
        films = [Film(str(summary["solver"]), self._mp4(whole) if video is None else video)]
        if self.compare and (other := _other(solver)) is not None:
            name, frames = other
            films.append(Film(name, self._mp4(frames, len(frames) / len(whole))))
        page = Run(
            summary,
            _command(folder),
            films,
            _bytes(folder / "strip.png"),
            _bytes(folder / "picture.png"),
            first_curves(solver.start),
            solver.start_name,
            [*self.history, dict(solver.report)],
        )
        write_text(folder / "report.html", render(page))

    def _video(self, trainer: Trainer) -> bytes | None:
        """The film as Video has written it; None where it has not, or has another one."""
        for one in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(one, Video) and (one.fps, one.ping_pong) == (self.fps, False):
                return None if one.written is None else one.written.read_bytes()
        return None

    def _mp4(self, frames: torch.Tensor, pace: float = 1.0) -> bytes:
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".page-") as place:
            return write_video(frames, Path(place) / "film.mp4", self.fps * pace).read_bytes()


def _other(solver: Any) -> tuple[str, torch.Tensor] | None:
    """Name and frames of what the film is compared with, where showing it is not too dear."""
    rival = getattr(solver, "rivals", {}).get("geodesic")
    if rival is not None:
        frames = solver.sketch_of(rival.path)
        return None if frames is None else ("geodesic between its ends", frames)
    frames = solver.start_film() if solver.name == "bvp" else None
    return None if frames is None else (solver.start_name, frames)


def _command(folder: Path) -> str:
    """What was typed; "" for a run that was not started from the command line."""
    words = run_settings.overrides(folder)
    return "" if words is None else command(words)


def _bytes(file: Path) -> bytes | None:
    return file.read_bytes() if file.exists() else None
