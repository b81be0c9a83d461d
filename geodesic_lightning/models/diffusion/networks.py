"""Three families of networks behind one small interface: embed prompts, predict.

An embedding is one tensor (n, rows, width). What Stable Diffusion's network wants beside its token
states, the pooled embedding of SDXL and SD3, is one more row, filled up with zeros: embeddings are
then interpolated, optimised, joined and cut as one, whatever the network.

    StableDiffusion    1.x and 2.x: 77 token states
    StableDiffusionXL  77 token states of two encoders side by side, pooled; the image's own size
    StableDiffusion3   77 token states of two encoders and 256 of a third, pooled; rectified flow
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
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
    """

    denoiser_name = "unet"
    guidance = 7.5

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline
        self.denoiser: Any = getattr(pipeline, self.denoiser_name)
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

    def check(self, prompts: Sequence[str], negative: bool = False, long: str = "refuse") -> None:
        """Raise UserError for a prompt that the first tokenizer would cut, or say what becomes of it."""
        tokens = self.pipeline.tokenizer
        prompt_weights.check_installed(prompts)
        read = [self.converted(prompt_weights.plain(prompt), tokens) for prompt in prompts]
        prompt_length.check(tokens, read, long, negative)

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
        tokens = self.pipeline.tokenizer
        return prompt_length.chunk_count(tokens, self.converted(prompt, tokens))

    def _chunks(self, prompts: list[str], tokens: Any, count: int, device: torch.device) -> Tensor:
        """Token ids (n · count, length) of the prompts' pieces."""
        texts = [self.converted(prompt, tokens) for prompt in prompts]
        rows = [row for text in texts for row in prompt_length.chunks(tokens, text, count)]
        return torch.tensor(rows, device=device)


class StableDiffusion(Network):
    """Stable Diffusion 1.x and 2.x."""

    def embed(self, prompts: list[str], device: torch.device) -> Tensor:
        return self.pipeline.encode_prompt(prompts, device, 1, False)[0]

    def embed_chunks(self, prompts: list[str], device: torch.device, count: int) -> Tensor:
        ids = self._chunks(prompts, self.pipeline.tokenizer, count, device)
        states = self.pipeline.text_encoder(ids)[0]
        return states.reshape(len(prompts), -1, states.shape[-1])

    def embed_weighted(
        self, pieces: list[tuple[str, float]], device: torch.device, truncate: bool
    ) -> Tensor:
        return self._weighted(pieces, "", device, truncate=truncate)

    def predict(self, x: Tensor, time: Tensor, embedding: Tensor) -> Tensor:
        return self.denoiser(x, time, embedding, return_dict=False)[0]


class StableDiffusionXL(Network):
    """Stable Diffusion XL: an empty prompt is all zeros, as it was trained."""

    guidance = 5.0

    def embed(self, prompts: list[str], device: torch.device) -> Tensor:
        states, _, pooled, _ = self.pipeline.encode_prompt(
            prompts, device=device, do_classifier_free_guidance=False
        )
        packed = _pack(states, pooled)
        return self._blanked(packed, prompts)

    def embed_chunks(self, prompts: list[str], device: torch.device, count: int) -> Tensor:
        """The pooled embedding is that of the first piece."""
        pipeline, states = self.pipeline, []
        for tokens, encoder in (
            (pipeline.tokenizer, pipeline.text_encoder),
            (pipeline.tokenizer_2, pipeline.text_encoder_2),
        ):
            ids = self._chunks(prompts, tokens, count, device)
            found = encoder(ids, output_hidden_states=True)
            states.append(
                found.hidden_states[-2].reshape(len(prompts), -1, found.hidden_states[-2].shape[-1])
            )
        pooled = found[0].unflatten(0, (len(prompts), count))[:, 0]
        return self._blanked(_pack(torch.cat(states, -1), pooled), prompts)

    def embed_weighted(
        self, pieces: list[tuple[str, float]], device: torch.device, truncate: bool
    ) -> Tensor:
        """The pooled embedding stays that of the prompt without weights."""
        return torch.cat(
            [
                self._weighted(pieces, which, device, truncate=truncate, penultimate=True)
                for which in ("", "_2")
            ],
            -1,
        )

    def _blanked(self, packed: Tensor, prompts: list[str]) -> Tensor:
        """Zeros in the place of empty prompts, where the pipeline says so."""
        if not self.pipeline.config.force_zeros_for_empty_prompt:
            return packed
        empty = torch.tensor([prompt == "" for prompt in prompts], device=packed.device)
        return packed.masked_fill(empty[:, None, None], 0.0)

    def lengthen(self, embedding: Tensor, rows: int) -> Tensor:
        states, pooled = embedding[:, :-1], embedding[:, -1:]
        return torch.cat([states.repeat(1, (rows - 1) // states.shape[1], 1), pooled], 1)

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
    guidance = 7.0

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


def network_of(pipeline: Any) -> Network:
    """The network of a loaded pipeline; those from image to image and for inpainting have the same parts.

    Raises:
        UserError: a pipeline of another family, without some part, or whose network sees more than latents.
    """
    kinds = [kind.__name__ for kind in type(pipeline).__mro__]
    bare = [kind.replace("Img2Img", "").replace("Inpaint", "") for kind in kinds]
    family = next((FAMILIES[name] for name in bare if name in FAMILIES), None)
    if family is None:
        raise UserError(f"model: got a {kinds[0]}, expected one of {', '.join(FAMILIES)}.")
    for part in ("vae", "tokenizer", "text_encoder"):
        if getattr(pipeline, part, None) is None:
            raise UserError(f"model: this {kinds[0]} has no {part}: load it with all its parts.")
    network = family(pipeline)
    channels, own = network.latent_shape[0], pipeline.vae.config.latent_channels
    if channels != own:
        raise UserError(
            f"model: the network of this {kinds[0]} takes {channels} channels, expected the {own} of a "
            "latent: it was trained to see a mask or a picture beside it, take the one it was made from."
        )
    return network


FAMILIES: dict[str, Callable[[Any], Network]] = {
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
