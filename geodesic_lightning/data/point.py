"""Points in the place of pictures, as Python gives them: rows of numbers for a density over R^d.

interpolate([-1, 0], [1, 0], model=my_density)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geodesic_lightning.data.frames import Frames, numbers

__all__ = ["are_points", "is_point", "point"]


def is_point(given: Any) -> bool:
    """It is a row of numbers: a list or tuple of them, an array (d,) or a tensor (d,)."""
    if isinstance(given, Tensor | np.ndarray):
        return given.ndim == 1
    return (
        isinstance(given, list | tuple)
        and bool(given)
        and all(isinstance(number, int | float | np.number) for number in given)
    )


def are_points(given: Any) -> bool:
    """They are rows of numbers, one or more: a list or tuple of points, an array (n, d) or a tensor (n, d)."""
    if isinstance(given, Tensor | np.ndarray):
        return given.ndim == 2
    return isinstance(given, list | tuple) and bool(given) and is_point(given[0])


def point(start: Iterable[float]) -> Frames:
    """One point (d finite numbers) to start from; UserError for anything else."""
    here = torch.tensor([numbers("start", start)], dtype=torch.float64)
    return Frames(None, ("",), ("start",), points=here)
