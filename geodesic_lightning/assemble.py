"""From parts to a solver: frames → latents → path → problem → decoder → solver. No configuration, no I/O."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from geodesic_lightning.condition import Condition
from geodesic_lightning.decoder import Decoder
from geodesic_lightning.errors import UserError
from geodesic_lightning.frames import Frames
from geodesic_lightning.manifold import Euclidean, Sphere
from geodesic_lightning.path import Manifold, Path
from geodesic_lightning.problem import Problem
from geodesic_lightning.solvers.base import Solver

@dataclass
class Clock:
    """Seconds of each stage, by name; the first begins at `began`, a time.perf_counter()."""

    seconds: dict[str, float] = field(default_factory=dict)
    began: float = field(default_factory=time.perf_counter)

    def lap(self, stage: str) -> None:
        """Time since the last lap belongs to `stage`."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self.began
        self.began = now


def euclidean(model, ends: Tensor) -> Manifold:
    """Flat space."""
    return Euclidean()


def sphere(model, ends: Tensor, radius: float | None = None) -> Manifold:
    """A sphere about the origin; by default its radius is the mean norm of the ends (n, *shape)."""
    return Sphere(float(ends.flatten(1).norm(dim=-1).mean()) if radius is None else radius)


def automatic(model, ends: Tensor) -> Manifold:
    """The model's own manifold; a diffusion model names none, and its latents live near a sphere."""
    own = getattr(model, "manifold", None)
    return sphere(model, ends) if own is None else own


def assemble(
    model,
    frames: Frames,
    solver: Callable[..., Solver],
    score: Callable,
    condition: Callable[..., Condition],
    manifold: Callable[..., Manifold] = automatic,
    clock: Clock | None = None,
) -> Solver:
    """Encode the frames, invert them to the path's noise level, and hand path and score to the solver.

    Args:
        model: the frozen model, on its device.
        frames: two ends.
        solver: (path, score, decoder) → Solver.
        score: (model, condition) → Score.
        condition: (model, prompts, clean latents) → Condition.
        manifold: (model, noisy ends) → Manifold.
    """
    if len(frames) != 2:
        raise UserError(f"data: got {len(frames)} images, expected 2: a path joins two.")
    frames = frames.at(model.image_size) if frames.pictures else frames
    latents = model.encode(frames)
    embedded = condition(model, frames.prompts, latents)
    ends = model.invert(latents, embedded(torch.tensor([0.0, 1.0], device=latents.device)))
    # Inference tensors may not become parameters; a clone made here is an ordinary tensor.
    ends = ends.clone()
    path = Path(ends[0], ends[1], manifold(model, ends))
    decoder = Decoder(model, embedded, model.given(frames), ends.flatten(1).norm(dim=-1))
    built = solver(path, score(model, embedded), decoder)
    if clock:
        clock.lap("encode")
    return built
