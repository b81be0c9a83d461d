"""Three families of networks behind one small interface: embed prompts, predict.

An embedding is one tensor (n, rows, width). What Stable Diffusion's network wants beside its token
states, the pooled embedding of SDXL and SD3, is one more row, filled up with zeros: embeddings are
then interpolated, optimised, joined and cut as one, whatever the network.

    StableDiffusion    1.x and 2.x: 77 token states
    StableDiffusionXL  77 token states of two encoders side by side, pooled; the image's own size
    StableDiffusion3   77 token states of two encoders and 256 of a third, pooled; rectified flow
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from geodesic_lightning.errors import UserError
from geodesic_lightning.models.diffusion.size import check_size

log = logging.getLogger("geodesic_lightning")


class Network(ABC):
    """A pipeline's denoiser and text encoders.

    Args:
        pipeline: of diffusers, loaded.

    Attributes:
        denoiser: the UNet or transformer, callable; may be replaced by its compiled form.
        encoders: names of the pipeline's text encoders that are there.
        latent_shape: (channels, height, width) of what is computed at present.
        factor: px of an image a latent's pixel is wide. multiple: px that sides are multiples of.
        most: px that a side may have, None for any number.
    """

    denoiser_name = "unet"

    def __init__(self, pipeline) -> None:
        self.pipeline = pipeline
        self.denoiser: nn.Module = getattr(pipeline, self.denoiser_name)
        names = ("text_encoder", "text_encoder_2", "text_encoder_3")
        self.encoders = [n for n in names if getattr(pipeline, n, None) is not None]
        config = self.denoiser.config
        side = config.sample_size
        height, width = (side, side) if isinstance(side, int) else side
        self.latent_shape = (config.in_channels, height, width)
        self.factor = 2 ** (len(pipeline.vae.config.block_out_channels) - 1)
        self.multiple, self.most = self._sides()

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) in px of what is computed at present."""
        return self.latent_shape[1] * self.factor, self.latent_shape[2] * self.factor

    def resize(self, size: tuple[int, int]) -> None:
        """Compute images of (height, width) px from now on; UserError for one it cannot."""
        check_size(size, self.multiple, self.most)
        self.latent_shape = (self.latent_shape[0], *(side // self.factor for side in size))

    def _sides(self) -> tuple[int, int | None]:
        """A UNet halves its latents at every level but the last, and takes any number of them."""
        config: Any = self.denoiser.config
        levels = len(config.block_out_channels)
        return self.factor * 2 ** (levels - 1), None

    @abstractmethod
    def embed(self, prompts: list[str], device: torch.device) -> Tensor:
        """n prompts → (n, rows, width)."""

    @abstractmethod
    def predict(self, x: Tensor, time: Tensor, embedding: Tensor) -> Tensor:
        """What the network was trained to predict, like x (n, *latent_shape), at times (n,)."""

    def check(self, prompts: Sequence[str], negative: bool = False) -> None:
        """Raise UserError for a prompt that the first tokenizer would cut; say so of a negative one.

        What an image shows must be read whole; what it must not show may be read in part.
        """
        limit = self.pipeline.tokenizer.model_max_length
        for prompt in prompts:
            count = len(self.pipeline.tokenizer(prompt).input_ids)
            if count <= limit:
                continue
            told = (
                f"The prompt {_shortened(prompt)!r} has {count} tokens, the model's text encoder "
                f"takes {limit} (two of them mark start and end)"
            )
            if not negative:
                raise UserError(f"{told}: shorten it.")
            log.warning("%s: the rest of this negative prompt is not read.", told)


class StableDiffusion(Network):
    """Stable Diffusion 1.x and 2.x."""

    def embed(self, prompts: list[str], device: torch.device) -> Tensor:
        return self.pipeline.encode_prompt(prompts, device, 1, False)[0]

    def predict(self, x: Tensor, time: Tensor, embedding: Tensor) -> Tensor:
        return self.denoiser(x, time, embedding, return_dict=False)[0]


class StableDiffusionXL(Network):
    """Stable Diffusion XL: an empty prompt is all zeros, as it was trained."""

    def embed(self, prompts: list[str], device: torch.device) -> Tensor:
        states, _, pooled, _ = self.pipeline.encode_prompt(
            prompts, device=device, do_classifier_free_guidance=False
        )
        packed = _pack(states, pooled)
        if self.pipeline.config.force_zeros_for_empty_prompt:
            empty = torch.tensor([prompt == "" for prompt in prompts], device=packed.device)
            packed = packed.masked_fill(empty[:, None, None], 0.0)
        return packed

    def predict(self, x: Tensor, time: Tensor, embedding: Tensor) -> Tensor:
        # The image's own size, where its crop began, and the size asked for (SDXL, section 2.2).
        size = [float(side) for side in self.image_size]
        sizes = torch.tensor([*size, 0.0, 0.0, *size]).to(x).expand(len(x), -1)
        states, pooled = _unpack(embedding, self.pipeline.text_encoder_2.config.projection_dim)
        added = {"text_embeds": pooled, "time_ids": sizes}
        return self.denoiser(x, time, states, added_cond_kwargs=added, return_dict=False)[0]


class StableDiffusion3(Network):
    """Stable Diffusion 3: a rectified flow; its third text encoder may be left out."""

    denoiser_name = "transformer"

    def _sides(self) -> tuple[int, int | None]:
        """Patches, of which it knows so many places a side."""
        config: Any = self.denoiser.config
        patch = self.factor * config.patch_size
        return patch, patch * config.pos_embed_max_size

    def embed(self, prompts: list[str], device: torch.device) -> Tensor:
        states, _, pooled, _ = self.pipeline.encode_prompt(
            prompts, None, None, device=device, do_classifier_free_guidance=False
        )
        return _pack(states, pooled)

    def predict(self, x: Tensor, time: Tensor, embedding: Tensor) -> Tensor:
        states, pooled = _unpack(embedding, self.denoiser.config.pooled_projection_dim)
        return self.denoiser(
            hidden_states=x,
            timestep=time,
            encoder_hidden_states=states,
            pooled_projections=pooled,
            return_dict=False,
        )[0]


FAMILIES = {
    "StableDiffusionPipeline": StableDiffusion,
    "StableDiffusionXLPipeline": StableDiffusionXL,
    "StableDiffusion3Pipeline": StableDiffusion3,
}


def _pack(states: Tensor, pooled: Tensor) -> Tensor:
    """Token states (n, rows, width) and pooled (n, w ≤ width) → (n, rows + 1, width)."""
    row = torch.nn.functional.pad(pooled, (0, states.shape[-1] - pooled.shape[-1]))
    return torch.cat([states, row[:, None].to(states)], 1)


def _unpack(embedding: Tensor, width: int) -> tuple[Tensor, Tensor]:
    return embedding[:, :-1], embedding[:, -1, :width]


def _shortened(text: str, most: int = 60) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
