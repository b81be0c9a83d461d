"""AdamW with warm-up, a constant rate, and a linear fall to 2 % over the last two fifths.

Unlike a cosine, the constant part does not know the number of steps: a run can go on with more.
"""

import torch

WARM_UP, FALL, LOWEST = 100, 0.4, 0.02


def adamw(parameters, rate, steps, weight_decay=1e-2, betas=(0.9, 0.99)):
    """The optimizer and its schedule, as Lightning's `configure_optimizers` returns them."""
    optimizer = torch.optim.AdamW(
        parameters, rate, betas=betas, weight_decay=weight_decay, foreach=True
    )

    def factor(step):
        left = (steps - step) / (FALL * steps)
        return min(1.0, (step + 1) / WARM_UP, max(LOWEST, left))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
