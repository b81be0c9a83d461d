"""What the solvers are compared on: nine exact densities, and pairs of drawn cats with two fields each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from geodesic_lightning.data.frames import Frames, shipped_pair
from geodesic_lightning.functional.strength import Strength
from geodesic_lightning.geometry.manifold import Sphere
from geodesic_lightning.geometry.path import Path
from geodesic_lightning.problems.boundary_value import Problem
from geodesic_lightning.protocols import AnyCondition, Model
from geodesic_lightning.score.condition import prompts
from geodesic_lightning.score.estimator import Score
from geodesic_lightning.score.fields import Contrast, Field, NoisePrediction

PAIRS = tuple(f"eval_{k:02d}" for k in range(10))


@dataclass(frozen=True)
class Case:
    """A problem that can be made afresh for every solver.

    Attributes:
        name, field: what it is called, and the field that stands for the score.
        fresh: makes the problem, with its path at the manifold's own geodesic.
        length: of points (N+1, d), as exactly as it can be had.
        reference: the known geodesic's length, or None.
    """

    name: str
    field: str
    fresh: Callable[[], Problem]
    length: Callable[[Tensor], float]
    reference: float | None


def exact(names: list[str] | None = None) -> Iterator[Case]:
    """The exact densities, in float64, with their shipped references."""
    from geodesic_lightning.models.exact import ExactModel
    from geodesic_lightning.models.exact.curve_length import curve_length
    from geodesic_lightning.models.exact.problems import DENSITIES

    for name in names or DENSITIES:
        model = ExactModel(name)
        ends, known = model.encode(Frames(None, ("", ""))), model.reference
        assert known is not None, "shipped densities have references"
        condition = prompts(model, ["", ""])

        def fresh(
            model: ExactModel = model, ends: Tensor = ends, condition: AnyCondition = condition
        ) -> Problem:
            path = Path(ends[0], ends[1], model.manifold)
            return Problem(path, Score(model, condition, NoisePrediction()), model.alpha)

        yield Case(
            name,
            "score",
            fresh,
            partial(_exact_length, curve_length, model.density),
            known.length,
        )


def _exact_length(curve_length: Callable[..., float], density: Any, points: Tensor) -> float:
    return curve_length(density, points.double())


FIELDS = {field.name: field for field in (NoisePrediction, Contrast)}


def cats(
    model: Model,
    pairs: tuple[str, ...] = PAIRS,
    fields: tuple[str, ...] = tuple(FIELDS),
    alpha: float | None = None,
) -> Iterator[Case]:
    """Pairs of drawn cats through the embedded model, by deterministic fields: noise prediction, prompt contrast.

    Args:
        alpha: of all of them; None lets each follow from the default strength.
    """
    for pair in pairs:
        frames = shipped_pair(pair)
        condition = prompts(model, frames.prompts)
        ends = model.invert(model.encode(frames), condition(torch.tensor([0.0, 1.0]))).clone()
        manifold = Sphere(float(ends.flatten(1).norm(dim=-1).mean()))
        for field in (FIELDS[name]() for name in fields):
            known = alpha
            if known is None:
                path = Path(ends[0], ends[1], manifold)
                known = Problem(path, Score(model, condition, field), Strength()).alpha

            def fresh(
                ends: Tensor = ends,
                manifold: Sphere = manifold,
                condition: AnyCondition = condition,
                field: Field = field,
                alpha: float = known,
            ) -> Problem:
                return Problem(
                    Path(ends[0], ends[1], manifold), Score(model, condition, field), alpha
                )

            def length(points: Tensor, fresh: Callable[[], Problem] = fresh) -> float:
                return fresh().measure(points).length

            yield Case(pair, field.name, fresh, length, None)
