"""A solved path as the Python interface gives it, and how it is come by."""

import time
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

import torch
from torch import Tensor

from geodesic_lightning.errors import UserError
from geodesic_lightning.report import files as artifacts
from geodesic_lightning.solvers.base import Solver
from geodesic_lightning.solvers.batches import Batches
from geodesic_lightning.trainer.quiet import quiet


@dataclass(frozen=True)
class Solution:
    """A solved path.

    Attributes:
        frames: (m, 3, H, W) images in [0, 1]; given ones stand as they are, both ends or the start.
        nodes: (N+1, *latent_shape) latents of the path, the ends included.
        u: (N+1,) places of the nodes in [0, 1].
        log_density: (N+1,) nats, relative to u = 0.
        length: in the metric p^(−α)|dx|, relative to the density at u = 0.
        evaluations: scores of single latents spent on solving.
        summary: everything that the command line's summary.json says.
    """

    frames: Tensor
    nodes: Tensor
    u: Tensor
    log_density: Tensor
    length: float
    evaluations: int
    summary: dict[str, Any]

    def save(self, folder: str | FilePath, fps: float = 12) -> FilePath:
        """Write video.mp4, strip.png, frames/, path.safetensors and summary.json; returns the folder.

        Raises:
            UserError: the folder already holds a run, or cannot be written.
        """
        folder = FilePath(folder)
        if (folder / "summary.json").exists():
            raise UserError(
                f"{folder} already holds a run, expected a new folder: nothing is overwritten."
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"{folder} cannot be made ({error.strerror}): give another folder."
            ) from error
        artifacts.write_video(self.frames, folder / "video.mp4", fps)
        artifacts.write_frames(self.frames, folder / "frames")
        artifacts.write_image(artifacts.strip(self.frames), folder / "strip.png")
        tensors = {"nodes": self.nodes[1:-1], "u": self.u, "ends": self.nodes[[0, -1]]}
        artifacts.write_path(
            folder / "path.safetensors", tensors, {"finished": True, "alpha": self.summary["alpha"]}
        )
        artifacts.write_json(folder / "summary.json", self.summary)
        return folder


def solved(solver: Solver, context: dict[str, Any], device: torch.device) -> Solution:
    """Run the solver's verbs under a quiet Trainer and gather what came of it."""
    import lightning

    began = time.perf_counter()
    solver.context = context
    with quiet():
        trainer = lightning.Trainer(
            accelerator="gpu" if device.type == "cuda" else device.type,
            devices=1,
            max_epochs=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        if "fit" in solver.verbs:
            trainer.fit(solver, train_dataloaders=Batches())
        trainer.validate(solver, dataloaders=[0], verbose=False)
    images, path = solver.frames(), solver.path
    summary = solver.summary()
    summary["seconds"]["total"] = sum(context["seconds"].values()) + time.perf_counter() - began
    return Solution(
        frames=images,
        nodes=path.chart(path.points()).cpu(),
        u=path.u.cpu(),
        log_density=solver.measurement.log_density,
        length=summary["length"],
        evaluations=summary["score_evaluations"],
        summary=summary,
    )
