"""A decoder that mixes the two ends into every frame, not only their latents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from geodesic_lightning.decoding.adain import adain
from geodesic_lightning.decoding.decoder import Decoder
from geodesic_lightning.decoding.morphs import lora as low_rank
from geodesic_lightning.decoding.morphs.attention import Mixer, check_mixable, mixing
from geodesic_lightning.decoding.morphs.lora import Lora
from geodesic_lightning.decoding.morphs.null_text import NullText, after
from geodesic_lightning.errors import UserError
from geodesic_lightning.models import parallel
from geodesic_lightning.protocols import AnyCondition, AnyPath
from geodesic_lightning.score.condition import Condition

if TYPE_CHECKING:
    from geodesic_lightning.models.diffusion import DiffusionModel

UNKNOWN = 10**9  # passes: more than anything may cost


class MorphDecoder(Decoder):
    """Frames and both ends come down the ODE side by side.

    Args:
        model, condition, given, norms, places, ends: as for Decoder; there are two places.
        clean: clean latents (2, *shape) of the ends, for the low-rank weights.
        attention: how attention is mixed, None for not at all.
        share: of the way down, from the noisy end on, in which it is mixed.
        adain: give latents the statistics between the ends'.
        lora: low-rank weights to fit to the images, None for none.
        lora_unconditional: others for the prediction that guidance leads away from (IMPUS).
        null_text: unconditional embeddings to fit to the images, one a step, None for the prompt's.
        guidance: classifier-free guidance of the frames and ends at u = 0 and 1; 1 is none.
        guidance_middle: at u = 1/2, quadratic between; None for the same everywhere.
        guide: prompt of the inner frames in place of the interpolated one (PAID); "" for none.
        negative: prompt that guidance leads away from.

    Raises:
        UserError: settings out of range, or a model whose network cannot be mixed.
    """

    model: Any  # a DiffusionModel; in a rehearsal whatever stands for one
    clean: Any  # (2, *shape), where it is asked for

    def __init__(
        self,
        model: DiffusionModel,
        condition: AnyCondition,
        given: Tensor | None,
        norms: Tensor,
        places: Sequence[float] = (0.0, 1.0),
        clean: Tensor | None = None,
        *,
        attention: Mixer | None = None,
        share: float = 0.5,
        adain: bool = False,
        lora: Lora | None = None,
        lora_unconditional: Lora | None = None,
        null_text: NullText | None = None,
        guidance: float = 1.0,
        guidance_middle: float | None = None,
        guide: str = "",
        negative: str = "",
        ends: str = "blended",
    ) -> None:
        super().__init__(model, condition, given, norms, places, ends=ends)
        if len(self.places) != 2:
            raise UserError(
                f"decoder: frames are mixed from two ends, got a path with {len(self.places)} places: "
                "choose decoder=plain."
            )
        if not 0 <= share <= 1:
            raise UserError(f"decoder.share: got {share}, expected a number from 0 to 1.")
        if getattr(model, "denoiser", None) is not None:  # now, not when a path has been solved
            if attention is not None:
                check_mixable(model.denoiser, attention)
            if lora is not None or lora_unconditional is not None:
                low_rank.check_trainable(model.denoiser)
        self.attention, self.share, self.adain, self.lora = attention, share, adain, lora
        self.lora_unconditional, self.guidance = lora_unconditional, guidance
        self.null_text = null_text
        self._nulls: list[Tensor] | None = None
        self.guidance_middle = guidance if guidance_middle is None else guidance_middle
        self.clean, self.guide, self.negative = clean, guide, negative
        self._adapters: dict[str, list[str]] = {}

    @property
    def _spares_given(self) -> bool:
        """Frames are mixed down: the autoencoder alone does not tell what they look like at the ends."""
        return self.ends == "given"

    def cost(self, frames: int, rough: bool = False) -> int:
        """As of Decoder: both ends come along, guidance asks twice, what is to be fitted is not cheap."""
        fitted = self.lora is None or "frames" in self._adapters
        if not fitted or (self.null_text is not None and self._nulls is None):
            return UNKNOWN if rough else frames * self.model.passes
        guided = 1 if self.guidance == self.guidance_middle == 1 else 2
        return guided * (frames if self.ends == "given" else frames + 2) * self.model.passes

    def _images(self, path: AnyPath, u: Tensor) -> Tensor:
        """Decoded frames (m, 3, H, W) at places u (m,)."""
        if self.model.denoiser is None:
            raise UserError(
                f"decoder: model={self.model.name} has no network to mix: choose decoder=plain."
            )
        whole = torch.cat([torch.tensor([0.0, 1.0]).to(u), u])
        x = path.chart(self._own(path, whole))
        if self.adain:
            x = adain(x, x[:2], whole)
        embedding = self.condition(whole.to(x))
        if self.guide:
            guide = self.model.embed([self.guide])
            if guide.shape[1] != embedding.shape[1]:
                guide = self.model.lengthen(guide, embedding.shape[1])
            embedding[2:] = guide[0].to(embedding)
        if self.lora is not None and self.lora.rank is None:
            self.lora.adapt(self.model, self._film(path, low_rank.DIVERSE + 1))
        nulls = self.nulls
        with torch.no_grad(), self._mixed():
            if nulls is None:
                down = self.model.descend(x, self._noise(whole, embedding))
            else:
                down = self._stepwise(x, whole, embedding, nulls)
            return self.model.decode(down[2:])

    def _stepwise(self, x: Tensor, u: Tensor, embedding: Tensor, nulls: list[Tensor]) -> Tensor:
        """Down the ladder, each step with an unconditional embedding of its own."""
        ladder, clean = self.model.ladder, x
        before: list[Tensor] = []
        for step, null in enumerate(nulls):
            mixed = Condition(null[0], null[-1])(u.to(null))
            walked: list[Tensor] = []
            noise = after(before, self._noise(u, embedding, mixed), walked)
            clean = self.model.descend(x, noise, ladder[len(ladder) - 2 - step :])
            before = walked
        return clean

    @contextmanager
    def _mixed(self) -> Iterator[None]:
        """Attention mixed; then every process of a distributed run decodes all frames by itself."""
        if self.attention is None:
            yield
            return
        with parallel.alone(), mixing(self.model.denoiser, self.attention):
            yield

    def _noise(
        self, u: Tensor, embedding: Tensor, blank: Tensor | None = None
    ) -> Callable[[Tensor, int], Tensor]:
        """ε of latents that begin with the two ends; `blank` stands for the negative prompt's embedding."""
        guidance = self._strength(u)
        if blank is None and (guidance != 1).any():
            blank = self.model.embed([self.negative], negative=True)

        def noise(x: Tensor, t: int) -> Tensor:
            found = self._conditional(x, t, u, embedding)
            if blank is None:
                return found
            plain = self._each(x, t, u, blank.expand(len(x), -1, -1), self.blank_adapters)
            strength = guidance.to(x).reshape(-1, *[1] * (x.dim() - 1))
            return plain + strength * (found - plain)

        return noise

    def _strength(self, u: Tensor) -> Tensor:
        """Guidance at places u: a parabola through the ends' and the middle's."""
        return self.guidance + 4 * u * (1 - u) * (self.guidance_middle - self.guidance)

    def _conditional(self, x: Tensor, t: int, u: Tensor, embedding: Tensor) -> Tensor:
        mixer = self.attention
        if mixer is None or t <= (1 - self.share) * self.model.timestep:
            return self._each(x, t, u, embedding)
        ends = []
        for end in (0, 1):
            mixer.recording = end
            one = slice(end, end + 1)
            ends.append(self._each(x[one], t, u[one], embedding[one]))
        mixer.recording = None
        size = max(1, self.model.batch_size)
        parts = []
        for part in torch.arange(2, len(x)).split(1 if self.adapters else size):
            mixer.look(u[part], 1 - t / self.model.timestep)
            parts.append(self._each(x[part], t, u[part], embedding[part]))
        mixer.u = None
        return torch.cat([*ends, *parts])

    def _each(
        self, x: Tensor, t: int, u: Tensor, embedding: Tensor, adapters: list[str] | None = None
    ) -> Tensor:
        """ε with the adapters of each place, by default the frames'; with fewer than two in one batch."""
        names = self.adapters if adapters is None else adapters
        if len(names) < 2:
            with low_rank.at(self.model.denoiser, names, 0.0):
                return self.model.noise_prediction(x, t, embedding)
        parts = []
        for k in range(len(x)):
            with low_rank.at(self.model.denoiser, names, float(u[k])):
                parts.append(self.model.noise_prediction(x[k : k + 1], t, embedding[k : k + 1]))
        return torch.cat(parts)

    def _film(self, path: AnyPath, count: int) -> Tensor:
        """Frames (count, 3, H, W) at even places by the frozen network, guided like the middle's."""
        plainly = MorphDecoder(
            self.model, self.condition, None, self.norms, self.places,
            guidance=self.guidance_middle, negative=self.negative,
        )  # fmt: skip
        return plainly(path, torch.linspace(0, 1, count))

    @property
    def adapters(self) -> list[str]:
        """Names of the frames' low-rank weights, fitted when first asked for."""
        return self._fitted("frames", self.lora, lambda ends: self.condition(ends))

    @property
    def blank_adapters(self) -> list[str]:
        """Those of the unconditional prediction; the frames' own where there are no others."""
        if self.lora_unconditional is None:
            return self.adapters
        blank = self.model.embed([self.negative], negative=True)
        return self._fitted(
            "blank", self.lora_unconditional, lambda ends: blank.expand(len(ends), -1, -1)
        )

    @property
    def nulls(self) -> list[Tensor] | None:
        """Unconditional embeddings from the noisiest step down, fitted when first asked for."""
        if self.null_text is None or self.guidance == self.guidance_middle == 1:
            return None
        if self._nulls is None:
            ends = torch.tensor([0.0, 1.0]).to(self.clean)
            blank = self.model.embed([self.negative], negative=True).clone()
            with torch.enable_grad(), torch.inference_mode(False):
                self._nulls = self.null_text.fit(
                    self.model,
                    self.clean.clone(),
                    lambda x, t, c: self._each(x, t, ends, c),
                    self.condition(ends).clone(),
                    blank,
                    self.guidance,
                )
        return self._nulls

    def _fitted(
        self, key: str, lora: Lora | None, prompts: Callable[[Tensor], Tensor]
    ) -> list[str]:
        if lora is None:
            return []
        if key not in self._adapters:
            ends = torch.tensor([0.0, 1.0]).to(self.clean)
            with torch.enable_grad(), torch.inference_mode(False):
                self._adapters[key] = lora.fit(self.model, self.clean, prompts(ends).clone())
        return self._adapters[key]


def morph(
    model: DiffusionModel,
    condition: AnyCondition,
    given: Tensor | None,
    norms: Tensor,
    places: Sequence[float],
    clean: Tensor | None,
    **settings: Any,
) -> MorphDecoder:
    """The maker that decoder= names: settings as for MorphDecoder."""
    return MorphDecoder(model, condition, given, norms, places, clean, **settings)
