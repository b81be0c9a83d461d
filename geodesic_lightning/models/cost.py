"""What the way down from the noise level costs."""

from collections.abc import Sequence

import torch
from torch import Tensor

from geodesic_lightning.models import samplers as ode
from geodesic_lightning.models.level import Level


def passes_down(
    sampler: str, levels: Sequence[Level], order: int = 2, corrector: bool = True
) -> int:
    """Evaluations of ε that a latent takes from the last of `levels` to the first: they are counted."""
    asked: list[int] = []

    def noise(x: Tensor, t: int) -> Tensor:
        asked.append(t)
        return x

    ode.descend(sampler, noise, torch.zeros(1), levels, order, corrector)
    return len(asked)
