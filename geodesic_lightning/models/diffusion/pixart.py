"""PixArt-Σ: cross-attention to the 300 token states of a T5, of which a mask says which count.

The mask is one more row of the embedding, so that a path between two prompts passes between their masks
too. A share m of a token weighs its exponential,

    softmax(q kᵀ/√d + log m),      m = 1 counts in full, m = 0 not at all,

which is diffusers' own mask at 0 and 1 and continuous between them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from geodesic_lightning.models.diffusion.network import Network, pack, unpack

ABSENT = -1e4  # diffusers' own logarithm of 0
FAINT = 1e-4  # m that weighs no less: log m is bounded, and so is its gradient


class PixArtSigma(Network):
    """PixArt-Σ: predicts the noise, and beside it a variance that is left aside."""

    denoiser_name = "transformer"
    guidance = 4.5
    longest = 300

    def _sides(self) -> tuple[int, int | None]:
        """Patches, whose places are computed for any number of them."""
        return self.factor * self.patch, None

    def embed(self, prompts: list[str], device: torch.device) -> Tensor:
        states, mask, *_ = self.pipeline.encode_prompt(
            prompts, do_classifier_free_guidance=False, device=device
        )
        return pack(states, mask)

    def predict(self, x: Tensor, time: Tensor, embedding: Tensor) -> Tensor:
        states, shown = unpack(embedding, embedding.shape[1] - 1)
        bias = torch.where(shown > 0, shown.clamp_min(FAINT).log(), ABSENT)
        predicted = self.denoiser(
            x,
            encoder_hidden_states=states,
            encoder_attention_mask=bias[:, None],
            timestep=time,
            added_cond_kwargs={"resolution": None, "aspect_ratio": None},
            return_dict=False,
        )[0]
        return predicted[:, : x.shape[1]]
