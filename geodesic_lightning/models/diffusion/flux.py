"""FLUX.1: image and text attend to each other; a rectified flow, distilled from a guided one.

Four pixels of a latent, 2×2, are one token for the transformer: latents are packed for the call alone,
outside they are (16, h, w). The token states are a T5's, 512 rows (schnell 256); the pooled row is
CLIP's, of the prompt's first 77 tokens. dev was trained to predict what guidance of a weight g gives,
and is told g; g = 1 is no guidance. schnell knows of none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from geodesic_lightning.models.diffusion.network import Network, pack, unpack


class Flux(Network):
    """FLUX.1 dev and schnell."""

    denoiser_name = "transformer"
    needs = ("vae", "tokenizer", "text_encoder", "tokenizer_2", "text_encoder_2")
    reader = "tokenizer_2"
    longest = 512
    distilled = True

    def __init__(self, pipeline: Any) -> None:
        super().__init__(pipeline)
        if self.takes_guidance:
            self.guidance = 3.5
        else:
            self.guidance, self.longest = 1.0, 256

    @property
    def takes_guidance(self) -> bool:
        """It is told a weight of guidance, as dev is."""
        return bool(self.denoiser.config.guidance_embeds)

    def _token_side(self) -> int:
        return 2

    def _own_shape(self) -> tuple[int, int, int]:
        side = self.pipeline.default_sample_size  # the transformer takes any number of tokens
        return self.denoiser.config.in_channels // self.patch**2, side, side

    def _sides(self) -> tuple[int, int | None]:
        return self.factor * self.patch, None

    def embed(self, prompts: list[str], device: torch.device) -> Tensor:
        states, pooled, _ = self.pipeline.encode_prompt(
            prompts, device=device, max_sequence_length=self.longest
        )
        return pack(states, pooled)

    def predict(self, x: Tensor, time: Tensor, embedding: Tensor) -> Tensor:
        config = self.denoiser.config
        states, pooled = unpack(embedding, config.pooled_projection_dim)
        rows, columns = x.shape[2] // self.patch, x.shape[3] // self.patch
        weight = torch.full((len(x),), self.weight, device=x.device)
        tokens = self.denoiser(
            hidden_states=pixel_unshuffle(x, self.patch).flatten(2).transpose(1, 2),
            timestep=time / 1000,
            guidance=weight if self.takes_guidance else None,
            pooled_projections=pooled,
            encoder_hidden_states=states,
            txt_ids=torch.zeros(states.shape[1], 3).to(x),
            img_ids=_places(rows, columns).to(x),
            return_dict=False,
        )[0]
        return pixel_shuffle(tokens.transpose(1, 2).unflatten(2, (rows, columns)), self.patch)

    @contextmanager
    def guided(self, weight: float) -> Iterator[None]:
        """Predict for guidance of this weight for a while, where the network takes one."""
        before, self.weight = self.weight, weight
        try:
            yield
        finally:
            self.weight = before


def _places(rows: int, columns: int) -> Tensor:
    """(rows · columns, 3): 0, row and column of each token."""
    grid = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return torch.stack([torch.zeros_like(grid[0]), *grid], -1).flatten(0, 1)
