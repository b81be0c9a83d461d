"""The frozen latent diffusion model: the only file that knows diffusers.

Five verbs carry frames to latents and back, and a sixth makes embeddings of prompts:

    encode: images → z₀        invert: z₀ → x_τ        noise_prediction: ε(x_t, t, c)
    denoise: x_τ → z₀          decode: z₀ → images     embed: prompts → c

z₀ is the VAE's mean in its scaled units; x_τ the latent at the path's noise level, reached along the probability
flow ODE (Song et al., 2021). The model is a plain object: a LightningModule that holds one registers nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from geodesic_lightning.errors import UserError
from geodesic_lightning.frames import Frames
from geodesic_lightning.scheduler import Scheduler

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class DiffusionModel:
    """A Stable Diffusion pipeline behind six verbs.

    Args:
        pretrained: a diffusers folder or hub id, or several to try in order.
        scheduler: the sampler, its steps and the path's noise level.
        alpha: the density exponent recommended for each score, by name.
        batch_size: latents a network call; bounds memory.
        dtype: of the networks; auto is bfloat16 on a GPU that has it, else float32. Latents stay float32.
        revision, variant, local_files_only: passed to the hub.
        compile: compile the UNet (slow first call).
        name: what summaries call it.

    Attributes:
        evaluations: latents the UNet has seen; timestep: τ; sigma: σ_τ; latent_shape; image_size in px.

    Raises:
        UserError: the weights are not to be had, or not a Stable Diffusion pipeline.
    """

    def __init__(
        self,
        pretrained: str | Sequence[str],
        scheduler: Scheduler | None = None,
        alpha: dict[str, float] | None = None,
        batch_size: int = 16,
        dtype: str = "auto",
        revision: str | None = None,
        variant: str | None = None,
        local_files_only: bool = False,
        compile: bool = False,
        name: str = "diffusion",
    ) -> None:
        if batch_size < 1:
            raise UserError(f"model.batch_size: got {batch_size}, expected at least 1.")
        if dtype not in ("auto", *DTYPES):
            raise UserError(f"model.dtype: got {dtype!r}, expected one of auto, {', '.join(DTYPES)}.")
        self.name, self.batch_size, self.scheduler = name, batch_size, scheduler or Scheduler()
        self.alpha = alpha or {}
        self.evaluations = 0
        self.device = torch.device("cpu")
        self._dtype = dtype
        self._load(pretrained, revision=revision, variant=variant, local_files_only=local_files_only)
        if compile:
            self._unet = torch.compile(self._unet)

    def _load(self, pretrained: str | Sequence[str], **options) -> None:
        import diffusers

        diffusers.utils.logging.set_verbosity_error()
        diffusers.utils.logging.disable_progress_bar()
        candidates = [pretrained] if isinstance(pretrained, str) else list(pretrained)
        failures = []
        for candidate in candidates:
            try:
                pipeline = diffusers.StableDiffusionPipeline.from_pretrained(
                    str(candidate),
                    dtype=torch.float32,
                    use_safetensors=True,
                    safety_checker=None,
                    feature_extractor=None,
                    requires_safety_checker=False,
                    **options,
                )
                break
            except (OSError, ValueError, RuntimeError, AttributeError, TypeError) as error:
                failures.append(f"{candidate} ({_first_sentence(error)})")
        else:
            raise UserError(
                f"No Stable Diffusion weights could be loaded; tried {'; '.join(failures)}. Give model.pretrained= "
                "a local diffusers folder (with model_index.json and .safetensors files) or the id of a hub "
                "repository that this machine can reach."
            )
        self.source = str(candidate)
        self._vae, self._unet, self._text = pipeline.vae, pipeline.unet, pipeline.text_encoder
        self._tokenizer = pipeline.tokenizer
        for part in (self._vae, self._unet, self._text):
            part.requires_grad_(False).eval()
        self._unet.to(memory_format=torch.channels_last)
        config = pipeline.scheduler.config
        self._prediction = config.prediction_type
        # Noise predictions leave this object as ε whatever the network predicts, so samplers are told ε.
        sampler, inverse = (getattr(diffusers, n) for n in (self.scheduler.sampler, self.scheduler.inverse))
        self._sampler = sampler.from_config(config, prediction_type="epsilon")
        self._inverse = inverse.from_config(config, prediction_type="epsilon")
        self._alphas_cumprod = pipeline.scheduler.alphas_cumprod.double()
        self._inverse.set_timesteps(self.scheduler.steps)
        self.timestep = int(self._inverse.timesteps[self.scheduler.climb - 1])
        self.timesteps = len(self._alphas_cumprod)
        self.sigma = self.sigma_at(self.timestep)
        side = self._unet.config.sample_size
        self.latent_shape = (self._unet.config.in_channels, side, side)
        self.image_size = side * 2 ** (len(self._vae.config.block_out_channels) - 1)

    def to(self, device: torch.device | str) -> DiffusionModel:
        """Move the networks, and set their precision for that device."""
        self.device = torch.device(device)
        auto = torch.float32
        if self.device.type == "cuda":
            auto = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        dtype = DTYPES.get(self._dtype, auto)
        self._unet.to(self.device, dtype)
        self._text.to(self.device, dtype)
        # The VAE overflows in float16 (its activations pass 65504), so it stays in float32 there.
        self._vae.to(self.device, torch.float32 if dtype == torch.float16 else dtype)
        return self

    # -- numbers of the noise schedule ----------------------------------------------------------------------------

    def alpha_cumprod(self, t: int) -> float:
        """ᾱ_t, the share of the clean latent's variance that is left at timestep t."""
        return float(self._alphas_cumprod[t])

    def sigma_at(self, t: int) -> float:
        """σ_t = √(1 − ᾱ_t)."""
        return (1 - self.alpha_cumprod(t)) ** 0.5

    # -- verbs -----------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def encode(self, frames: Frames) -> Tensor:
        """Frames of n images → clean latents z₀ (n, *latent_shape), the VAE's mean, scaled."""
        if not frames.pictures and frames.images is None:
            raise UserError(
                f"model={self.name} needs images, got points; use data=pair or a shipped pair, or model=exact."
            )
        images = frames.at(self.image_size).images
        parts = [
            self._vae.encode((2 * part - 1).to(self.device, self._vae.dtype)).latent_dist.mean
            for part in images.split(self.batch_size)
        ]
        return torch.cat(parts).float() * self._vae.config.scaling_factor

    def given(self, frames: Frames) -> Tensor:
        """The frames' own images (n, 3, H, W), as they stand at the ends of a film."""
        return frames.at(self.image_size).images

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """Clean latents (n, *latent_shape) → images (n, 3, H, W) float32 in [0, 1]."""
        scaled = (latents / self._vae.config.scaling_factor).to(self.device, self._vae.dtype)
        images = torch.cat([self._vae.decode(part).sample for part in scaled.split(self.batch_size)])
        return (images.float() / 2 + 0.5).clamp(0, 1)

    @torch.inference_mode()
    def embed(self, prompts: Sequence[str], negative: bool = False) -> Tensor:
        """n prompts → embeddings (n, tokens, width).

        `negative` marks what a score contrasts the path's prompts with; only an exact density needs to be told.

        Raises:
            UserError: a prompt has more tokens than the text encoder takes.
        """
        limit = self._tokenizer.model_max_length
        for prompt in prompts:
            count = len(self._tokenizer(prompt).input_ids)
            if count > limit:
                raise UserError(
                    f"The prompt {_shortened(prompt)!r} has {count} tokens, the model's text encoder takes {limit} "
                    "(two of them mark start and end): shorten it."
                )
        ids = self._tokenizer(
            list(prompts), padding="max_length", max_length=limit, truncation=True, return_tensors="pt"
        ).input_ids
        return self._text(ids.to(self.device))[0].float()

    def noise_prediction(self, x: Tensor, t: Tensor | int, embedding: Tensor) -> Tensor:
        """ε(x, t, c) for latents (n, *latent_shape), timesteps (n,) or one, embeddings (n, tokens, width): like x."""
        times = torch.as_tensor(t, device=self.device).expand(len(x))
        dtype = self._unet.dtype
        self.evaluations += len(x)
        out = []
        for part, time, prompt in zip(*(v.split(self.batch_size) for v in (x, times, embedding))):
            latents = part.to(self.device, dtype, memory_format=torch.channels_last)
            out.append(self._unet(latents, time, prompt.to(self.device, dtype), return_dict=False)[0])
        predicted = torch.cat(out).to(x)
        if self._prediction == "v_prediction":
            alphas = self._alphas_cumprod[times.cpu()].to(x).reshape(-1, *[1] * (x.dim() - 1))
            return alphas.sqrt() * predicted + (1 - alphas).sqrt() * x
        return predicted.contiguous()

    @torch.inference_mode()
    def invert(self, latents: Tensor, embedding: Tensor) -> Tensor:
        """Clean latents (n, *latent_shape) → latents at the path's noise level, along the ODE, guidance 1."""
        self._inverse.set_timesteps(self.scheduler.steps)
        return self._follow(self._inverse, self._inverse.timesteps[: self.scheduler.climb], latents, embedding)

    @torch.inference_mode()
    def denoise(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Latents (n, *latent_shape) at the path's noise level → clean latents, along the ODE, guidance 1."""
        self._sampler.set_timesteps(self.scheduler.steps)
        return self._follow(self._sampler, self._sampler.timesteps[-self.scheduler.climb :], x, embedding)

    def _follow(self, sampler, timesteps: Tensor, x: Tensor, embedding: Tensor) -> Tensor:
        x = x.to(self.device)
        for t in timesteps:
            x = sampler.step(self.noise_prediction(x, t, embedding), t, x).prev_sample
        return x

    def parameters(self) -> Iterator[Tensor]:
        """All frozen weights."""
        for part in (self._unet, self._vae, self._text):
            yield from part.parameters()


# Density exponents of the shipped model by score; docs/study.md says how they were chosen.
EMBEDDED_ALPHA = {"noise_prediction": 0.006, "contrast": 0.1}


def embedded(alpha: dict[str, float] | None = None, batch_size: int = 32, name: str = "embedded", **options) -> DiffusionModel:
    """The small model of drawn cats that ships with the project; options as for DiffusionModel."""
    folder = str(Path(__file__).parent / "embedded" / "pipeline")
    return DiffusionModel(folder, alpha=alpha or EMBEDDED_ALPHA, batch_size=batch_size, name=name, **options)


def _first_sentence(error: Exception) -> str:
    return " ".join(str(error).split()).split(". ")[0][:200]


def _shortened(text: str, most: int = 60) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
