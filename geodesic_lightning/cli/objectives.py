"""What a sweeper optimizes: a number of a run's summary."""

from collections.abc import Mapping
from typing import Any

from geodesic_lightning.errors import UserError


def objective(name: str, summary: Mapping[str, Any]) -> float:
    """The number of a summary by its dotted path: length, measures.crossfade, metrics.final/energy.

    Raises:
        UserError: there is no such number.
    """
    found: Any = summary
    for part in name.split("."):
        if not isinstance(found, Mapping) or part not in found:
            known = ", ".join(found) if isinstance(found, Mapping) else "nothing"
            raise UserError(f"objective: no {part!r} in the summary's {name!r}, there is {known}.")
        found = found[part]
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise UserError(f"objective: {name} is {found!r}, expected a number.")
    return float(found)
