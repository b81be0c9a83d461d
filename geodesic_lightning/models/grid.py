"""Where the steps of a climb stand: timesteps that rise to the path's own, τ.

    even     even in t
    karras   even in ς^(1/ρ), from the level t = 0 to τ (Karras et al., 2022), rounded

With ρ > 1 more of the steps stand where there is little noise, where ε turns fastest.
"""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

GRIDS = ("even", "karras")


def even(last: int, steps: int, spacing: float) -> list[int]:
    """At most `steps` distinct timesteps up to `last`, apart by `spacing`."""
    return sorted({round(last - k * spacing) for k in range(steps)})


def karras(ratios: Tensor | Sequence[float], last: int, steps: int, rho: float) -> list[int]:
    """At most `steps` distinct timesteps from 1 to `last`, of levels whose ς_t (T,) rise from above 0.

    ς between two timesteps is taken as geometric. Where rounding would make two timesteps one, the later
    is put off by one.
    """
    steps = min(steps, last)
    logs = np.log(np.asarray(ratios, dtype=float))
    first, end = float(np.exp(logs[0] / rho)), float(np.exp(logs[last] / rho))
    wanted = rho * np.log(np.linspace(first, end, steps + 1)[1:])
    rounded = np.interp(wanted, logs, np.arange(len(logs))).round().astype(int)
    place = np.arange(steps)
    rising = np.maximum(np.maximum.accumulate(rounded - place), 1) + place
    return [int(t) for t in np.minimum(rising, last - steps + 1 + place)]
