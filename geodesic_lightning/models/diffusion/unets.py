"""Networks that are UNets: Stable Diffusion 1, 2 and XL."""

from __future__ import annotations

import torch
from torch import Tensor

from geodesic_lightning.models.diffusion.network import Network, pack, unpack


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
        packed = pack(states, pooled)
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
        return self._blanked(pack(torch.cat(states, -1), pooled), prompts)

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
        states, pooled = unpack(embedding, self.pipeline.text_encoder_2.config.projection_dim)
        added = {"text_embeds": pooled, "time_ids": sizes}
        return self.denoiser(x, time, states, added_cond_kwargs=added, return_dict=False)[0]
