"""The Python interface: what the command line does, in four lines.

    from geodesic_lightning import interpolate
    solution = interpolate("a.png", "b.png", "a red cat", "a blue cat")
    print(solution.length, solution.evaluations)
    solution.save("morph")

`extrapolate` shoots from one image instead, towards another, past a solved path, or anywhere.
`analyse` asks of a clip whether it is a geodesic.
"""

import logging
import time
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path as FilePath
from typing import Any

import torch
from torch import Tensor

from geodesic_lightning import artifacts, assemble
from geodesic_lightning.clip import Clip, clip
from geodesic_lightning.condition import prompts
from geodesic_lightning.errors import UserError
from geodesic_lightning.frames import Frames, image, pair
from geodesic_lightning.launch import Random, Toward, Velocity
from geodesic_lightning.optimizers.integrator import Integrator
from geodesic_lightning.optimizers.semi_implicit import SemiImplicit
from geodesic_lightning.path import Path
from geodesic_lightning.scheduler import Scheduler
from geodesic_lightning.score import Contrast, NoiseFree, NoisePrediction, Score, ScoreDistillation
from geodesic_lightning.solvers.base import Solver
from geodesic_lightning.solvers.bvp import BoundaryValueSolver
from geodesic_lightning.solvers.clip import ClipSolver
from geodesic_lightning.solvers.ivp import InitialValueSolver

__all__ = ["Frames", "Path", "Solution", "analyse", "extrapolate", "interpolate"]

FIELDS = {field.name: field for field in (NoisePrediction, Contrast, ScoreDistillation, NoiseFree)}


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
        artifacts.write_path(folder / "path.safetensors", tensors, {"finished": True})
        artifacts.write_json(folder / "summary.json", self.summary)
        return folder


def interpolate(
    start: Any,
    end: Any,
    prompt_start: str = "",
    prompt_end: str = "",
    *,
    model: Any = "embedded",
    score: str | Callable[..., Score] = "noise_prediction",
    alpha: float | None = None,
    segments: int = 16,
    frames: int = 17,
    tolerance: float = 1e-4,
    noise_level: float = 0.6,
    optimizer: Callable | None = None,
    condition: Callable = prompts,
    manifold: Callable = assemble.automatic,
    device: str | torch.device | None = None,
    seed: int = 0,
) -> Solution:
    """The geodesic between two images, by default through the shipped model of drawn cats.

    Args:
        start, end: image files or PIL images.
        prompt_start, prompt_end: what they show.
        model: "embedded", a diffusers folder or hub id, or a model object with the same verbs.
        score: noise_prediction, contrast, sds or nfsd; or a maker (model, condition) → Score.
        alpha: density exponent ≥ 0; None takes the model's for this score.
        segments, frames: pieces of the path, images of the film.
        tolerance: predicted relative excess of length at which solving stops.
        noise_level: of the path, in (0, 1].
        optimizer: maker (parameters, problem=, segments=) → Optimizer, in place of SemiImplicit.
        condition, manifold: makers as for `assemble.assemble`.
        device: where to compute; None is a GPU if there is one.
        seed: of whatever is random.

    Raises:
        UserError: one sentence on what is wrong with the input.
    """
    given = pair(start, end, prompt_start, prompt_end)
    optimizer = optimizer or partial(SemiImplicit, tolerance=tolerance)
    solver = partial(
        BoundaryValueSolver, optimizer=optimizer, alpha=alpha, segments=segments, frames=frames
    )
    return _solved(
        given, solver, model, score, condition, manifold, noise_level, device, seed, velocity=None
    )


def extrapolate(
    start: Any,
    toward: Any = None,
    prompt: str = "",
    prompt_toward: str = "",
    *,
    velocity: Velocity | None = None,
    length: float = 1.0,
    gauge: str = "euclidean",
    optimizer: Callable | None = None,
    model: Any = "embedded",
    score: str | Callable[..., Score] = "noise_prediction",
    alpha: float | None = None,
    segments: int = 16,
    frames: int = 17,
    noise_level: float = 0.6,
    condition: Callable = prompts,
    manifold: Callable = assemble.automatic,
    device: str | torch.device | None = None,
    seed: int = 0,
) -> Solution:
    """The geodesic from an image along a velocity; only the first frame is a given image.

    Args:
        start: image file or PIL image; toward: a second one, or None for a random direction.
        prompt, prompt_toward: what they show.
        velocity: in place of that direction, one of launch.py: Onward("outputs/cat"), say, which
            goes on past `toward`.
        length: how far, in the velocity's unit: with `toward` the distance of the two images.
        gauge: euclidean, or metric: then length is in the metric.
        optimizer: maker of the integrator, in place of Integrator (RK4): Sweeps, say.
        model, score, alpha, segments, frames, noise_level, condition, manifold, device, seed: as
            for `interpolate`.

    Raises:
        UserError: one sentence on what is wrong with the input.
    """
    alone = toward is None
    given = image(start, prompt) if alone else pair(start, toward, prompt, prompt_toward)
    velocity = velocity or (Random(seed=seed) if alone else Toward())
    solver = partial(
        InitialValueSolver,
        optimizer=optimizer or Integrator,
        alpha=alpha,
        length=length,
        segments=segments,
        frames=frames,
        gauge=gauge,
    )
    return _solved(
        given, solver, model, score, condition, manifold, noise_level, device, seed, velocity
    )


def analyse(
    film: str | FilePath,
    prompt: str = "",
    *,
    stride: int = 1,
    range: tuple[int, int] | None = None,
    resize: str = "crop",
    model: Any = "embedded",
    score: str | Callable[..., Score] = "noise_prediction",
    alpha: float | None = None,
    segments: int = 16,
    frames: int = 17,
    noise_level: float = 0.6,
    optimizer: Callable | None = None,
    condition: Callable = prompts,
    manifold: Callable = assemble.automatic,
    device: str | torch.device | None = None,
    seed: int = 0,
) -> Solution:
    """Is a clip a geodesic? `summary["clip"]` says what report.md would; see docs/clips.md.

    Args:
        film: an mp4, gif or webp, or a folder of pictures; prompt: what all frames show.
        stride, range, resize: every stride-th frame of [first, last + 1); crop or stretch.
        segments: of the geodesic between the clip's ends; optimizer: of it.
        model, score, alpha, frames, noise_level, condition, manifold, device, seed: as for
            `interpolate`.

    Raises:
        UserError: one sentence on what is wrong with the input.
    """
    given = clip(film, prompt, stride, range, resize)
    solver = partial(
        ClipSolver,
        optimizer=optimizer or SemiImplicit,
        alpha=alpha,
        segments=segments,
        frames=frames,
    )
    return _solved(
        given, solver, model, score, condition, manifold, noise_level, device, seed, velocity=None
    )


def _solved(
    given: Frames | Clip,
    solver: Callable[..., Solver],
    model: Any,
    score: str | Callable[..., Score],
    condition: Callable,
    manifold: Callable,
    noise_level: float,
    device: str | torch.device | None,
    seed: int,
    velocity: Velocity | None,
) -> Solution:
    """Load the model if it is a name, put the parts together, and run."""
    import lightning as L

    if isinstance(score, str):
        if score not in FIELDS:
            raise UserError(f"score: got {score!r}, expected one of {', '.join(FIELDS)}.")
        score = partial(Score, field=FIELDS[score](), seed=seed)
    if isinstance(model, str):
        from geodesic_lightning.diffusion import DiffusionModel, embedded

        make = embedded if model == "embedded" else partial(DiffusionModel, model, name=model)
        model = make(scheduler=Scheduler(noise_level=noise_level))
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    clock = assemble.Clock()
    built = assemble.assemble(
        model.to(device),
        given,
        solver,
        score,
        condition,
        manifold=manifold,
        clock=clock,
        velocity=velocity,
    )
    context = {"model": model.name, "seed": seed, "seconds": clock.seconds}
    return solution(built, L, context, device)


def solution(solver: Solver, lightning, context: dict[str, Any], device: torch.device) -> Solution:
    """Run the solver's verbs under a quiet Trainer and gather what came of it."""
    from geodesic_lightning.batches import Batches

    began = time.perf_counter()
    solver.context = context
    with _quiet():
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


@contextmanager
def _quiet():
    """Without what Lightning says of things that are as they should be here; the caller's settings come back."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\).*")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels):
                logger.setLevel(level)
