"""What a call of the Python interface returns: a solved path that shows itself and writes itself down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from torch import Tensor

from geodesic_lightning.data.paths import expanded
from geodesic_lightning.errors import UserError, advice
from geodesic_lightning.functional.quadrature import Measurement
from geodesic_lightning.report import files, notebook
from geodesic_lightning.report.curves import draw
from geodesic_lightning.report.run_page import Film, Run, first_curves, render

__all__ = ["Solution"]

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".pdf")


@dataclass(frozen=True, repr=False)
class Solution:
    """A solved path. A notebook shows its film and curves.

    Attributes:
        frames: (m, 3, H, W) images in [0, 1]; given ones stand as they are, both ends or the start.
        nodes: (N+1, *latent_shape) latents of the path, the ends included.
        u: (N+1,) places of the nodes in [0, 1].
        log_density: (N+1,) nats, relative to u = 0.
        length: in the metric p^(−α)|dx|, relative to the density at u = 0.
        evaluations: scores of single latents spent on solving.
        summary: everything that the command line's summary.json says.
        tensors: what path.safetensors holds.
        measured, first: the path as it was measured, and as it was before solving.
        history: figures of every step of solving by name, as in metrics.csv.
    """

    frames: Tensor
    nodes: Tensor
    u: Tensor
    log_density: Tensor
    length: float
    evaluations: int
    summary: dict[str, Any]
    tensors: dict[str, Tensor]
    measured: Measurement | None = None
    first: Measurement | None = None
    history: Sequence[dict[str, float]] = ()

    @property
    def length_error(self) -> float:
        """How far `length` may be from the geodesic's (functional/quadrature.py); NaN where it is not known."""
        error = self.summary.get("length_error")
        return float("nan") if error is None else float(error)

    @property
    def converged(self) -> bool:
        """Solved to its tolerance; otherwise summary["not_converged"] has why, and what to change."""
        return bool(self.summary["converged"])

    def __repr__(self) -> str:
        count, _, height, width = self.frames.shape
        short = "" if self.converged else ", not converged"
        return (
            f"Solution({count} frames of {width}×{height} px, length {self.length:.4g}, "
            f"{self.evaluations} evaluations{short})"
        )

    def _repr_html_(self) -> str:
        curves = None if self.measured is None else self._curves(self.measured)
        return notebook.shown(self.frames, curves, repr(self))

    def video(self, path: str | FilePath = "video.mp4", fps: float = 12) -> FilePath:
        """Write the film, an .mp4, .webp or .gif; returns the file, a .gif where no .mp4 can be written.

        Raises:
            UserError: there is such a file already, it cannot be written, or its name ends otherwise.
        """
        file, fps = _new(path), files.check_fps(fps)
        if file.suffix.lower() == ".mp4":
            return files.write_video(self.frames, file, fps)
        if file.suffix.lower() not in (".webp", ".gif"):
            raise UserError(f"{file}: expected a name in .mp4, .webp or .gif: change the name.")
        files.write_animation(self.frames, file, fps, ping_pong=False)
        return file

    def curves(self, path: str | FilePath = "curves.png") -> FilePath:
        """Draw log density, metric speed and residual over u into a picture; returns the file.

        Raises:
            UserError: there is such a file already, it cannot be written, its name ends otherwise than a
                picture's, or nothing was measured.
        """
        file = _new(path)
        if file.suffix.lower() not in PICTURES:
            raise UserError(f"{file}: expected a name in .png, .jpg or .webp: change the name.")
        if self.measured is None:
            raise UserError("curves: this solution was not measured, expected one that was solved.")
        files.write_image(self._curves(self.measured), file)
        return file

    def report(self, path: str | FilePath = "report.html", fps: float = 12) -> FilePath:
        """Write the page that a run leaves: film, frames, curves and summary in one file; returns it.

        Raises:
            UserError: there is such a file already, it cannot be written, or its name ends otherwise.
        """
        file, fps = _new(path), files.check_fps(fps)
        if file.suffix.lower() not in (".html", ".htm"):
            raise UserError(f"{file}: expected a name in .html: change the name.")
        page = Run(
            self.summary,
            films=[Film(str(self.summary.get("solver", "path")), notebook.mp4(self.frames, fps))],
            strip=notebook.png(files.strip(self.frames)),
            first=first_curves(self.first),
            history=self.history,
        )
        files.write_text(file, render(page))
        return file

    def _curves(self, measured: Measurement) -> Tensor:
        return draw(measured, self.first, str(self.summary.get("solver", "path")))

    def save(self, folder: str | FilePath, fps: float = 12) -> FilePath:
        """Write path.safetensors, summary.json, video.mp4, strip.png and frames/; returns the folder.

        Raises:
            UserError: the folder already holds a run, or cannot be written.
        """
        folder, fps = expanded(folder), files.check_fps(fps)
        if (folder / "summary.json").exists():
            raise UserError(
                f"{folder} already holds a run, expected a new folder: nothing is overwritten."
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"{folder} cannot be made ({error.strerror}): {advice(error, 'give another folder')}."
            ) from error
        metadata = {
            "step": self.summary.get("steps", 0),
            "finished": True,
            "alpha": self.summary["alpha"],
        }
        files.write_path(folder / "path.safetensors", self.tensors, metadata)
        files.write_json(folder / "summary.json", self.summary)
        files.write_video(self.frames, folder / "video.mp4", fps)
        files.write_frames(self.frames, folder / "frames")
        files.write_image(files.strip(self.frames), folder / "strip.png")
        return folder


def _new(path: str | FilePath) -> FilePath:
    file = expanded(path)
    if file.exists():
        raise UserError(f"{file} is there already, expected a new file: nothing is overwritten.")
    return file
