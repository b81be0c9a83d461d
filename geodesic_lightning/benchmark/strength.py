"""How far does one strength bend? Pairs, noise levels, fields, manifolds; and dimensions.

A bend is the largest distance of the geodesic's nodes from the manifold's own geodesic between the
same ends, as a part of that geodesic's length. Clouds are noised surfaces of 512 points (as the
standard problem sphere_cloud), in 16 to 16,384 dimensions, whose scores are exact. The contrast is
against no prompt.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from statistics import fmean, pstdev

import torch
from torch import Tensor

from geodesic_lightning.benchmark import kept, roundtrip
from geodesic_lightning.benchmark.markdown import markdown
from geodesic_lightning.data.frames import shipped_pair
from geodesic_lightning.functional.strength import Strength
from geodesic_lightning.geometry import choose_manifold
from geodesic_lightning.geometry.manifold import Manifold
from geodesic_lightning.geometry.path import Path
from geodesic_lightning.models.diffusion.model import DiffusionModel
from geodesic_lightning.models.exact import ExactModel
from geodesic_lightning.models.exact.problems import cloud
from geodesic_lightning.models.scheduler import Scheduler
from geodesic_lightning.optimizers.semi_implicit import SemiImplicit
from geodesic_lightning.optimizers.solve import solve
from geodesic_lightning.problems.boundary_value import Problem
from geodesic_lightning.protocols import Score as AnyScore
from geodesic_lightning.score.condition import prompts
from geodesic_lightning.score.estimator import Score
from geodesic_lightning.score.fields import Contrast, NoisePrediction

PAIRS, LEVELS = kept.HELD_OUT, roundtrip.LEVELS
STRENGTHS = (1.0, 1.5, 2.0)
FIELDS = {field.name: field for field in (NoisePrediction, Contrast)}
MANIFOLDS = ("sphere", "means_and_norm", "euclidean")
DIMENSIONS = (16, 64, 256, 1024, 4096, 16384)
CLOUDS = 4


@dataclass(frozen=True)
class Row:
    """One geodesic: where, its α and strength, the relative bend, lengths' ratio, evaluations."""

    where: str
    what: str
    pair: str
    strength: float
    alpha: float
    bend: float
    ratio: float
    evaluations: int
    converged: bool

    @property
    def key(self) -> tuple[str, str, str, float]:
        """What no two rows share."""
        return self.where, self.what, self.pair, self.strength


def read(file: FilePath) -> list[Row]:
    """The rows that a former run has left in its file."""
    return kept.rows(file, Row)


def run(
    model: DiffusionModel,
    pairs: Sequence[str] = PAIRS,
    levels: Iterable[float] = LEVELS,
    known: Collection[tuple[str, str, str, float]] = (),
) -> Iterator[Row]:
    """Rows as they are found, but for those that are known."""
    for flat in (True, False):
        for dimension in DIMENSIONS:
            where = f"cloud, {'flat' if flat else 'sphere'}"
            for seed in range(CLOUDS):
                keys = [(where, str(dimension), str(seed), one) for one in STRENGTHS]
                if set(keys) <= set(known):
                    continue
                density = cloud(dimension, seed, sphere=not flat)
                exact = ExactModel(density)
                score = Score(exact, prompts(exact, ["", ""]), NoisePrediction())
                for key in keys:
                    if key not in known:
                        yield _row(key, density.ends, density.manifold, score)
    before = model.scheduler
    try:
        for level in levels:
            model.use(Scheduler(noise_level=level))
            yield from _cats(model, pairs, level, known)
    finally:
        model.use(before)


def _cats(
    model: DiffusionModel,
    pairs: Iterable[str],
    level: float,
    known: Collection[tuple[str, str, str, float]],
) -> Iterator[Row]:
    for pair in pairs:
        keys = [
            (f"cats, {space}", f"{field} at {level:g}", pair, strength)
            for space in MANIFOLDS
            for field in FIELDS
            for strength in STRENGTHS
            if strength == 1.0 or (space == "sphere" and level == 0.6)
        ]
        new = [key for key in keys if key not in known]
        if not new:
            continue
        frames = shipped_pair(pair)
        condition = prompts(model, frames.prompts)
        ends = model.invert(model.encode(frames), condition(torch.tensor([0.0, 1.0]))).clone()
        for key in new:
            space = getattr(choose_manifold, key[0].split(", ")[1])(model, ends)
            field = FIELDS[key[1].split()[0]]()
            yield _row(key, ends, space, Score(model, condition, field))


def _row(
    key: tuple[str, str, str, float], ends: Tensor, manifold: Manifold, score: AnyScore
) -> Row:
    path = Path(ends[0], ends[1], manifold)
    problem = Problem(path, score, Strength(key[3]))
    made = solve(problem, SemiImplicit, 16)
    first = path.baseline(16)
    moved = (path.points() - first).norm(dim=-1).max()
    along = manifold.dist(first[1:], first[:-1]).sum()
    ratio = problem.measure(first).length / problem.measure().length
    bend = float(moved / along)
    return Row(*key, problem.alpha, bend, ratio, problem.evaluations, made.converged)


def table(rows: Iterable[Row]) -> str:
    """Rows in Markdown, the pairs of each place and strength together."""
    groups: dict[tuple[str, str, float], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.where, row.what, row.strength), []).append(row)
    head = ("where", "what", "strength", "paths", "α", "bend", "± over paths", "ratio", "evaluations",
            "converged")  # fmt: skip
    body = [
        (
            where, what, f"{strength:g}", str(len(each)),
            f"{fmean(r.alpha for r in each):.2g}", f"{fmean(r.bend for r in each):.3f}",
            f"{pstdev([r.bend for r in each]):.3f}", f"{fmean(r.ratio for r in each):.3f}",
            f"{fmean(r.evaluations for r in each):.0f}", f"{sum(r.converged for r in each)}",
        )
        for (where, what, strength), each in groups.items()
    ]  # fmt: skip
    return markdown(head, body)
