"""Stable Diffusion 3 and 3.5: image and text attend to each other; a rectified flow.

An embedding has 77 token states of two text encoders, 256 of a third (zeros where it is left out), and
their pooled row. 3.5 normalises queries and keys, and the medium one attends to the image twice in its
first layers: their configurations say so, the call is the same.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from geodesic_lightning.models.diffusion.network import Network, pack, unpack


class StableDiffusion3(Network):
    """Stable Diffusion 3: a rectified flow; its third text encoder may be left out."""

    denoiser_name = "transformer"
    guidance = 7.0

    def _sides(self) -> tuple[int, int | None]:
        """Patches, of which it knows so many places a side."""
        config: Any = self.denoiser.config
        side = self.factor * self.patch
        return side, side * config.pos_embed_max_size

    def embed(self, prompts: list[str], device: torch.device) -> Tensor:
        states, _, pooled, _ = self.pipeline.encode_prompt(
            prompts, None, None, device=device, do_classifier_free_guidance=False
        )
        return pack(states, pooled)

    def predict(self, x: Tensor, time: Tensor, embedding: Tensor) -> Tensor:
        states, pooled = unpack(embedding, self.denoiser.config.pooled_projection_dim)
        return self.denoiser(
            hidden_states=x,
            timestep=time,
            encoder_hidden_states=states,
            pooled_projections=pooled,
            return_dict=False,
        )[0]
