"""The film of the solved path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer

from geodesic_lightning.report.files import check_fps, write_video

from .final import Final
from .media import log_video

__all__ = ["Video"]


class Video(Final):
    """folder/video.mp4, and "video/final" in W&B.

    Args:
        folder: the run's folder.
        fps: frames a second.
        ping_pong: whether the film comes back to its start.

    Attributes:
        written: the file, once there is one.
    """

    shows = True

    def __init__(self, folder: str, fps: float = 12, ping_pong: bool = False) -> None:
        check_fps(fps)
        self.folder = folder
        self.fps = fps
        self.ping_pong = ping_pong
        self.written: Path | None = None

    def write(self, trainer: Trainer, solver: Any) -> None:
        """Encode the frames."""
        path = Path(self.folder) / "video.mp4"
        self.written = write_video(solver.frames(), path, self.fps, self.ping_pong)
        log_video(trainer, "video/final", self.written)
