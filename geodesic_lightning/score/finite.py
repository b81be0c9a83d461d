"""Scores that are no numbers: where on the path, and what to do about it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from geodesic_lightning.errors import UserError

__all__ = ["refuse_not_finite"]

SHOWN = 6  # numbers of a point that a sentence has room for


def refuse_not_finite(
    scores: Tensor,
    points: Tensor,
    places: Tensor,
    score: Any = None,
    way_out: str = "try a smaller solver.strength; the last good nodes are kept",
) -> None:
    """Raise UserError where scores (n, d) at points (n, d) are not all finite.

    The first such point is said: of a density the point itself, of a network's latents the place on the path.

    Args:
        places: (n,) of the points, u in [0, 1].
        score: the estimator they are of, with its `model`; None where that is not known.
        way_out: what else may help, as the end of the sentence.
    """
    bad = ~torch.isfinite(scores).all(-1)
    if not bad.any():
        return
    model = getattr(score, "model", None)
    first = int(bad.nonzero()[0])
    head = f"The score is NaN or infinite at {int(bad.sum())} of {len(scores)} nodes"
    where = f"u = {float(places[first]):.3g} of the path"
    if model is None:
        raise UserError(f"{head}, first at {where}: {way_out}.")
    if model.source is not None:
        raise UserError(
            f"{head}, first at {where}: check the model's weights and precision, choose another noise level, or "
            f"{way_out}."
        )
    numbers = [f"{number:.6g}" for number in points[first, :SHOWN].tolist()]
    rest = ["…"] if points.shape[-1] > SHOWN else []
    raise UserError(
        f"{head}, first at the point [{', '.join(numbers + rest)}], {where}: see where the density {model.name} "
        f"is positive and smooth, or {way_out}."
    )
