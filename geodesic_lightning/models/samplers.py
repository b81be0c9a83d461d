"""Samplers of the probability flow ODE, up and down, for any model that predicts noise.

With x = √ᾱ z + σ ε the ODE (Song et al., 2021) is straight in y = x/√ᾱ and ς = σ/√ᾱ:

    dy/dς = ε(x, t)

so that every sampler is a rule for the ε of a step from a level a to a level b, taken as

    x_b = √(ᾱ_b/ᾱ_a) (x_a − σ_a ε) + σ_b ε        (exact for a constant ε)

    ddim         ε at a: one evaluation a step, order 1 (Song et al., 2020). It is Euler's rule in
                 ς, and for a rectified flow it is Euler's rule in the flow's own time.
    heun         the mean of ε at a and at the point where that leads: two evaluations, order 2
                 (Karras et al., 2022).
    multistep    the mean over the step of a polynomial in log ς through the last evaluations, then
                 corrected: one evaluation a step, order 2 or 3 (multistep.py).
    dpm_solver   DPM-Solver++ 2M (Lu et al., 2022): one evaluation a step, order 2. With
                 λ = log(√ᾱ/σ) the data prediction D = (x − σε)/√ᾱ is extrapolated from the last
                 two, D_a + (D_a − D_0)(λ_b − λ_a)/(2(λ_a − λ_0)).

Downwards ddim's ε is taken at the noisier level. Upwards the noisier point is what is looked for:
its ε is taken at the point below with the timestep above, and each further fixed-point iteration
puts the point just found in its place. Where they settle, x_b is exactly the point from which the
downward step leads back to x_a (Pan et al., 2023).
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import log

from torch import Tensor

from geodesic_lightning.models.level import Level, advance
from geodesic_lightning.models.multistep import walk

Noise = Callable[[Tensor, int], Tensor]  # ε(x, t)

SAMPLERS = ("ddim", "heun", "dpm_solver", "multistep")
INVERTIBLE = ("ddim", "heun")  # their steps know nothing of the steps before


def climb(
    sampler: str,
    noise: Noise,
    x: Tensor,
    levels: Sequence[Level],
    iterations: int = 0,
    order: int = 2,
    corrector: bool = True,
) -> Tensor:
    """From the first of `levels`, the clean latent's, to the last: x (n, *shape) → like x.

    `iterations` are those of the fixed point; `order` and `corrector` are multistep's.
    """
    if sampler == "multistep":
        return walk(noise, x, levels, order, corrector)
    memory = None
    for here, there in pairwise(levels):
        if sampler == "dpm_solver" and here.sigma > 0:
            x, memory = _dpm_solver(noise, x, here, there, memory)
            continue
        if sampler == "heun" and here.sigma > 0:
            x, below = _heun(noise, x, here, there), x
            for _ in range(iterations):
                back = _heun(noise, x, there, here)
                x = x + (below - back) * (there.signal / here.signal)
            continue
        below, guess = x, x
        for _ in range(1 + iterations):
            guess = advance(below, noise(guess, there.t), here, there)
        x = guess
    return x


def descend(
    sampler: str,
    noise: Noise,
    x: Tensor,
    levels: Sequence[Level],
    order: int = 2,
    corrector: bool = True,
) -> Tensor:
    """From the last of `levels` to the first: x (n, *shape) → like x."""
    falling = list(reversed(levels))
    if sampler == "multistep":
        return walk(noise, x, falling, order, corrector)
    memory = None
    for here, there in pairwise(falling):
        if sampler == "dpm_solver":
            x, memory = _dpm_solver(noise, x, here, there, memory)
        elif sampler == "heun" and there.sigma > 0:
            x = _heun(noise, x, here, there)
        else:
            x = advance(x, noise(x, here.t), here, there)
    return x


def _heun(noise: Noise, x: Tensor, here: Level, there: Level) -> Tensor:
    first = noise(x, here.t)
    second = noise(advance(x, first, here, there), there.t)
    return advance(x, (first + second) / 2, here, there)


def _dpm_solver(
    noise: Noise, x: Tensor, here: Level, there: Level, memory: tuple[Tensor, Level] | None
) -> tuple[Tensor, tuple[Tensor, Level]]:
    """The next x, and the data prediction here with its level for the step after."""
    data = (x - here.sigma * noise(x, here.t)) / here.signal
    if memory is None or there.sigma == 0:
        predicted = data
    else:
        before, level = memory
        stretch = log(here.ratio / there.ratio) / (2 * log(level.ratio / here.ratio))
        predicted = data + stretch * (data - before)
    ratio = there.sigma / here.sigma
    return ratio * x + (there.signal - ratio * here.signal) * predicted, (data, here)
