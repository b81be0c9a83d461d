"""What a network was trained to predict: told by its file, or seen in its answers.

With x = √ᾱ z + σ ε, the noisy latent of a picture's z and of noise ε that is known here, a network's
answer o is compared with each thing it may stand for (Salimans & Ho, 2022):

    epsilon ε      v_prediction √ᾱ ε − σ z      sample z          error E|o − target|² / E|target|²

An answer of nothing has error 1. A trained network's error is small for one of them and large for
the others; a network that was not trained, or that does not fit its other weights, has 1 or more for
each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from geodesic_lightning.errors import UserError

KINDS = ("epsilon", "v_prediction", "sample")
SHARES = (0.3, 0.5, 0.7)  # of the timesteps: at both ends, targets are too alike or say nothing
CLEAR = 0.5  # a reading is taken whose error is this small, and this part of the other's


def check_prediction(asked: str) -> None:
    """Raise UserError for a value of model.prediction that there is not."""
    if asked not in ("auto", *KINDS):
        raise UserError(
            f"model.prediction: got {asked!r}, expected one of auto, {', '.join(KINDS)}."
        )


def marked(keys: Iterable[str], metadata: Mapping[str, str]) -> dict[str, Any]:
    """What a single file says of its schedule, as options of a diffusers scheduler; empty if nothing.

    Args:
        keys: names of its tensors; trainers leave v_pred and ztsnr among them.
        metadata: of the safetensors header, in the ModelSpec standard or kohya's words.
    """
    names = set(keys)
    found: dict[str, Any] = {}
    kind = metadata.get("modelspec.prediction_type", "").lower()
    named = {"v": "v_prediction", "v_prediction": "v_prediction", "epsilon": "epsilon"}
    if kind in named:
        found["prediction_type"] = named[kind]
    elif (
        "v_pred" in names
        or metadata.get("ss_v_parameterization") == "True"
        or metadata.get("modelspec.architecture", "").startswith("stable-diffusion-v2-768")
    ):
        found["prediction_type"] = "v_prediction"
    if "ztsnr" in names:
        found["rescale_betas_zero_snr"] = True
    return found


def errors(answer: Tensor, clean: Tensor, noise: Tensor, alphas: Tensor) -> dict[str, float]:
    """The relative square error of each reading, by kind.

    Args:
        answer, clean, noise: the network's answer, z and ε, (n, *shape).
        alphas: ᾱ of each, (n,).
    """
    signal = alphas.to(clean).reshape(-1, *[1] * (clean.dim() - 1))
    velocity = signal.sqrt() * noise - (1 - signal).sqrt() * clean
    targets = {"epsilon": noise, "v_prediction": velocity, "sample": clean}
    return {kind: _relative(answer, target) for kind, target in targets.items()}


def recognised(found: Mapping[str, float], configured: str) -> str | None:
    """The kind that the errors speak for, None where they speak for none clearly.

    The configured one stands unless another is much better.
    """
    best = min(found, key=lambda kind: found[kind])
    if best != configured and found[best] < CLEAR * min(1.0, found[configured]):
        return best
    return configured if found[configured] < 1 else None


def _relative(answer: Tensor, target: Tensor) -> float:
    answer, target = answer.cpu().double().flatten(1), target.cpu().double().flatten(1)
    each = (answer - target).square().mean(1) / target.square().mean(1).clamp_min(1e-12)
    return float(each.mean()) if torch.isfinite(each).all() else float("inf")
