"""Fields: what noise predictions are made into, a direction of growing density.

For the condition c, no prompt ∅ and a negative prompt, with σ_t = √(1 − ᾱ_t):

    noise_prediction  −ε̂/σ_t,  ε̂ = ε_∅ + k(ε_c − ε_∅)           score of p_t(x | c); of p_t itself at k = 1 exactly
    contrast          ½(ε_neg − ε_c), or its guided form           score of (σ_t/2) log p(x | c)/p(x | neg)   [Yu 2025]
    sds               −w(t)(ε̂ − ε), k = 100                       a guided density's, noisily        [Poole 2022]
    nfsd              −w(t)(δ_D + kδ_C)                            the same with less noise           [Katzir 2023]

α belongs to the field: each weighs the same density by its own power.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from geodesic_lightning.errors import UserError


def score_from_noise(noise: Tensor, sigma: float | Tensor) -> Tensor:
    """∇log p_t(x) = −ε(x, t)/σ_t: the one place where a noise prediction becomes a score."""
    return -noise / sigma


@dataclass(frozen=True)
class Draw:
    """One look at the field: timestep t, σ_t, weight w(t) and the noise ε that was added (like x)."""

    t: int
    sigma: float
    weight: float
    noise: Tensor


class Field(ABC):
    """What is made of the noise predictions named in `needs`: conditional, unconditional, negative."""

    name: str
    needs: tuple[str, ...]
    bounded = False

    @abstractmethod
    def combine(self, noise: dict[str, Tensor], draw: Draw) -> Tensor:
        """The field, like x, from noise predictions like x."""


class NoisePrediction(Field):
    """−ε̂/σ_t with ε̂ = ε_∅ + guidance·(ε_c − ε_∅): at guidance 1 the score of p_t(x | c), one pass."""

    name = "noise_prediction"

    def __init__(self, guidance: float = 1.0) -> None:
        self.guidance = guidance
        self.needs = ("conditional",) if guidance == 1 else ("conditional", "unconditional")
        self.bounded = guidance == 1

    def combine(self, noise: dict[str, Tensor], draw: Draw) -> Tensor:
        return score_from_noise(guided(noise, self.guidance), draw.sigma) * draw.weight


class Contrast(Field):
    """½(ε_neg − ε_c) at equal guidances (the released code's), else (g₀(ε_∅ − ε_c) + g₁(ε_neg − ε_∅))/(|g₀| + |g₁|)."""

    name = "contrast"

    def __init__(self, guidance_conditional: float = 1.0, guidance_negative: float = 1.0) -> None:
        total = abs(guidance_conditional) + abs(guidance_negative)
        if total == 0:
            raise UserError(
                "score.guidance_conditional and score.guidance_negative: both are 0, expected at least one other."
            )
        self.conditional, self.negative = guidance_conditional / total, guidance_negative / total
        equal = guidance_conditional == guidance_negative
        self.needs = (
            ("conditional", "negative") if equal else ("conditional", "unconditional", "negative")
        )

    def combine(self, noise: dict[str, Tensor], draw: Draw) -> Tensor:
        field = self.negative * noise["negative"] - self.conditional * noise["conditional"]
        if "unconditional" in noise:
            field = field + (self.conditional - self.negative) * noise["unconditional"]
        return field * draw.weight


class ScoreDistillation(Field):
    """−w(t)(ε̂ − ε) at guidance k: DreamFusion's SDS. Its noise is of the size of ε itself."""

    name = "sds"
    needs = ("conditional", "unconditional")

    def __init__(self, guidance: float = 100.0) -> None:
        self.guidance = guidance

    def combine(self, noise: dict[str, Tensor], draw: Draw) -> Tensor:
        return -draw.weight * (guided(noise, self.guidance) - draw.noise)


class NoiseFree(Field):
    """−w(t)(δ_D + kδ_C), δ_C = ε_c − ε_∅; δ_D = ε_∅ below t = threshold, else ε_∅ − ε_neg: NFSD."""

    name = "nfsd"
    needs = ("conditional", "unconditional", "negative")

    def __init__(self, guidance: float = 7.5, threshold: int = 200) -> None:
        self.guidance, self.threshold = guidance, threshold

    def combine(self, noise: dict[str, Tensor], draw: Draw) -> Tensor:
        unconditional = noise["unconditional"]
        domain = unconditional if draw.t < self.threshold else unconditional - noise["negative"]
        return -draw.weight * (domain + self.guidance * (noise["conditional"] - unconditional))


def guided(noise: dict[str, Tensor], guidance: float) -> Tensor:
    """Classifier-free guidance ε_∅ + k(ε_c − ε_∅)."""
    if guidance == 1:
        return noise["conditional"]
    return noise["unconditional"] + guidance * (noise["conditional"] - noise["unconditional"])
