"""A noise level, and the straight step between two.

With x = √ᾱ z + σ ε the probability flow ODE (Song et al., 2021) is straight in y = x/√ᾱ and
ς = σ/√ᾱ:

    dy/dς = ε(x, t),      x_b = √(ᾱ_b/ᾱ_a) (x_a − σ_a ε) + σ_b ε        (exact for a constant ε)
"""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Level:
    """A noise level: timestep t, signal √ᾱ and noise σ of x = √ᾱ z + σ ε."""

    t: int
    signal: float
    sigma: float

    @property
    def ratio(self) -> float:
        """ς = σ/√ᾱ = exp(−λ)."""
        return self.sigma / self.signal


def advance(x: Tensor, noise: Tensor, here: Level, there: Level) -> Tensor:
    """x (n, *shape) from one level to another along a constant ε, like x."""
    return (there.signal / here.signal) * (x - here.sigma * noise) + there.sigma * noise
