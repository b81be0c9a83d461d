"""Null-text inversion: unconditional embeddings, one a step, with which guidance gives the image back.

Guided, the way down from an inverted latent is not the way up that led there: z*_k are the latents on the
way up at the levels k, under their prompts. From the top on, with z̄ the guided latents so far,

    ∅_k = arg min Σ over ends |z*_{k−1} − step(z̄_k; ε(∅) + g (ε(c) − ε(∅)))|²,   z̄_{k−1} = the step with ∅_k

by a few steps of Adam from ∅_{k+1}; the first begins at the empty prompt's embedding. Mokady et al., CVPR
2023 (arXiv 2211.09794); `joint`, one for both ends, is Smooth Diffusion's: Guo et al., CVPR 2024
(arXiv 2312.04410), whose rates and tolerances these are, as parts of the way down.

A step may rest on the steps before it (multistep, dpm_solver). So each is taken as the last of a walk from the top,
in which the ε of the steps before stand as they were found: `after`. This asks the network for no ε twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from geodesic_lightning.errors import UserError
from geodesic_lightning.models.level import Level

if TYPE_CHECKING:
    from geodesic_lightning.models.diffusion import DiffusionModel

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
        model: DiffusionModel,
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
        """
        up = trajectory(model, clean, lambda x, t: predict(x, t, prompts))
        found: list[Tensor] = []
        before: list[Tensor] = []
        null = blank if self.joint else blank.expand(2, -1, -1)
        count = len(up) - 1
        for step in range(count):
            below, rungs = up[-2 - step], model.ladder[count - 1 - step :]
            under: list[Tensor] = []

            def lands(
                null: Tensor,
                rungs: Sequence[Level] = rungs,
                before: list[Tensor] = before,
                under: list[Tensor] = under,
            ) -> tuple[Tensor, list[Tensor]]:
                """Where the step leads, and the ε of the walk; where it begins, ε(c) is kept in `under`."""
                walked: list[Tensor] = []

                def noise(at: Tensor, t: int) -> Tensor:
                    plain = predict(at, t, null.expand(2, -1, -1))
                    if len(walked) > len(before):
                        toward = predict(at, t, prompts)
                    else:
                        if not under:
                            with torch.no_grad():
                                under.append(predict(at, t, prompts))
                        toward = under[0]
                    return plain + guidance * (toward - plain)

                return model.descend(up[-1], after(before, noise, walked), rungs), walked

            enough = FLOOR + SLACK * step / count
            null = self._bent(null, lands, below, self.lr * (1 - step / (2 * count)), enough)
            found.append(null)
            with torch.no_grad():
                before = lands(null)[1]
        return found

    def _bent(
        self,
        null: Tensor,
        lands: Callable[[Tensor], tuple[Tensor, list[Tensor]]],
        goal: Tensor,
        lr: float,
        enough: float,
    ) -> Tensor:
        bent = null.clone().requires_grad_()
        optimizer = torch.optim.Adam([bent], lr)
        for _ in range(self.steps):
            loss = (lands(bent)[0] - goal).square().flatten(1).mean(1).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if float(loss.detach()) < enough:
                break
        return bent.detach()


def trajectory(
    model: DiffusionModel, clean: Tensor, noise: Callable[[Tensor, int], Tensor]
) -> list[Tensor]:
    """Latents (2, *shape) at each level of the model's ladder, from the clean ones up."""
    found = [clean.to(model.device)]
    before: list[Tensor] = []
    with torch.no_grad():
        for k in range(1, len(model.ladder)):
            walked: list[Tensor] = []
            found.append(model.climb(found[0], after(before, noise, walked), model.ladder[: k + 1]))
            before = walked
    return found


def after(
    before: Sequence[Tensor], noise: Callable[[Tensor, int], Tensor], walked: list[Tensor]
) -> Callable[[Tensor, int], Tensor]:
    """ε(x, t) of a walk whose first calls gave the ε in `before`, then `noise`; all are put into `walked`."""

    def either(x: Tensor, t: int) -> Tensor:
        k = len(walked)
        walked.append(before[k] if k < len(before) else noise(x, t))
        return walked[-1]

    return either
