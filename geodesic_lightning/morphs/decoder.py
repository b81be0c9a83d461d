"""A decoder that mixes the two ends into every frame, not only their latents."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor

from geodesic_lightning.condition import Condition
from geodesic_lightning.decoder import Decoder
from geodesic_lightning.errors import UserError
from geodesic_lightning.morphs import lora as low_rank
from geodesic_lightning.morphs.adain import adain
from geodesic_lightning.morphs.attention import Mixer, mixing
from geodesic_lightning.morphs.lora import Lora
from geodesic_lightning.path import Path


class MorphDecoder(Decoder):
    """Frames and both ends come down the ODE side by side.

    Args:
        model, condition, given, norms, places: as for Decoder; there are two places.
        clean: clean latents (2, *shape) of the ends, for the low-rank weights.
        attention: how attention is mixed, None for not at all.
        share: of the way down, from the noisy end on, in which it is mixed.
        adain: give latents the statistics between the ends'.
        lora: low-rank weights to fit to the images, None for none.
        guidance: classifier-free guidance of the frames and ends at u = 0 and 1; 1 is none.
        guidance_middle: at u = 1/2, quadratic between; None for the same everywhere.
        guide: prompt of the inner frames in place of the interpolated one (PAID); "" for none.
        negative: prompt that guidance leads away from.

    Raises:
        UserError: settings out of range, or a model whose network cannot be mixed.
    """

    def __init__(
        self,
        model,
        condition: Condition,
        given: Tensor | None,
        norms: Tensor,
        places: Sequence[float] = (0.0, 1.0),
        clean: Tensor | None = None,
        *,
        attention: Mixer | None = None,
        share: float = 0.5,
        adain: bool = False,
        lora: Lora | None = None,
        guidance: float = 1.0,
        guidance_middle: float | None = None,
        guide: str = "",
        negative: str = "",
    ) -> None:
        super().__init__(model, condition, given, norms, places)
        if len(self.places) != 2:
            raise UserError(
                f"decoder: frames are mixed from two ends, got a path with {len(self.places)} places: "
                "choose decoder=plain."
            )
        if not 0 <= share <= 1:
            raise UserError(f"decoder.share: got {share}, expected a number from 0 to 1.")
        self.attention, self.share, self.adain, self.lora = attention, share, adain, lora
        self.guidance = guidance
        self.guidance_middle = guidance if guidance_middle is None else guidance_middle
        self.clean, self.guide, self.negative = clean, guide, negative
        self._adapters: list[str] | None = None

    def _images(self, path: Path, u: Tensor) -> Tensor:
        """Decoded frames (m, 3, H, W) at places u (m,)."""
        if not hasattr(self.model, "denoiser"):
            raise UserError(
                f"decoder: model={self.model.name} has no network to mix: choose decoder=plain."
            )
        whole = torch.cat([torch.tensor([0.0, 1.0]).to(u), u])
        points = path.at(whole) * self._stretch(path, whole).to(path.at(whole))[:, None]
        x = path.chart(points)
        if self.adain:
            x = adain(x, x[0], x[1], whole)
        embedding = self.condition(whole.to(points))
        if self.guide:
            embedding[2:] = self.model.embed([self.guide])[0].to(embedding)
        with torch.no_grad(), self._mixed():
            down = self.model.descend(x, self._noise(whole, embedding))
            return self.model.decode(down[2:])

    def _mixed(self):
        if self.attention is None:
            return nullcontext()
        return mixing(self.model.denoiser, self.attention)

    def _noise(self, u: Tensor, embedding: Tensor) -> Callable[[Tensor, int], Tensor]:
        """ε of latents that begin with the two ends."""
        guidance = self._strength(u)
        blank = self.model.embed([self.negative], negative=True) if (guidance != 1).any() else None

        def noise(x: Tensor, t: int) -> Tensor:
            found = self._conditional(x, t, u, embedding)
            if blank is None:
                return found
            plain = self._each(x, t, u, blank.expand(len(x), -1, -1))
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
            mixer.u = u[part]
            parts.append(self._each(x[part], t, u[part], embedding[part]))
        mixer.u = None
        return torch.cat([*ends, *parts])

    def _each(self, x: Tensor, t: int, u: Tensor, embedding: Tensor) -> Tensor:
        """ε with the adapters of each place; without adapters in one batch."""
        if len(self.adapters) < 2:
            with low_rank.at(self.model.denoiser, self.adapters, 0.0):
                return self.model.noise_prediction(x, t, embedding)
        parts = []
        for k in range(len(x)):
            with low_rank.at(self.model.denoiser, self.adapters, float(u[k])):
                parts.append(self.model.noise_prediction(x[k : k + 1], t, embedding[k : k + 1]))
        return torch.cat(parts)

    @property
    def adapters(self) -> list[str]:
        """Names of the low-rank weights, fitted when first asked for."""
        if self._adapters is None:
            if self.lora is None:
                self._adapters = []
            else:
                prompts = self.condition(torch.tensor([0.0, 1.0]).to(self.clean))
                with torch.enable_grad(), torch.inference_mode(False):
                    self._adapters = self.lora.fit(self.model, self.clean, prompts)
        return self._adapters


def morph(model, condition, given, norms, places, clean, **settings) -> MorphDecoder:
    """The maker that decoder= names: settings as for MorphDecoder."""
    return MorphDecoder(model, condition, given, norms, places, clean, **settings)
