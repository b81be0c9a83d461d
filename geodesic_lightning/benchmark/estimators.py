"""How the score should be looked at: at the path's timestep or around it, once or averaged, with fresh or frozen noise.

Every estimator bends the path between the same ends; every result is measured by the same deterministic field at the
path's own timestep. Said are, over seeds, the length (against the deterministic solver's) and its spread, the gain in
mean log density over the great circle, and the evaluations.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import Any

import torch

from geodesic_lightning.benchmark.markdown import markdown
from geodesic_lightning.benchmark.problems import PAIRS
from geodesic_lightning.data.frames import shipped_pair
from geodesic_lightning.functional.quadrature import Measurement
from geodesic_lightning.functional.strength import Strength
from geodesic_lightning.geometry.manifold import Sphere
from geodesic_lightning.geometry.path import Path
from geodesic_lightning.optimizers.semi_implicit import SemiImplicit
from geodesic_lightning.optimizers.solve import solve
from geodesic_lightning.problems.boundary_value import Problem
from geodesic_lightning.protocols import AnyCondition, Model
from geodesic_lightning.score.condition import prompts
from geodesic_lightning.score.estimator import Score
from geodesic_lightning.score.fields import Contrast, Field, NoisePrediction

AROUND = {"timestep_range": (-100, 99)}
ESTIMATORS: dict[str, dict] = {
    "at τ": {},
    "around τ, fresh": AROUND,
    "around τ, fresh, 4 samples": AROUND | {"samples": 4},
    "around τ, frozen": AROUND | {"fresh": False},
    "around τ, frozen, 4 samples": AROUND | {"fresh": False, "samples": 4},
    "around τ, frozen, 8 samples": AROUND | {"fresh": False, "samples": 8},
}


@dataclass(frozen=True)
class Row:
    """One estimator of one field on one pair, over seeds."""

    pair: str
    field: str
    estimator: str
    noise: float
    mode: str
    evaluations: float
    passes: float
    length: float
    spread: float
    gain: float


def study(model: Model, pairs: int = 2, seeds: int = 3) -> Iterator[Row]:
    """Rows as they are found."""
    for name in PAIRS[:pairs]:
        frames = shipped_pair(name)
        condition = prompts(model, frames.prompts)
        ends = model.invert(model.encode(frames), condition(torch.tensor([0.0, 1.0]))).clone()
        manifold = Sphere(float(ends.flatten(1).norm(dim=-1).mean()))
        for field in (NoisePrediction(), Contrast()):
            judge = Problem(
                Path(ends[0], ends[1], manifold), Score(model, condition, field), Strength()
            )
            start = judge.measure(judge.legs[0].path.baseline(16))
            for label, options in ESTIMATORS.items():
                runs = [
                    _run(model, judge, condition, field, options, seed, start)
                    for seed in range(seeds if options else 1)
                ]
                noise, noisy, evaluations, passes, lengths, gains = zip(*runs)
                yield Row(
                    name,
                    field.name,
                    label,
                    fmean(noise),
                    "noisy" if noisy[0] else "fast",
                    fmean(evaluations),
                    fmean(passes),
                    fmean(lengths),
                    pstdev(lengths),
                    fmean(gains),
                )


def _run(
    model: Model,
    judge: Problem,
    condition: AnyCondition,
    field: Field,
    options: dict[str, Any],
    seed: int,
    start: Measurement,
) -> tuple[float, bool, int, int, float, float]:
    ends = judge.legs[0].path
    path = Path(ends.start, ends.end, judge.manifold)
    score = Score(model, condition, field, seed=seed, **options)
    before = model.evaluations
    path.set_nodes(path.baseline(4)[1:-1])
    noise = Problem(path, score, judge.alpha).evaluate().legs[0].noise_to_signal()
    problem = Problem(path, score, judge.alpha)
    made = solve(problem, SemiImplicit, 16).parts[0]
    assert isinstance(made, SemiImplicit)
    passes = model.evaluations - before
    found = judge.measure(path.points())
    gain = float(found.log_density.mean() - start.log_density.mean())
    return (
        noise,
        made.noisy,
        problem.evaluations,
        passes,
        found.length / start.length,
        gain,
    )


def table(rows: list[Row]) -> str:
    """The rows as a Markdown table; lengths relative to the great circle's."""
    head = (
        "pair",
        "field",
        "estimator",
        "noise / signal",
        "mode",
        "evaluations",
        "length / great circle",
        "± over seeds",
        "gain in mean log density",
    )
    body = [
        (
            r.pair,
            r.field,
            r.estimator,
            f"{100 * r.noise:.0f} %",
            r.mode,
            f"{r.evaluations:.0f}",
            f"{r.length:.4f}",
            f"{r.spread:.4f}",
            f"{r.gain:+.1f}",
        )
        for r in rows
    ]
    return markdown(head, body)
