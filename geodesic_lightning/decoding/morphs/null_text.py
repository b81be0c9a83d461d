"""Null-text inversion: unconditional embeddings, one a step, with which guidance gives the image back.

Guided, the way down from an inverted latent is not the way up that led there: z*_k are the latents on the
way up at the levels k, under their prompts. From the top on, with z̄ the guided latents so far,

    ∅_k = arg min Σ over ends |z*_{k−1} − step(z̄_k; ε(∅) + g (ε(c) − ε(∅)))|²,   z̄_{k−1} = the step with ∅_k

by a few steps of Adam from ∅_{k+1}; the first begins at the empty prompt's embedding. Mokady et al., CVPR
2023 (arXiv 2211.09794); `joint`, one for both ends, is Smooth Diffusion's: Guo et al., CVPR 2024
(arXiv 2312.04410), whose rates and tolerances these are, as parts of the way down.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from geodesic_lightning.errors import UserError
from geodesic_lightning.models import samplers as ode

FLOOR, SLACK = (
    1e-5,
    1e-3,
)  # mean square error that is enough, at the first step and more at the last


class NullText:
    """Settings of the fit.

    Args:
        steps: of Adam at each level; fewer where the step is met.
        lr: at the top; half as much at the bottom.
        joint: one embedding for both ends; else one each, mixed along the path.
    """

    def __init__(self, steps: int = 10, lr: float = 1e-2, joint: bool = True) -> None:
        if steps < 0:
            raise UserError(f"decoder.null_text.steps: got {steps}, expected at least 0.")
        if not lr > 0:
            raise UserError(f"decoder.null_text.lr: got {lr}, expected a number above 0.")
        self.steps, self.lr, self.joint = steps, lr, joint

    def fit(
        self,
        model,
        clean: Tensor,
        predict: Callable[[Tensor, int, Tensor], Tensor],
        prompts: Tensor,
        blank: Tensor,
        guidance: float,
    ) -> list[Tensor]:
        """Embeddings (1 or 2, rows, width), from the noisiest level down, one a step of the sampler.

        Args:
            clean: latents (2, *shape).
            predict: ε of latents (2, *shape) at t under embeddings (2, rows, width).
            prompts, blank: embeddings (2, rows, width) of the ends and (1, rows, width) of no prompt.
            guidance: g.

        Raises:
            UserError: a sampler whose steps remember the steps before.
        """
        sampler = model.scheduler.sampler
        if sampler not in ode.INVERTIBLE:
            raise UserError(
                f"decoder.null_text: got scheduler={sampler}, expected one whose steps stand alone: "
                "heun, ddim or fixed_point."
            )
        up = trajectory(model, clean, lambda x, t: predict(x, t, prompts))
        found, x = [], up[-1]
        null = blank if self.joint else blank.expand(2, -1, -1)
        count = len(up) - 1
        for step in range(count):
            below, rungs = up[-2 - step], model.ladder[count - 1 - step : count + 1 - step]
            with torch.no_grad():
                first = predict(x, rungs[1].t, prompts)

            def lands(null: Tensor, x=x, rungs=rungs, first=first) -> Tensor:
                def noise(at: Tensor, t: int) -> Tensor:
                    plain = predict(at, t, null.expand(2, -1, -1))
                    toward = first if at is x else predict(at, t, prompts)
                    return plain + guidance * (toward - plain)

                return model.descend(x, noise, rungs)

            enough = FLOOR + SLACK * step / count
            null = self._bent(null, lands, below, self.lr * (1 - step / (2 * count)), enough)
            found.append(null)
            with torch.no_grad():
                x = lands(null)
        return found

    def _bent(
        self,
        null: Tensor,
        lands: Callable[[Tensor], Tensor],
        goal: Tensor,
        lr: float,
        enough: float,
    ) -> Tensor:
        bent = null.clone().requires_grad_()
        optimizer = torch.optim.Adam([bent], lr)
        for _ in range(self.steps):
            loss = (lands(bent) - goal).square().flatten(1).mean(1).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if float(loss.detach()) < enough:
                break
        return bent.detach()


def trajectory(model, clean: Tensor, noise: Callable[[Tensor, int], Tensor]) -> list[Tensor]:
    """Latents (2, *shape) at each level of the model's ladder, from the clean ones up."""
    found = [clean.to(model.device)]
    with torch.no_grad():
        for k in range(len(model.ladder) - 1):
            found.append(model.climb(found[-1], noise, model.ladder[k : k + 2]))
    return found
