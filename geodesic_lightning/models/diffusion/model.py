"""The frozen latent diffusion model: five verbs carry frames to latents and back, a sixth embeds
prompts.

    encode: images → z₀        invert: z₀ → x_τ        noise_prediction: ε(x_t, t, c)
    denoise: x_τ → z₀          decode: z₀ → images     embed: prompts → c

z₀ is the VAE's mean, shifted and scaled; x_τ the latent at the path's noise level, reached along
the probability flow ODE. Whatever the network predicts, ε leaves this object, at levels of unit
variance (noise_schedule.py); so diffusions and flows, one text encoder or three, look the same from
outside. The model is a plain object: a LightningModule that holds one registers nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from geodesic_lightning.data.frames import Frames
from geodesic_lightning.errors import UserError
from geodesic_lightning.models import parallel
from geodesic_lightning.models import samplers as ode
from geodesic_lightning.models.diffusion import loading
from geodesic_lightning.models.diffusion import noise_schedule as levels
from geodesic_lightning.models.diffusion.batching import Chunks
from geodesic_lightning.models.diffusion.lora_file import add_lora
from geodesic_lightning.models.diffusion.networks import FAMILIES
from geodesic_lightning.models.diffusion.placement import Placement, dtype_named
from geodesic_lightning.models.scheduler import Scheduler

log = logging.getLogger("geodesic_lightning")


class DiffusionModel:
    """Stable Diffusion 1.x, 2.x, XL or 3 behind six verbs.

    Args:
        pretrained: a diffusers folder, a single .safetensors file or a hub id, or several to try in
            order.
        scheduler: the sampler, its steps and the path's noise level.
        alpha: the density exponent recommended for each score, by name.
        batch_size: latents a network call; auto begins with what should fit and halves where memory
            runs out.
        dtype: of the networks; auto is bfloat16 on a GPU that has it, else float32. Latents stay
            float32.
        vae_dtype: of the VAE; auto is float32.
        config: for a single file, where the pipeline's configuration and tokenizer are.
        revision, variant, local_files_only: passed to the hub.
        allow_pickle: pickled weights may be read.
        without: components to leave out, as text_encoder_3 and tokenizer_3.
        lora: low-rank weights to add for good, a folder or a .safetensors file; lora_scale: how much.
        attention_slicing, vae_slicing, vae_tiling: less memory, more time.
        offload: only the part at work is on the GPU.
        compile: compile the denoiser (slow first call).
        name: what summaries call it.

    Attributes:
        evaluations: latents the denoiser has seen. timestep: τ of timesteps T. sigma: σ_τ.
            latent_shape.
        image_size: px. source: weights that were loaded. prediction: what the denoiser predicts.

    Raises:
        UserError: the weights are not to be had, or are not those of a Stable Diffusion.
    """

    def __init__(
        self,
        pretrained: str | Sequence[str],
        scheduler: Scheduler | None = None,
        alpha: dict[str, float] | None = None,
        batch_size: int | str = "auto",
        dtype: str = "auto",
        vae_dtype: str = "auto",
        config: str | Sequence[str] = (),
        revision: str | None = None,
        variant: str | None = None,
        local_files_only: bool = False,
        allow_pickle: bool = False,
        without: Sequence[str] = (),
        lora: str | None = None,
        lora_scale: float = 1.0,
        attention_slicing: bool = False,
        vae_slicing: bool = False,
        vae_tiling: bool = False,
        offload: bool = False,
        compile: bool = False,
        name: str = "diffusion",
    ) -> None:
        self._chunks = Chunks("model.batch_size", batch_size)
        self._pictures = Chunks("model.batch_size", batch_size)
        precision = dtype_named("dtype", dtype), dtype_named("vae_dtype", vae_dtype)
        self.name, self.alpha = name, dict(alpha or {})
        self.evaluations = 0
        source = loading.Source(
            pretrained, config, revision, variant, local_files_only, allow_pickle, tuple(without),
            precision[0] or torch.float32,
        )  # fmt: skip
        pipeline, self.source = loading.load(source)
        if lora:
            self.source += f" with {lora_scale:g} × {add_lora(pipeline, lora, lora_scale)}"
        log.info("%s: weights of %s", name, self.source)
        self._network = FAMILIES[type(pipeline).__name__](pipeline)
        self._vae = pipeline.vae
        self._levels = levels.of_scheduler(pipeline.scheduler)
        self.prediction = self._levels.prediction
        parts = {
            n: getattr(pipeline, n)
            for n in ("vae", self._network.denoiser_name, *self._network.encoders)
        }
        self._placement = Placement(parts, *precision, offload=offload)
        for part in parts.values():
            part.requires_grad_(False).eval()
        self._network.denoiser.to(memory_format=torch.channels_last)
        if attention_slicing:
            pipeline.enable_attention_slicing()
        if vae_slicing:
            self._vae.enable_slicing()
        if vae_tiling:
            self._vae.enable_tiling()
        if compile:
            self._network.denoiser = torch.compile(self._network.denoiser)
        self.latent_shape, self.image_size = self._network.latent_shape, self._network.image_size
        self._begin_chunks()
        self.use(scheduler or Scheduler())

    def use(self, scheduler: Scheduler) -> None:
        """Take another sampler or noise level from now on."""
        self.scheduler = scheduler
        self._ladder = self._levels.ladder(scheduler.timesteps(len(self._levels)))
        self.timesteps, self.timestep = len(self._levels), self._ladder[-1].t
        self.sigma = self._ladder[-1].sigma

    def to(self, device: torch.device | str) -> DiffusionModel:
        """Move the networks, and set their precision for that device."""
        device = torch.device(device)
        self._placement.to(device)
        self._begin_chunks()
        return self

    def _begin_chunks(self) -> None:
        """Where automatic batch sizes begin: a guess at what fits, by latents' and images' size."""
        plenty = 16 if self.device.type == "cuda" else 1
        area = self.latent_shape[1] * self.latent_shape[2]
        self._chunks.start(min(32 * plenty, plenty * 8192 // area))
        self._pictures.start(min(64, plenty * 2**18 // self.image_size**2))

    @property
    def device(self) -> torch.device:
        """Where the networks compute."""
        return self._placement.device

    # -- numbers of the noise schedule ------------------------------------------------------------

    def alpha_cumprod(self, t: int) -> float:
        """ᾱ_t, the share of the clean latent's variance that is left at timestep t."""
        return float(self._levels.alphas_cumprod[t])

    def sigma_at(self, t: int) -> float:
        """σ_t = √(1 − ᾱ_t)."""
        return self._levels.at(t).sigma

    # -- verbs ------------------------------------------------------------------------------------

    @torch.inference_mode()
    def encode(self, frames: Frames) -> Tensor:
        """Frames of n images → clean latents z₀ (n, *latent_shape): the VAE's mean, scaled."""
        if not frames.pictures and frames.images is None:
            raise UserError(
                f"model={self.name} needs images, got points; use data=pair or a shipped pair, or "
                "model=exact."
            )

        def one(images: Tensor) -> Tensor:
            images = (2 * images - 1).to(self.device, self._vae.dtype)
            return self._vae.encode(images).latent_dist.mean.float()

        self._placement.ready("vae")
        latents = self._pictures.map(one, frames.at(self.image_size).images)
        return (latents - self._shift) * self._vae.config.scaling_factor

    def given(self, frames: Frames) -> Tensor:
        """The frames' own images (n, 3, H, W), as they stand at the ends of a film."""
        return frames.at(self.image_size).images

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """Clean latents (n, *latent_shape) → images (n, 3, H, W) float32 in [0, 1]."""

        def one(part: Tensor) -> Tensor:
            return self._vae.decode(part.to(self.device, self._vae.dtype)).sample.float()

        self._placement.ready("vae")
        images = self._pictures.map(one, latents / self._vae.config.scaling_factor + self._shift)
        return (images / 2 + 0.5).clamp(0, 1)

    @torch.inference_mode()
    def features(self, images: Tensor) -> list[Tensor]:
        """Images (n, 3, H, W) in [0, 1] → activations after each level of the VAE's encoder."""
        layers: list[list[Tensor]] = [[] for _ in self._vae.encoder.down_blocks]

        def keep(found: list[Tensor]):
            return lambda block, given, out: found.append(out.float())

        self._placement.ready("vae")
        hooks = [
            block.register_forward_hook(keep(found))
            for block, found in zip(self._vae.encoder.down_blocks, layers)
        ]
        try:
            for image in (2 * images - 1).to(self.device, self._vae.dtype):
                self._vae.encode(image[None])
        finally:
            for hook in hooks:
                hook.remove()
        return [torch.cat(found) for found in layers]

    @property
    def _shift(self) -> float:
        return getattr(self._vae.config, "shift_factor", None) or 0.0

    @torch.inference_mode()
    def embed(self, prompts: Sequence[str], negative: bool = False) -> Tensor:
        """n prompts → embeddings (n, rows, width).

        `negative` marks what a score contrasts the path's prompts with; such a prompt may be cut.

        Raises:
            UserError: another prompt has more tokens than the text encoder takes.
        """
        self._network.check(prompts, negative)
        self._placement.ready(*self._network.encoders)
        return self._network.embed(list(prompts), self.device).float()

    def noise_prediction(self, x: Tensor, t: Tensor | int, embedding: Tensor) -> Tensor:
        """ε(x, t, c), like the latents x (n, *latent_shape).

        t is one timestep or (n,), the embeddings c are (n, rows, width).
        """
        times = torch.as_tensor(t).cpu().expand(len(x))
        self.evaluations += len(x)
        dtype = self._placement.dtype_of(self._network.denoiser_name)
        format = torch.channels_last if x.dim() == 4 else torch.contiguous_format

        def one(latents: Tensor, time: Tensor, prompt: Tensor) -> Tensor:
            latents, time = self._levels.for_network(latents, time)
            latents = latents.to(self.device, dtype, memory_format=format)
            return self._network.predict(
                latents, time.to(self.device), prompt.to(self.device, dtype)
            )

        self._placement.ready(self._network.denoiser_name)

        def many(*part: Tensor) -> Tensor:
            return self._chunks.map(one, *part).to(x)

        predicted = parallel.shared(many, x, times, embedding)
        return self._levels.noise(predicted, x, times).contiguous()

    @torch.inference_mode()
    def invert(self, latents: Tensor, embedding: Tensor) -> Tensor:
        """Clean latents (n, *latent_shape) → latents at the path's noise level, guidance 1."""
        return self.climb(latents, self._under(embedding))

    @torch.inference_mode()
    def denoise(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Latents (n, *latent_shape) at the path's noise level → clean latents, guidance 1."""
        return self.descend(x, self._under(embedding))

    def descend(
        self,
        x: Tensor,
        noise: Callable[[Tensor, int], Tensor],
        ladder: Sequence[ode.Level] | None = None,
    ) -> Tensor:
        """`denoise` by another ε(x, t) than one prompt's, as decoders mix them; or part of the way down."""
        return ode.descend(self.scheduler.sampler, noise, x.to(self.device), ladder or self._ladder)

    @property
    def ladder(self) -> Sequence[ode.Level]:
        """The sampler's levels, from the clean latent's up to the path's."""
        return self._ladder

    def climb(
        self,
        x: Tensor,
        noise: Callable[[Tensor, int], Tensor],
        ladder: Sequence[ode.Level] | None = None,
    ) -> Tensor:
        """`invert` by another ε(x, t) than one prompt's; or part of the way up."""
        chosen = self.scheduler
        rungs = ladder or self._ladder
        return ode.climb(chosen.sampler, noise, x.to(self.device), rungs, chosen.iterations)

    @property
    def denoiser(self) -> torch.nn.Module:
        """The network itself, for what is put into its layers."""
        return self._network.denoiser

    @property
    def batch_size(self) -> int:
        """Latents a call at present."""
        return self._chunks.size

    def _under(self, embedding: Tensor) -> Callable[[Tensor, int], Tensor]:
        """ε(x, t) under one prompt a latent."""
        return lambda latents, t: self.noise_prediction(latents, t, embedding)

    def parameters(self) -> Iterator[Tensor]:
        """All frozen weights."""
        for part in self._placement.parts.values():
            yield from part.parameters()
