"""Low-rank weights that fit the frozen denoiser to the two images, and their mixture between.

    min over Δθ of E_{t, ε} |ε_{θ+Δθ}(√ᾱ_t z + σ_t ε, t, c) − ε|²,    Δθ_u = (1 − u) Δθ_A + u Δθ_B

one Δθ an image (DiffMorpher: attention projections, rank 16, 200 steps of AdamW at 2e-4), or one
for both (`joint`, as in IMPUS). By peft; the frozen weights are never written.

IMPUS (Yang et al., ICLR 2024, arXiv 2311.06792) gives two images that lie on a crooked path a higher
rank: with d² between the frames f_0 … f_10 of the frozen network's path

    rPPD = Σ d²(f_j, f_{j−1}) / (9 d²(f_0, f_10)),    rank = 2^max(0, ⌊18 rPPD − 6⌋)
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from geodesic_lightning.decoding.perceptual import Perceptual, check_installed
from geodesic_lightning.errors import UserError, require

if TYPE_CHECKING:
    from geodesic_lightning.models.diffusion import DiffusionModel

TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]
DIVERSE = 10  # pieces of the path that rPPD looks at
HIGHEST = 10  # exponent of the rank: wider than any attention layer


class Lora:
    """Adapters of a model's denoiser.

    Args:
        rank: of each Δθ; None takes it from the images, by rPPD.
        steps: of AdamW for each image.
        lr: its rate.
        joint: one adapter for all images.
        batch_size: draws of (t, ε) a step.
        seed: of the draws and of the adapters' first weights.
        perceptual: d² for rPPD, needed where rank is None.
        name: in the names of the adapters, which tells several sets apart.

    Raises:
        UserError: a number is out of range, or peft is not installed.
    """

    def __init__(
        self,
        rank: int | None = 16,
        steps: int = 200,
        lr: float = 2e-4,
        joint: bool = False,
        batch_size: int = 1,
        seed: int = 0,
        perceptual: Perceptual | None = None,
        name: str = "",
    ) -> None:
        for setting, value in (("rank", rank), ("batch_size", batch_size)):
            if value is not None and value < 1:
                raise UserError(f"decoder.lora.{setting}: got {value}, expected at least 1.")
        if steps < 0:
            raise UserError(f"decoder.lora.steps: got {steps}, expected at least 0.")
        require(
            "peft",
            "decoder: low-rank weights need peft: pip install 'geodesic-lightning[morphs]', or choose "
            "another decoder.",
        )
        if perceptual is not None:
            check_installed(perceptual)
        self.rank, self.steps, self.lr, self.joint = rank, steps, lr, joint
        self.batch_size, self.seed = batch_size, seed
        self.perceptual, self.name = perceptual, name

    def fit(self, model: DiffusionModel, clean: Tensor, embeddings: Tensor) -> list[str]:
        """Train on clean latents (2, *shape) under their embeddings (2, rows, width); adapters' names.

        The adapters stay in the denoiser, switched off.
        """
        names = [self.name + end for end in (["both"] if self.joint else ["start", "end"])]
        check_trainable(model.denoiser)
        if model.adapters:
            raise UserError(
                f"decoder: low-rank weights are trained for these images, and the pipeline has its own "
                f"({', '.join(model.adapters)}): make them part of it first, by pipe.fuse_lora() and "
                "pipe.unload_lora_weights(), or choose decoder=plain."
            )
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            for number, name in enumerate(names):
                self._add(model.denoiser, name)
                own = slice(None) if self.joint else slice(number, number + 1)
                self._train(model, name, clean[own], embeddings[own])
        model.denoiser.disable_adapters()
        return names

    def adapt(self, model: DiffusionModel, film: Tensor) -> None:
        """Take the rank, where none is given, from the frozen network's film of DIVERSE + 1 frames."""
        if self.rank is None and self.perceptual is not None:
            steps = self.perceptual(model, film)
            self.rank = adaptive_rank(steps, float(self.perceptual(model, film[[0, -1]])[0]))

    def _add(self, denoiser: Any, name: str) -> None:
        from peft import LoraConfig

        if name in getattr(denoiser, "peft_config", {}):
            denoiser.delete_adapters([name])
        rank = self.rank
        assert rank is not None, "adapted to the film first"
        config = LoraConfig(
            r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=TARGETS
        )
        with warnings.catch_warnings():  # several adapters are what is wanted
            warnings.filterwarnings("ignore", message="Already found a `peft_config`")
            denoiser.add_adapter(config, adapter_name=name)

    def _train(self, model: DiffusionModel, name: str, clean: Tensor, embeddings: Tensor) -> None:
        denoiser = model.denoiser
        denoiser.enable_adapters()
        denoiser.set_adapters([name])
        weights = [
            parameter.requires_grad_(True)
            for key, parameter in denoiser.named_parameters()
            if f".{name}." in key
        ]
        optimizer = torch.optim.AdamW(weights, self.lr)
        generator = torch.Generator().manual_seed(self.seed)
        clean = clean.clone().repeat_interleave(self.batch_size, 0)
        prompts = embeddings.clone().repeat_interleave(self.batch_size, 0)
        for _ in range(self.steps):
            t = torch.randint(model.timesteps, (len(clean),), generator=generator)
            noise = torch.randn(clean.shape, generator=generator).to(clean)
            level = torch.tensor([model.alpha_cumprod(int(i)) for i in t]).to(clean)
            level = level.reshape(-1, *[1] * (clean.dim() - 1))
            noised = level.sqrt() * clean + (1 - level).sqrt() * noise
            loss = (model.noise_prediction(noised, t, prompts) - noise).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        for weight in weights:
            weight.requires_grad_(False)


def check_trainable(denoiser: Any) -> None:
    """Raise UserError for a denoiser to which diffusers adds no low-rank weights."""
    if not hasattr(denoiser, "add_adapter"):
        raise UserError(
            f"decoder: low-rank weights cannot be trained in a {type(denoiser).__name__}, to which diffusers "
            "adds none, expected Stable Diffusion or FLUX.1: choose decoder=plain."
        )


def diversity(steps: Tensor, apart: float) -> float:
    """rPPD of the d² between neighbours (10,) and between the ends."""
    return float(steps.sum()) / ((len(steps) - 1) * apart) if apart > 0 else 0.0


def adaptive_rank(steps: Tensor, apart: float) -> int:
    """2^max(0, ⌊18 rPPD − 6⌋), at most 2^HIGHEST."""
    return 2 ** min(max(0, int(18 * diversity(steps, apart) - 6)), HIGHEST)


@contextmanager
def at(denoiser: Any, names: Sequence[str], u: float) -> Iterator[None]:
    """The denoiser with the adapters at place u; afterwards they are switched off again."""
    if not names:
        yield
        return
    shares = [1.0] if len(names) == 1 else [1 - u, u]
    try:
        denoiser.enable_adapters()
        denoiser.set_adapters(list(names), weights=shares)
        yield
    finally:
        denoiser.disable_adapters()
