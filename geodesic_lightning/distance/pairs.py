"""A geodesic between every two of several points, all solved in one batch.

Images that are the same at the model's size are one point: 0 from each other, and as far as it from others.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import cast

import torch
from torch import Tensor, nn

from geodesic_lightning.data.frames import Frames
from geodesic_lightning.distance.normalization import Distances, distances
from geodesic_lightning.errors import UserError
from geodesic_lightning.functional.quadrature import Measurement
from geodesic_lightning.geometry.path import Path
from geodesic_lightning.optimizers.solve import solve
from geodesic_lightning.problems.boundary_value import Problem
from geodesic_lightning.protocols import MakeManifold, MakeOptimizer, MakeScore, Manifold, Model
from geodesic_lightning.score.condition import Condition
from geodesic_lightning.solvers.base import exponent


class Pairs(nn.Module):
    """Paths between every two of n points; its parameters are the paths' nodes.

    Args:
        points: (n, *shape), n ≥ 2.
        manifold: of all paths.
    """

    def __init__(self, points: Tensor, manifold: Manifold) -> None:
        super().__init__()
        self.manifold, self.shape = manifold, points.shape[1:]
        self.numbers = list(combinations(range(len(points)), 2))
        self.legs = cast(
            "Sequence[Path]",
            nn.ModuleList(Path(points[i], points[j], manifold) for i, j in self.numbers),
        )

    def chart(self, flat: Tensor) -> Tensor:
        """Flat points (m, d) in the latent's own shape (m, *shape)."""
        return flat.reshape(-1, *self.shape)

    @property
    def u(self) -> Tensor:
        """Places of all nodes, path after path."""
        return torch.cat([leg.u for leg in self.legs])

    def points(self) -> Tensor:
        """All points of all paths, flat and detached."""
        return torch.cat([leg.points() for leg in self.legs])

    def round(self) -> None:
        """Nothing: the paths are strangers to each other."""


@dataclass(frozen=True, eq=False)
class Found:
    """What joining all pairs found.

    Attributes:
        distances: the matrix and its normalization.
        first: of every image, the number of the first one that is the same.
        numbers: the pairs (i, j), i < j, of different images, each by its first.
        measured: each pair's path, measured.
        converged: whether each was solved.
        alpha: α. strength: κ, the mean over pairs; NaN where it is asked of no pair.
        evaluations: scores of single latents.
    """

    distances: Distances
    first: list[int]
    numbers: list[tuple[int, int]]
    measured: list[Measurement]
    converged: list[bool]
    alpha: float
    strength: float
    evaluations: int


def between(
    model: Model,
    frames: Frames,
    score: MakeScore,
    manifold: MakeManifold,
    optimizer: MakeOptimizer,
    alpha: float | None = None,
    segments: int = 16,
    strength: float | None = None,
) -> Found:
    """Distances of all frames under one density: no prompt, the same everywhere.

    Args:
        model: the frozen model, on its device.
        frames: n ≥ 2 images or points.
        score: (model, condition) → Score.
        manifold: (model, noisy latents) → Manifold.
        optimizer: makes a boundary value optimizer from (path, segments=).
        alpha, strength: as for BoundaryValueSolver; one α for all pairs.
        segments: of each path.
    """
    if len(frames) < 2:
        raise UserError(f"distance: got {len(frames)} image, expected at least 2.")
    model.prepare(frames)
    first = frames.firsts(model.image_size)
    different = sorted(set(first))
    if len(different) == 1:
        zeros = torch.zeros(len(frames), len(frames), dtype=torch.float64)
        same = distances(zeros, zeros, 0.0)
        return Found(same, first, [], [], [], math.nan if alpha is None else alpha, math.nan, 0)
    kept = frames.part(different)
    kept = kept.at(model.image_size) if kept.pictures else kept
    blank = model.embed([""])[0]
    condition = Condition(blank, blank)
    clean = model.encode(kept)
    if len(clean) != len(kept):
        raise UserError(
            f"distance: model={model.name} has {len(clean)} points of its own for {len(kept)} "
            "images: give two images, or another model."
        )
    latents = model.invert(clean, condition(torch.zeros(len(clean)).to(blank))).clone()
    pairs = Pairs(latents, manifold(model, latents))
    estimate = score(model, condition)
    problem = Problem(pairs, estimate, exponent(estimate, alpha, strength))
    made = solve(problem, optimizer, segments)
    measured = problem.measure_legs()
    lengths = torch.zeros(2, len(latents), len(latents), dtype=torch.float64)
    for (i, j), found in zip(pairs.numbers, measured):
        lengths[0, i, j] = found.length
        lengths[1, i, j] = found.log_density[-1]
    between_them = distances(lengths[0], lengths[1], problem.alpha)
    return Found(
        between_them.repeated([different.index(one) for one in first]),
        first,
        [(different[i], different[j]) for i, j in pairs.numbers],
        measured,
        [part.converged for part in made.parts],
        problem.alpha,
        problem.strength,
        problem.evaluations,
    )
