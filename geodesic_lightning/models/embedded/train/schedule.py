"""AdamW with warm-up, a constant rate, and a linear fall to 2 % over the last two fifths.

Unlike a cosine, the constant part does not know the number of steps: a run can go on with more.
"""

from collections.abc import Iterable

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler

WARM_UP, FALL, LOWEST = 100, 0.4, 0.02


def adamw(
    parameters: Iterable[torch.nn.Parameter],
    rate: float,
    steps: int,
    weight_decay: float = 1e-2,
    betas: tuple[float, float] = (0.9, 0.99),
) -> OptimizerLRScheduler:
    """The optimizer and its schedule, as Lightning's `configure_optimizers` returns them."""
    optimizer = torch.optim.AdamW(
        parameters, rate, betas=betas, weight_decay=weight_decay, foreach=True
    )

    def factor(step: int) -> float:
        left = (steps - step) / (FALL * steps)
        return min(1.0, (step + 1) / WARM_UP, max(LOWEST, left))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
