"""What a sweeper may optimize: a number of a run's summary, or what a function makes of the run's folder."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from geodesic_lightning.errors import UserError


def objective(name: str, folder: Path, summary: Mapping[str, Any]) -> float:
    """The number by that name.

    Args:
        name: a dotted path in the summary (length, metrics.final/energy), or module:function of a
            function (folder, summary) → number.
        folder: the run's.
        summary: what its summary.json says.

    Raises:
        UserError: there is no such number, or no such function.
    """
    if ":" in name:
        return float(_function(name)(folder, summary))
    found: Any = summary
    for part in name.split("."):
        if not isinstance(found, Mapping) or part not in found:
            known = ", ".join(found) if isinstance(found, Mapping) else "nothing"
            raise UserError(f"objective: no {part!r} in the summary's {name!r}, there is {known}.")
        found = found[part]
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise UserError(f"objective: {name} is {found!r}, expected a number.")
    return float(found)


def _function(name: str):
    module, _, function = name.partition(":")
    try:
        return getattr(import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise UserError(f"objective: {name} cannot be imported ({error}).") from error


def largest_jump(folder: Path, summary: Mapping[str, Any]) -> float:
    """The film's largest step over its mean step, in root mean square of pixels: 1 if it moves evenly.

    Raises:
        UserError: the run wrote no frames.
    """
    import imageio.v3 as iio

    files = sorted((folder / "frames").glob("*.png"))
    if len(files) < 2:
        raise UserError(
            f"objective: {folder} has no frames to look at: give callbacks=default or callbacks=video."
        )
    film = np.stack([iio.imread(file) for file in files]).astype(float)
    steps = np.sqrt(np.square(np.diff(film, axis=0)).mean(axis=(1, 2, 3)))
    return float(steps.max() / steps.mean())
