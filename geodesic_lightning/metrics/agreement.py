"""Which rulers agree? Rank correlations of what they say of the same frames.

Spearman's ρ is the correlation of ranks: 1 where one ruler grows whenever the other does, whatever
their units, −1 where it falls, 0 where they have nothing to do with one another. Frames of one film
resemble one another, so an interval over frames would be too narrow: what is given is the mean over
films of ρ within each, and how many films it is of.

    step_pixels    root mean square of the pixels' change to both neighbours
    flicker        share of the details' change that is taken back (flicker.py)
    crossfade      how far a blend of the ends explains the frame (crossfade.py)
    darkness       100 − mean L* (lightness.py)

and whatever else is given of each frame. `python -m geodesic_lightning.benchmark.rulers` measures runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from geodesic_lightning.metrics.crossfade import details, explained
from geodesic_lightning.metrics.flicker import second_and_first
from geodesic_lightning.metrics.lightness import lightness

__all__ = ["Agreement", "agreement", "readings"]


@dataclass(frozen=True)
class Agreement:
    """Rank correlations between rulers.

    Attributes:
        names: of the K rulers.
        rho: (K, K) float64, means over films; NaN where no film has both.
        films: (K, K) how many films each is the mean of.
    """

    names: tuple[str, ...]
    rho: np.ndarray
    films: np.ndarray

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Heading and rows, for Markdown."""
        body = [
            [name, *("" if np.isnan(r) else f"{r:+.2f}" for r in row)]
            for name, row in zip(self.names, self.rho)
        ]
        return ["", *self.names], body


def agreement(films: Sequence[Mapping[str, np.ndarray]]) -> Agreement:
    """Mean over films of Spearman's ρ within each.

    Args:
        films: each a mapping from rulers' names to one value a frame, (m,), NaN where there is
            none; a film may lack a ruler. A ruler that says the same of all frames has no ranks
            there, and the film does not count for it; nor does one with fewer than 3 frames.
    """
    from scipy.stats import spearmanr

    names = tuple(dict.fromkeys(name for film in films for name in film))
    total, count = np.zeros((2, len(names), len(names)))
    for film in films:
        for i, a in enumerate(names):
            for j, b in enumerate(names[: i + 1]):
                if a not in film or b not in film:
                    continue
                x, y = np.asarray(film[a], float), np.asarray(film[b], float)
                both = np.isfinite(x) & np.isfinite(y)
                x, y = x[both], y[both]
                if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
                    continue
                total[i, j] += spearmanr(x, y).statistic
                count[i, j] += 1
    with np.errstate(invalid="ignore"):
        rho = total / count
    lower = np.tril(np.ones_like(count, dtype=bool))
    return Agreement(
        names, np.where(lower, rho, rho.T), np.where(lower, count, count.T).astype(int)
    )


def readings(frames: Tensor, steps: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """What the rulers say of each inner frame of a film: by name, (m − 2,) float64.

    Args:
        frames: (m, 3, H, W) in [0, 1], m ≥ 3.
        steps: by name the differences d of neighbours, (m − 1,); a frame has the mean of its two.
    """
    pixels = frames.double().diff(dim=0).square().flatten(1).mean(1).sqrt()
    taken_back, changed = second_and_first(frames)
    outlines = details(frames)
    found = {name: (d[1:] + d[:-1]) / 2 for name, d in (*steps.items(), ("step_pixels", pixels))}
    found |= {
        "flicker": taken_back / changed.clamp_min(1e-300),
        "crossfade": explained(outlines[1:-1], outlines[0], outlines[-1]),
        "darkness": 100 - lightness(frames)[1:-1],
    }
    return {name: value.double().cpu().numpy() for name, value in found.items()}
