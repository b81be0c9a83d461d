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
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from geodesic_lightning.data.clip import Clip
from geodesic_lightning.data.frames import Frames
from geodesic_lightning.errors import UserError
from geodesic_lightning.models import memory, parallel
from geodesic_lightning.models import samplers as ode
from geodesic_lightning.models.cost import passes_down
from geodesic_lightning.models.diffusion import loading
from geodesic_lightning.models.diffusion import noise_schedule as levels
from geodesic_lightning.models.diffusion.activations import decoding_bytes, network_bytes
from geodesic_lightning.models.diffusion.batching import Chunks
from geodesic_lightning.models.diffusion.compiler import check_compiler
from geodesic_lightning.models.diffusion.embeddings import add_embeddings, read_embeddings
from geodesic_lightning.models.diffusion.few_steps import distilled_to_few, warning
from geodesic_lightning.models.diffusion.libraries import hushed
from geodesic_lightning.models.diffusion.lora_file import add_lora, given_loras
from geodesic_lightning.models.diffusion.network import Network
from geodesic_lightning.models.diffusion.networks import network_of
from geodesic_lightning.models.diffusion.placement import Lent, Placement, dtype_named
from geodesic_lightning.models.diffusion.prediction import (
    SHARES,
    check_prediction,
    errors,
    recognised,
)
from geodesic_lightning.models.diffusion.size import given_size, own_shape
from geodesic_lightning.models.level import Level
from geodesic_lightning.models.scheduler import Scheduler
from geodesic_lightning.protocols import Manifold

log = logging.getLogger("geodesic_lightning")

ROUGH = 4  # steps of a sketch


class DiffusionModel:
    """A latent diffusion model of one of the families in networks.py, behind six verbs.

    Args:
        pretrained: a diffusers folder, a single .safetensors file or a hub id, or several to try in
            order; or a pipeline that is loaded already, which stays on its device and in its precision
            and is best borrowed (borrowed.py).
        scheduler: the sampler, its steps and the path's noise level.
        alpha: density exponents by score's name, for those of which no strength is wanted.
        batch_size: latents a network call; auto begins with what should fit and halves where memory
            runs out.
        dtype: of the networks; auto is bfloat16 on a CUDA GPU that computes in it, float16 on an older
            one, else float32. Latents stay float32.
        vae_dtype: of the VAE; auto is float32.
        config: for a single file, where the pipeline's configuration and tokenizer are.
        revision, variant, local_files_only: passed to the hub.
        allow_pickle: pickled weights may be read.
        without: components to leave out, as text_encoder_3 and tokenizer_3.
        prediction: what the network predicts, epsilon, v_prediction or sample; auto takes the file's
            or configuration's word, and tries it with the first picture.
        distilled_guidance: the weight of guidance that a network is told which was distilled from a guided
            one (FLUX.1 dev); 1 is none.
        lora: low-rank weights to add for good, a folder or a .safetensors file, or several; lora_scale:
            how much, one number or one for each.
        embeddings: files of textual inversion, new words for prompts.
        size: (height, width) of images in px; None is what the model was trained at, "auto" near that
            number of pixels in the pictures' own shape.
        knows: dB; pictures that come back from their own latents by less are said to be none that the
            model knows. None looks at no picture.
        attention_slicing, vae_slicing, vae_tiling: less memory, more time.
        offload: only the part at work is on the GPU.
        compile: compile the denoiser (slow first call; needs a compiler).
        name: what summaries call it.

    Attributes:
        evaluations: latents the denoiser has seen. passes, rough_passes: of one on its way down, and of
            its sketch. timestep: τ of timesteps T. sigma: σ_τ.
            latent_shape.
        guidance: with which the model's own pictures are sampled, where nothing else is asked for.
        source: weights that were loaded.
        adapters: low-rank weights that a loaded pipeline came with.

    Raises:
        UserError: the weights are not to be had, or are of another family.
    """

    def __init__(
        self,
        pretrained: Any,
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
        prediction: str = "auto",
        distilled_guidance: float = 1.0,
        lora: str | Sequence[str] | None = None,
        lora_scale: float | Sequence[float] = 1.0,
        embeddings: str | Sequence[str] = (),
        size: int | Sequence[int] | str | None = None,
        attention_slicing: bool = False,
        vae_slicing: bool = False,
        vae_tiling: bool = False,
        offload: bool = False,
        compile: bool = False,
        name: str = "diffusion",
        knows: float | None = None,
    ) -> None:
        self._chunks = Chunks("model.batch_size", batch_size)
        self._pictures = Chunks("model.batch_size", batch_size)
        wanted = given_size(size)
        precision = dtype_named("dtype", dtype), dtype_named("vae_dtype", vae_dtype)
        self.knows = knows
        check_prediction(prediction)
        if compile:
            check_compiler()
        words, loras = read_embeddings(embeddings), given_loras(lora or [], lora_scale)
        self.name, self.alpha = name, dict(alpha or {})
        self.manifold: Manifold | None = None  # it names none: its latents live near a sphere
        self.evaluations = 0
        lent = hasattr(pretrained, "components")  # a pipeline, not the name of one
        if lent:
            found = loading.Loaded(pretrained, loading.origin(pretrained))
        else:
            source = loading.Source(
                pretrained, config, revision, variant, local_files_only, allow_pickle, tuple(without),
                precision[0] or torch.float32,
            )  # fmt: skip
            found = loading.load(source)
        pipeline, self.source, self._prediction_from = found
        if sign := distilled_to_few(self.source, pipeline):
            log.warning(warning(name, sign))
        with hushed():
            for scale, file in loras:
                add_lora(pipeline, file, scale)
            add_embeddings(pipeline, words)
        for _, file in loras:
            if sign := distilled_to_few(str(file)) or distilled_to_few(str(file.parent)):
                log.warning(warning(file.name, sign))
        self.source += "".join(f" with {scale:g} × {file}" for scale, file in loras)
        self.source += "".join(f" with the word {one.word} of {one.file}" for one in words)
        log.info("%s: weights of %s", name, self.source)
        self._network = network_of(pipeline)
        self._network.weight = _distilled(distilled_guidance, self._network)
        self.adapters = tuple(getattr(self._network.denoiser, "peft_config", ())) if lent else ()
        self.guidance = self._network.guidance
        self._vae = pipeline.vae
        self._schedule = pipeline.scheduler
        self._levels = levels.of_scheduler(self._schedule, self._network.tokens)
        self._untried = prediction == "auto" and self._levels.shares is None
        if prediction != "auto":
            self._read_as(prediction, "setting")
        parts = {
            n: getattr(pipeline, n)
            for n in ("vae", self._network.denoiser_name, *self._network.encoders)
        }
        self._placement: Lent | Placement
        if lent:
            self._placement = Lent(parts, pipeline._execution_device)
        else:
            self._placement = Placement(parts, *precision, offload=offload)
            self._network.denoiser.to(memory_format=torch.channels_last)
        for part in parts.values():
            part.requires_grad_(False).eval()
        if attention_slicing:
            pipeline.enable_attention_slicing()
        if vae_slicing:
            self._vae.enable_slicing()
        if vae_tiling:
            self._vae.enable_tiling()
        if compile:
            self._network.denoiser = torch.compile(self._network.denoiser)
        self._own_size, self._auto_size = self._network.image_size, wanted == "auto"
        self.use(scheduler or Scheduler())
        if isinstance(wanted, tuple):
            self._resize(wanted)
        self._begin_chunks()

    @property
    def distilled_guidance(self) -> float | None:
        """The weight of guidance that the network is told, None for one that takes none."""
        return self._network.weight if self._network.takes_guidance else None

    @property
    def prediction(self) -> str:
        """What the denoiser is taken to predict, one of noise_schedule.PREDICTIONS."""
        return self._levels.prediction

    @property
    def levels(self) -> levels.Levels:
        """The noise levels t = 0 … T−1 at images' present size: what ladders for `climb` and `descend` are made of."""
        return self._levels

    def trust(self) -> None:
        """Do not try the prediction: the configuration is known to be right."""
        self._untried = False

    @property
    def facts(self) -> dict[str, Any]:
        """What a summary says of the model: the prediction, and who said so."""
        return {"prediction": self.prediction, "prediction_from": self._prediction_from}

    def use(self, scheduler: Scheduler) -> None:
        """Take another sampler or noise level from now on."""
        self.scheduler = scheduler
        self._ladder = self._levels.ladder(scheduler.timesteps(self._levels))
        self.timesteps, self.timestep = len(self._levels), self._ladder[-1].t
        self.sigma = self._ladder[-1].sigma
        self.passes = passes_down(
            scheduler.sampler, self._ladder, scheduler.order, scheduler.corrector
        )
        steps = min(1000, round(ROUGH / scheduler.noise_level))
        rough = Scheduler("multistep", steps, scheduler.noise_level, grid="even", order=2)
        self._rough = self._levels.ladder(rough.timesteps(self._levels))
        self.rough_passes = min(self.passes, passes_down("multistep", self._rough))

    def to(self, device: torch.device | str) -> DiffusionModel:
        """Move the networks, and set their precision for that device."""
        device = torch.device(device)
        with hushed():
            self._placement.to(device)
        self._begin_chunks()
        return self

    def _resize(self, size: tuple[int, int]) -> None:
        """Compute images of (height, width) px from now on, at the noise levels of that size."""
        self._network.resize(size)
        if levels.shifted(self._schedule):
            self._levels = levels.of_scheduler(self._schedule, self._network.tokens)
            self.use(self.scheduler)

    def _begin_chunks(self) -> None:
        """Where automatic batch sizes begin: a guess at what fits, by latents' and images' size."""
        plenty = 16 if self.device.type == "cuda" else 1
        area = self.latent_shape[1] * self.latent_shape[2]
        pixels = self.image_size[0] * self.image_size[1]
        self._chunks.start(min(32 * plenty, plenty * 8192 // area))
        self._pictures.start(min(4 * plenty, plenty * 2**18 // pixels))

    @property
    def device(self) -> torch.device:
        """Where the networks compute."""
        return self._placement.device

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of a latent."""
        return self._network.latent_shape

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of images in px."""
        return self._network.image_size

    def prepare(self, frames: Frames | Clip) -> None:
        """Look at frames before they are encoded: take their shape if size is auto.

        A crop is said, and so are pictures that the model cannot know, one line each.

        Raises:
            UserError: one image of that size cannot fit into memory.
        """
        if self._auto_size and frames.sizes:
            network = self._network
            size = own_shape(frames.sizes, self._own_size, network.multiple, network.most)
            self._resize(size)
            self._begin_chunks()
        self._check_memory()
        if said := frames.cropped(self.image_size):
            more = "" if self._auto_size else ", model.size=auto takes the pictures' own shape"
            log.warning("%s%s.", said, more)
        if self.knows is not None and (said := self._unknown(frames, self.knows)):
            log.warning(said)

    def _check_memory(self) -> None:
        """Refuse a size at which one image cannot fit; that of the model itself always may be tried."""
        (height, width), own = self.image_size, self._own_size
        if height * width <= own[0] * own[1]:
            return
        image = f"model.size: an image of [{height},{width}] px"
        smaller = "take a smaller model.size"
        decoding = decoding_bytes(self._vae, self.image_size)
        memory.require(
            decoding,
            self.device,
            f"{image} in the autoencoder",
            f"{smaller}, or model.vae_tiling=true",
        )
        memory.require(
            network_bytes(self._network), self.device, f"{image} in the network", smaller
        )

    def _unknown(self, frames: Frames | Clip, knows: float) -> str:
        """The sentence on pictures that the VAE does not give back; at the model's own size."""
        if (found := frames.samples(self._own_size)) is None:
            return ""
        names, images = found
        back = self.decode(self._latents(images)).to(images)
        decibels = (-10 * (back - images).square().flatten(1).mean(1).log10()).tolist()
        strange = [(db, name) for db, name in zip(decibels, names) if db < knows]
        if not strange:
            return ""
        more = f" and {len(strange) - 3} more" if len(strange) > 3 else ""
        return (
            f"model={self.name} does not know pictures such as "
            f"{', '.join(name for _, name in strange[:3])}{more}: decoded from its own latent, "
            f"{min(strange)[1]} comes back at {min(strange)[0]:.0f} dB, pictures it knows at over "
            f"{knows:.0f}, and frames in between will be a blur; choose a model of photographs, as "
            "model=sd2."
        )

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
            got = "prompts alone" if frames.seeds else "points"
            raise UserError(
                f"model={self.name} needs images, got {got}; use data=pair or a shipped pair"
                f"{'' if frames.seeds else ', or model=exact'}."
            )
        return self._latents(self.given(frames))

    @torch.inference_mode()
    def _latents(self, images: Tensor) -> Tensor:
        def one(images: Tensor) -> Tensor:
            images = (2 * images - 1).to(self.device, self._vae.dtype)
            return self._vae.encode(images).latent_dist.mean.float()

        self._placement.ready("vae")
        latents = (self._pictures.map(one, images) - self._shift) * self._vae.config.scaling_factor
        if self._untried:
            self._try_prediction(latents[:1])
        return latents

    def given(self, frames: Frames) -> Tensor:
        """The frames' own images (n, 3, H, W), as they stand at the ends of a film."""
        images = frames.at(self.image_size).images
        assert images is not None, "frames with pictures have images at a size"
        return images

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

        def keep(found: list[Tensor]) -> Callable[..., None]:
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
    def embed(self, prompts: Sequence[str], negative: bool = False, long: str = "refuse") -> Tensor:
        """n prompts → embeddings (n, rows, width).

        `negative` marks what a score contrasts the path's prompts with; such a prompt may be cut. `long`
        is what becomes of others that are too long (prompt_length.py); with chunks, rows are those of the
        longest.

        Raises:
            UserError: another prompt has more tokens than the text encoder takes, and `long` is refuse.
        """
        with hushed():
            self._network.check(prompts, negative, long)
            self._placement.ready(*self._network.encoders)
            found = self._network.read(prompts, self.device, "truncate" if negative else long)
        return found.float()

    def lengthen(self, embedding: Tensor, rows: int) -> Tensor:
        """An embedding (n, own rows, width) with as many rows as another, to stand in one batch with it."""
        return self._network.lengthen(embedding, rows)

    def noise_prediction(self, x: Tensor, t: Tensor | int, embedding: Tensor) -> Tensor:
        """ε(x, t, c), like the latents x (n, *latent_shape).

        t is one timestep or (n,), the embeddings c are (n, rows, width).
        """
        times = torch.as_tensor(t).cpu().expand(len(x))
        self.evaluations += len(x)

        def many(*part: Tensor) -> Tensor:
            return self._answer(*part).to(x)

        predicted = parallel.shared(many, x, times, embedding)
        return self._levels.noise(predicted, x, times).contiguous()

    def _answer(self, x: Tensor, times: Tensor, embedding: Tensor) -> Tensor:
        """What the network predicts, as it was trained to, like x."""
        dtype = self._placement.dtype_of(self._network.denoiser_name)
        format = torch.channels_last if x.dim() == 4 else torch.contiguous_format

        def one(latents: Tensor, time: Tensor, prompt: Tensor) -> Tensor:
            latents, time = self._levels.for_network(latents, time)
            latents = latents.to(self.device, dtype, memory_format=format)
            return self._network.predict(
                latents, time.to(self.device), prompt.to(self.device, dtype)
            )

        self._placement.ready(self._network.denoiser_name)
        return self._chunks.map(one, x, times, embedding)

    def _read_as(self, prediction: str, told: str) -> None:
        """Take the network's answers for another prediction from now on."""
        if self._levels.shares is not None:
            raise UserError(
                f"model.prediction: got {prediction!r}, but {self.name} is a rectified flow, which predicts "
                "its velocity: leave auto."
            )
        self._levels, self._prediction_from = replace(self._levels, prediction=prediction), told

    def _try_prediction(self, clean: Tensor) -> None:
        """Noise one picture's latent, look at what the network makes of it, and believe that (prediction.py)."""
        self._untried = False
        times = (torch.tensor(SHARES) * len(self._levels)).long()
        alphas = self._levels.alphas_cumprod[times]
        clean = clean.expand(len(times), *clean.shape[1:])
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0)).to(clean)
        share = alphas.to(clean).reshape(-1, *[1] * (clean.dim() - 1))
        x = share.sqrt() * clean + (1 - share).sqrt() * noise
        blank = self.embed([""]).expand(len(times), -1, -1)
        found = errors(self._answer(x, times, blank).to(clean), clean, noise, alphas)
        seen, configured = recognised(found, self.prediction), self.prediction
        said = ", ".join(f"{kind} {error:.2f}" for kind, error in found.items())
        if seen is None:
            log.warning(
                "%s: read as %s, the network predicts no better than nothing (relative errors %s): its weights "
                "may not be trained, or not fit; model.prediction= says what they predict.",
                self.name, configured, said,
            )  # fmt: skip
        elif seen != configured:
            self._read_as(seen, "trial")
            log.warning(
                "%s: the network predicts %s, not %s as configured (relative errors %s): it is read so; "
                "model.prediction=%s says it for good.",
                self.name, seen, configured, said, seen,
            )  # fmt: skip

    @torch.inference_mode()
    def invert(self, latents: Tensor, embedding: Tensor) -> Tensor:
        """Clean latents (n, *latent_shape) → latents at the path's noise level, guidance 1."""
        return self.climb(latents, self._under(embedding))

    @torch.inference_mode()
    def sample(
        self, embedding: Tensor, seeds: Sequence[int], guidance: float | None = None
    ) -> Tensor:
        """Pictures of the model's own, on their way from pure noise down to the path's noise level.

        Args:
            embedding: (n, rows, width) of what they show.
            seeds: n; the noise of each is the same on every device.
            guidance: weight w of ε̂ = ε(∅) + w (ε(c) − ε(∅)) (Ho & Salimans, 2022), or what a network that was
                distilled from such sums is told; None is `self.guidance`.

        Returns:
            latents (n, *latent_shape).
        """
        if self._untried:  # no picture was given to try it with: any will do
            self._latents(torch.full((1, 3, *self.image_size), 0.5))
        weight = self.guidance if guidance is None else guidance
        noise = [
            torch.randn(self.latent_shape, generator=torch.Generator().manual_seed(seed))
            for seed in seeds
        ]
        above = self.scheduler.above(self._levels, self.timestep)
        ladder = [self._ladder[-1], *(self._levels.at(t) for t in above)]
        if self._network.distilled:
            with self._network.guided(weight):
                return self.descend(torch.stack(noise), self._under(embedding), ladder)
        blank = self.embed([""], negative=True)
        if blank.shape[1] != embedding.shape[1]:
            blank = self.lengthen(blank, embedding.shape[1])
        both = torch.cat([blank.expand_as(embedding), embedding])

        def guided(x: Tensor, t: int) -> Tensor:
            without, asked = self.noise_prediction(torch.cat([x, x]), t, both).chunk(2)
            return without + weight * (asked - without)

        return self.descend(torch.stack(noise), guided, ladder)

    @torch.inference_mode()
    def denoise(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Latents (n, *latent_shape) at the path's noise level → clean latents, guidance 1."""
        return self.descend(x, self._under(embedding))

    @torch.inference_mode()
    def sketch(self, x: Tensor, embedding: Tensor) -> Tensor:
        """As `denoise`, in ROUGH steps of the second order: what a picture will be, not its details."""
        if self.rough_passes == self.passes:
            return self.denoise(x, embedding)
        return ode.descend(
            "multistep", self._under(embedding), x.to(self.device), self._rough, order=2
        )

    def descend(
        self,
        x: Tensor,
        noise: Callable[[Tensor, int], Tensor],
        ladder: Sequence[Level] | None = None,
    ) -> Tensor:
        """`denoise` by another ε(x, t) than one prompt's, as decoders mix them; or part of the way down."""
        chosen, rungs = self.scheduler, ladder or self._ladder
        return ode.descend(
            chosen.sampler, noise, x.to(self.device), rungs, chosen.order, chosen.corrector
        )

    @property
    def ladder(self) -> Sequence[Level]:
        """The sampler's levels, from the clean latent's up to the path's."""
        return self._ladder

    def climb(
        self,
        x: Tensor,
        noise: Callable[[Tensor, int], Tensor],
        ladder: Sequence[Level] | None = None,
    ) -> Tensor:
        """`invert` by another ε(x, t) than one prompt's; or part of the way up."""
        chosen, rungs = self.scheduler, ladder or self._ladder
        return ode.climb(
            chosen.sampler, noise, x.to(self.device), rungs,
            chosen.iterations, chosen.order, chosen.corrector,
        )  # fmt: skip

    @property
    def denoiser(self) -> Any:
        """The network itself, for what is put into its layers."""
        return self._network.denoiser

    @property
    def batch_size(self) -> int:
        """Latents a call at present."""
        return self._chunks.size

    def _under(self, embedding: Tensor) -> Callable[[Tensor, int], Tensor]:
        """ε(x, t) under one prompt a latent."""
        return lambda latents, t: self.noise_prediction(latents, t, embedding)

    def judge(self, points: Tensor, alpha: float, manifold: Manifold) -> dict[str, float | None]:
        """Nothing: of a network's density no geodesic is known exactly."""
        return {}

    def picture(self, points: Tensor, alpha: float, manifold: Manifold) -> None:
        """None: a network's density cannot be drawn."""

    def parameters(self) -> Iterator[Tensor]:
        """All frozen weights."""
        for part in self._placement.parts.values():
            yield from part.parameters()


def _distilled(weight: float, network: Network) -> float:
    """model.distilled_guidance, or UserError where the network could not be told it."""
    if not weight >= 0:
        raise UserError(f"model.distilled_guidance: got {weight}, expected a number of at least 0.")
    if weight != 1 and not network.takes_guidance:
        raise UserError(
            f"model.distilled_guidance: got {weight}, but this network is told no guidance, as FLUX.1 dev is: "
            "leave 1."
        )
    return float(weight)
