"""A pipeline that somebody holds already: a model for a while, then given back as it came.

Its parts stay on their device, in their precision and under their offloading hooks; low-rank weights
that are on, words that were added and attention processors count. While it is borrowed its weights are
frozen, its layers in evaluation mode, and a VAE that cannot compute in float16 (SDXL's own) in float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from geodesic_lightning.models.diffusion.model import DiffusionModel
from geodesic_lightning.models.scheduler import Scheduler

__all__ = ["borrowed"]


@contextmanager
def borrowed(pipeline: Any, scheduler: Scheduler | None = None) -> Iterator[DiffusionModel]:
    """The model of a loaded pipeline; at the end, whatever happened, the pipeline is as it was.

    Raises:
        UserError: it is none of those that are known (networks.py).
    """
    with _given_back(pipeline):
        model = DiffusionModel(pipeline, scheduler, name="pipeline")
        vae = pipeline.vae
        if vae.dtype == torch.float16 and vae.config.get("force_upcast"):
            vae.to(torch.float32)
        yield model


@contextmanager
def _given_back(pipeline: Any) -> Iterator[None]:
    parts: list[Any] = [
        part for part in pipeline.components.values() if isinstance(part, nn.Module)
    ]
    modes = [(module, module.training) for part in parts for module in part.modules()]
    learns = [(weight, weight.requires_grad) for part in parts for weight in part.parameters()]
    bare = [part for part in parts if not hasattr(part, "peft_config")]
    vae = getattr(pipeline, "vae", None)
    precision = None if vae is None else vae.dtype
    try:
        yield
    finally:
        for part in bare:
            if hasattr(part, "peft_config"):  # low-rank weights of ways to morph
                part.unload_lora()
                vars(part).pop("_hf_peft_config_loaded", None)  # the class has its own word
        for module, mode in modes:
            module.training = mode
        for weight, learn in learns:
            weight.requires_grad_(learn)
        if vae is not None and vae.dtype != precision:
            vae.to(precision)  # float32 holds all that float16 had
