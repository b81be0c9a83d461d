"""The noise levels of a latent diffusion model, in one convention for every kind of network.

    x_t = √ᾱ_t z + σ_t ε,   σ_t² = 1 − ᾱ_t                       (variance preserving)

A rectified flow mixes its latents linearly, x' = (1 − s) z + s ε. Divided by r = √((1−s)² + s²)
they are of the form above with ᾱ = (1 − s)²/r², so flows and diffusions share levels, samplers,
spheres and scores; only the network is handed x' = r x. The noise ε is the same in both; the score
−ε/σ_t of x is r times the score −ε/s of x', as it must be for a change of scale. Either way p_t is
the density of the data convolved with a Gaussian of variance σ_t², hence

    −∇² log p_t = 1/σ_t² − ᾱ_t Cov(z | x)/σ_t⁴ ≤ 1/σ_t²

What a network predicts becomes ε here (Salimans & Ho, 2022, for v):

    epsilon ε̂      v_prediction √ᾱ v̂ + σ x      sample (x − √ᾱ ẑ)/σ      flow x' + (1 − s) v̂
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from geodesic_lightning.errors import UserError
from geodesic_lightning.models.level import Level

PREDICTIONS = ("epsilon", "v_prediction", "sample", "flow")
FAINT = 1e-8  # ᾱ: below it ς has no use as a number, as at the first level of a flow


@dataclass(frozen=True)
class Levels:
    """The levels t = 0 … T−1.

    Attributes:
        alphas_cumprod: ᾱ_t (T,) float64.
        prediction: what the network predicts, one of PREDICTIONS.
        clean: ᾱ of the level at which a clean latent stands.
        shares: s of a rectified flow (T,) float64, None for a diffusion.
    """

    alphas_cumprod: Tensor
    prediction: str = "epsilon"
    clean: float = 1.0
    shares: Tensor | None = None

    def __len__(self) -> int:
        return len(self.alphas_cumprod)

    def at(self, t: int) -> Level:
        """The level of timestep t."""
        return _level(t, float(self.alphas_cumprod[t]))

    @property
    def ratios(self) -> Tensor:
        """ς_t = σ_t/√ᾱ_t (T,) float64, rising."""
        return ((1 - self.alphas_cumprod) / self.alphas_cumprod).sqrt()

    @property
    def top(self) -> int:
        """The last timestep at which something is left of the clean latent: pure noise, for sampling."""
        return int((self.alphas_cumprod > FAINT).nonzero()[-1])

    def ladder(self, timesteps: list[int]) -> list[Level]:
        """The clean latent's level, then those of rising timesteps."""
        return [_level(0, self.clean), *(self.at(t) for t in timesteps)]

    def for_network(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Latents (n, *shape) and times (n,) that the network wants for x at timesteps t (n,)."""
        if self.shares is None:
            return x, t
        share = self.shares[t]
        return x * _like(_radius(share), x), (1000 * share).float()

    def noise(self, predicted: Tensor, x: Tensor, t: Tensor) -> Tensor:
        """ε, like x (n, *shape), from the network's prediction there at timesteps t (n,)."""
        if self.prediction == "epsilon":
            return predicted
        if self.prediction == "flow" and self.shares is not None:
            share = self.shares[t]
            return _like(_radius(share), x) * x + _like(1 - share, x) * predicted
        alphas = self.alphas_cumprod[t]
        signal, sigma = _like(alphas.sqrt(), x), _like((1 - alphas).sqrt(), x)
        if self.prediction == "v_prediction":
            return signal * predicted + sigma * x
        return (x - signal * predicted) / sigma


def of_flow(shares: Tensor) -> Levels:
    """Levels of a rectified flow whose noise shares s (T,) rise within (0, 1]."""
    shares = shares.double()
    return Levels((1 - shares).square() / _radius(shares).square(), "flow", 1.0, shares)


def of_scheduler(scheduler: Any, tokens: int = 0) -> Levels:
    """The levels that a pipeline's own scheduler was trained with.

    Args:
        scheduler: of diffusers.
        tokens: of a latent, for a flow that shifts its levels with the image's size.

    Raises:
        UserError: a scheduler of another kind, or a prediction that is not known here.
    """
    name, config = type(scheduler).__name__, scheduler.config
    if name.startswith("FlowMatch"):
        return of_flow(_flow_shares(type(scheduler).from_config(config), tokens).flip(0))
    if "beta_start" not in config:
        raise UserError(
            f"This model's scheduler is {name}, expected one with the betas of a diffusion or a "
            "FlowMatch one: take another model."
        )
    from diffusers import DDIMScheduler

    ddim = DDIMScheduler.from_config(config)
    if ddim.config.prediction_type not in PREDICTIONS[:3]:
        raise UserError(
            f"The scheduler's prediction_type is {ddim.config.prediction_type!r}, expected one of "
            f"{', '.join(PREDICTIONS[:3])}: correct scheduler_config.json or take another model."
        )
    return Levels(
        ddim.alphas_cumprod.double(), ddim.config.prediction_type, float(ddim.final_alpha_cumprod)
    )


def shifted(scheduler: Any) -> bool:
    """The scheduler's levels go by the image's size."""
    return bool(scheduler.config.get("use_dynamic_shifting"))


def _flow_shares(scheduler: Any, tokens: int) -> Tensor:
    """s (T,), falling from 1; with dynamic shifting as diffusers' pipelines ask for it.

    s' = 1/(1 + e^−μ (1/s − 1)), with μ linear in the number of tokens.
    """
    if not shifted(scheduler):
        return scheduler.sigmas
    from diffusers.pipelines.flux.pipeline_flux import calculate_shift

    config = scheduler.config
    names = ("base_image_seq_len", "max_image_seq_len", "base_shift", "max_shift")
    total = config.num_train_timesteps
    even = [1 - k / total for k in range(total)]
    scheduler.set_timesteps(
        sigmas=even, mu=calculate_shift(tokens, *(config[name] for name in names))
    )
    return scheduler.sigmas[:-1]


def _level(t: int, alpha: float) -> Level:
    return Level(t, alpha**0.5, (1 - alpha) ** 0.5)


def _radius(share: Tensor) -> Tensor:
    return ((1 - share).square() + share.square()).sqrt()


def _like(values: Tensor, x: Tensor) -> Tensor:
    """Values (n,) with the type, place and dimensions of x (n, *shape)."""
    return values.to(x).reshape(-1, *[1] * (x.dim() - 1))
