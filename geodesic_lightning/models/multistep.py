"""Linear multistep rules of the probability flow ODE: one evaluation a step, order 2 or 3.

In y = x/√ᾱ the ODE is dy/dς = ε, so that a step from ς_a to ς_b is taken exactly along the mean

    ε̄ = 1/(ς_b − ς_a) ∫ ε dς        from ς_a to ς_b

The predictor puts for ε the polynomial in log ς through its last `order` evaluations ε_i at ς_i
(Zhang & Chen, 2023: DEIS). With s = log(ς/ς_a)/h and h = log(ς_b/ς_a) that is

    ε̄ = Σ_i w_i ε_i,      w_i = ∫₀¹ L_i(s) e^{hs} ds / ∫₀¹ e^{hs} ds

for the Lagrange polynomials L_i of the s_i. The corrector takes the step once more when ε has been
evaluated where it led, with that evaluation among the points (Zhao et al., 2023: UniPC); the ε is
kept, so this costs no evaluation. The first steps take as many evaluations as there are.

log ς has no value at the clean level of a flow, ς = 0. A step into it takes the ε it starts with; a
step out of it the mean of the ε at both ends.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import log

import numpy as np
from torch import Tensor

from geodesic_lightning.models.level import Level, advance

ORDERS = (2, 3)
PLACES, SHARES = np.polynomial.legendre.leggauss(16)  # e^{hs} to 1e-15 for |h| up to 8


def walk(
    noise: Callable[[Tensor, int], Tensor],
    x: Tensor,
    levels: Sequence[Level],
    order: int = 2,
    corrector: bool = True,
) -> Tensor:
    """From the first of `levels` to the last, rising or falling: x (n, *shape) → like x.

    `noise` is ε(x, t), called once a step, at the level the step starts from.
    """
    seen: list[tuple[Level, Tensor]] = []
    start = x
    for here, there in pairwise(levels):
        found = noise(x, here.t)
        if corrector and seen:
            before = seen[-1][0]
            x = advance(start, mean([*seen, (here, found)], before, here), before, here)
        seen = [*seen, (here, found)][-order:]
        start, x = x, advance(x, mean(seen, here, there), here, there)
    return x


def mean(points: Sequence[tuple[Level, Tensor]], here: Level, there: Level) -> Tensor:
    """ε̄ of the step from `here` to `there` by evaluations ε at levels, the latest last."""
    if there.sigma == 0:
        return points[-1][1]
    if here.sigma == 0:
        return (points[0][1] + points[-1][1]) / 2
    points = [point for point in points if point[0].sigma > 0]
    shares = weights([level.ratio for level, _ in points], here.ratio, there.ratio)
    whole = shares[0] * points[0][1]
    for share, (_, noise) in zip(shares[1:], points[1:]):
        whole = whole + share * noise
    return whole


def weights(ratios: Sequence[float], here: float, there: float) -> list[float]:
    """w_i of evaluations at distinct ς_i > 0 for the step between two ς > 0; they sum to 1."""
    step = log(there / here)
    nodes = [log(ratio / here) / step for ratio in ratios]
    s = (1 + PLACES) / 2
    measure = SHARES * np.exp(step * s)
    found = []
    for node in nodes:
        lagrange = np.ones_like(s)
        for other in nodes:
            if other != node:
                lagrange = lagrange * (s - other) / (node - other)
        found.append(float(measure @ lagrange / measure.sum()))
    return found
