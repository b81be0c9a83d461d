"""A pipeline's denoiser and text encoders behind one small interface: embed prompts, predict.

An embedding is one tensor (n, rows, width). What a network wants beside its token states, as a pooled
embedding, is one more row, filled up with zeros: embeddings are then interpolated, optimised, joined
and cut as one, whatever the network.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from geodesic_lightning.errors import UserError
from geodesic_lightning.models import prompt_length
from geodesic_lightning.models.diffusion import prompt_weights
from geodesic_lightning.models.diffusion.size import check_size


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
        guidance: with which it is usually sampled, the default of its pipeline.
        needs: components without which it cannot do.
        reader, longest: the tokenizer whose tokens are counted, and how many it takes; None is its own.
        patch: pixels of a latent a side that are one token, for a transformer.
        distilled: the network was trained to predict what guidance gives; weight: of that guidance, where
            it takes one.
    """

    denoiser_name = "unet"
    guidance = 7.5
    needs: tuple[str, ...] = ("vae", "tokenizer", "text_encoder")
    reader = "tokenizer"
    longest: int | None = None
    distilled = False
    weight = 1.0

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline
        self.denoiser: Any = getattr(pipeline, self.denoiser_name)
        names = ("text_encoder", "text_encoder_2", "text_encoder_3")
        self.encoders = [n for n in names if getattr(pipeline, n, None) is not None]
        self.patch = self._token_side()
        self.latent_shape = self._own_shape()
        self.factor = 2 ** (len(pipeline.vae.config.block_out_channels) - 1)
        self.multiple, self.most = self._sides()

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) in px of what is computed at present."""
        return self.latent_shape[1] * self.factor, self.latent_shape[2] * self.factor

    @property
    def tokens(self) -> int:
        """Tokens of a latent, by which some schedules are shifted."""
        return self.latent_shape[1] * self.latent_shape[2] // self.patch**2

    @property
    def takes_guidance(self) -> bool:
        """It is told a weight of guidance."""
        return False

    def guided(self, weight: float) -> AbstractContextManager[None]:
        """Predict for guidance of this weight for a while, where the network takes one."""
        return nullcontext()

    def resize(self, size: tuple[int, int]) -> None:
        """Compute images of (height, width) px from now on; UserError for one it cannot."""
        check_size(size, self.multiple, self.most)
        self.latent_shape = (self.latent_shape[0], *(side // self.factor for side in size))

    def _token_side(self) -> int:
        return self.denoiser.config.get("patch_size") or 1

    def _own_shape(self) -> tuple[int, int, int]:
        config = self.denoiser.config
        side = config.sample_size
        height, width = (side, side) if isinstance(side, int) else side
        return config.in_channels, height, width

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

    def check(self, prompts: Sequence[str], negative: bool = False, long: str = "refuse") -> None:
        """Raise UserError for a prompt that would be cut, or say what becomes of it."""
        tokens = getattr(self.pipeline, self.reader)
        prompt_weights.check_installed(prompts)
        read = [self.converted(prompt_weights.plain(prompt), tokens) for prompt in prompts]
        prompt_length.check(tokens, read, long, negative, self.longest)

    def read(self, prompts: Sequence[str], device: torch.device, long: str = "refuse") -> Tensor:
        """n prompts → (n, rows, width), with their weights, and in pieces where `long` is chunks."""
        texts, count = [prompt_weights.plain(prompt) for prompt in prompts], 1
        if long == "chunks":
            count = max((self._chunk_count(text) for text in texts), default=1)
        read = self.embed(texts, device) if count == 1 else self.embed_chunks(texts, device, count)
        for k, prompt in enumerate(prompts):
            if prompt_weights.is_weighted(prompt):
                states = self.embed_weighted(prompt_weights.fragments(prompt), device, count == 1)
                read[k, : len(states)] = states
        return read

    def embed_weighted(
        self, pieces: list[tuple[str, float]], device: torch.device, truncate: bool
    ) -> Tensor:
        """Token states (rows, width) of one prompt in pieces of one weight each."""
        raise UserError(
            "The prompt has weights, as (word:1.2), which this model does not read, expected Stable "
            "Diffusion 1, 2 or XL: leave them out."
        )

    def _weighted(
        self, pieces: list[tuple[str, float]], which: str, device: torch.device, **options: bool
    ) -> Tensor:
        """The same by one of the encoders."""
        tokens = getattr(self.pipeline, f"tokenizer{which}")
        texts = [(self.converted(text, tokens), weight) for text, weight in pieces]
        encoder = getattr(self.pipeline, f"text_encoder{which}")
        return prompt_weights.weighted_states(texts, tokens, encoder, device, **options)

    def embed_chunks(self, prompts: list[str], device: torch.device, count: int) -> Tensor:
        """n prompts read in `count` pieces of the encoder's length each, laid one after the other."""
        raise UserError(
            "condition.long_prompts=chunks: this model reads its prompts together with the image, in one "
            "piece, expected Stable Diffusion 1, 2 or XL: take truncate, or shorten the prompt."
        )

    def lengthen(self, embedding: Tensor, rows: int) -> Tensor:
        """An embedding (n, own rows, width) as long as another's: its rows are repeated.

        Cross-attention over rows that are all repeated equally often is what it was over them once.
        """
        return embedding.repeat(1, rows // embedding.shape[1], 1)

    def converted(self, prompt: str, tokenizer: Any) -> str:
        """The prompt with one token for each vector of a word that was added to the tokenizer."""
        convert = getattr(self.pipeline, "maybe_convert_prompt", None)
        return prompt if convert is None else convert(prompt, tokenizer)

    def _chunk_count(self, prompt: str) -> int:
        tokens = getattr(self.pipeline, self.reader)
        return prompt_length.chunk_count(tokens, self.converted(prompt, tokens), self.longest)

    def _chunks(self, prompts: list[str], tokens: Any, count: int, device: torch.device) -> Tensor:
        """Token ids (n · count, length) of the prompts' pieces."""
        texts = [self.converted(prompt, tokens) for prompt in prompts]
        rows = [row for text in texts for row in prompt_length.chunks(tokens, text, count)]
        return torch.tensor(rows, device=device)


def pack(states: Tensor, pooled: Tensor) -> Tensor:
    """Token states (n, rows, width) and pooled (n, w ≤ width) → (n, rows + 1, width)."""
    row = torch.nn.functional.pad(pooled, (0, states.shape[-1] - pooled.shape[-1]))
    return torch.cat([states, row[:, None].to(states)], 1)


def unpack(embedding: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """And back: token states, and the pooled embedding of that width."""
    return embedding[:, :-1], embedding[:, -1, :width]
