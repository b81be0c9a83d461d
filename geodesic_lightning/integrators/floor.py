"""Shots that stay where pictures are: geodesics of the region log p ≥ c, which has a boundary.

A geodesic bends towards low density, so that a free shot ends where nothing is drawable. In the region
log p ≥ c it is free inside; where it would leave, it slides along the boundary, as a taut string along
an obstacle: the part of v that leads out is taken away, and its length given back. With the score
s = ∇log p, normal to the level set, to first order,

    x ← x + s (c − log p)/|s|²        no further than a step of the shot
    v ← v − min(s·v, 0) s/|s|²        then scaled to the speed that the parametrization keeps

c is given in standard deviations: log p over samples of a Gaussian in d dimensions has √(d/2) nats of it.
Where the start lies below c, the shot climbs to it over its first steps.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from geodesic_lightning.errors import UserError
from geodesic_lightning.integrators.geodesic_ode import Medium, State, dot, metric_speed, norm

TRUSTED = 3.0  # standard deviations by which log p may fall before frames are likely to dissolve


def standard_deviation(dimension: int) -> float:
    """√(d/2), nats: of log p over the samples of a Gaussian in d dimensions."""
    return math.sqrt(dimension / 2)


def nats(floor: float | None, dimension: int) -> float | None:
    """c relative to the start's log p, from standard deviations; None stays.

    Raises:
        UserError: it is no finite number.
    """
    if floor is None:
        return None
    if not math.isfinite(floor):
        raise UserError(
            f"solver.floor: got {floor}, expected a number of standard deviations √(d/2), as 6, or null."
        )
    return floor * standard_deviation(dimension)


def kept_above(state: State, u: Tensor, step: Tensor, medium: Medium, floor: float) -> State:
    """Shots that have left log p ≥ floor put back, their velocities along its boundary; one call for all.

    Args:
        state: (n, …), at the end of a step. u: (n,). step: (n,), by how much u grew.
        floor: nats, relative to the start.
    """
    below = torch.nonzero(state.log_density < floor).flatten()
    if not len(below):
        return state
    part = state[below]
    score = medium.tangent_score(part.x, u[below])
    square = dot(score, score).clamp_min(torch.finfo(score.dtype).tiny)
    missing = (floor - part.log_density)[:, None] / square
    most = norm(part.v)[:, None] * step[below, None].abs() / square.sqrt()
    share = torch.minimum(missing, most)
    x, v = part.x + share * score, part.v - dot(score, part.v).clamp_max(0) / square * score
    x, v = medium.on_manifold(x, v)
    rise = (share * square)[:, 0]
    speed = norm(part.v)
    if medium.parametrization == "metric":
        speed = metric_speed(part, medium.alpha) * torch.exp(
            medium.alpha * (part.log_density + rise)
        )
    size = norm(v).clamp_min(torch.finfo(v.dtype).tiny)
    v = v * (speed / size)[:, None]
    return state.put(below, replace(part, x=x, v=v, log_density=part.log_density + rise))


def trusted(log_density: Tensor, dimension: int) -> float:
    """The part of the way, 0 to 1, up to where log p has fallen by TRUSTED standard deviations; 1 if it never does.

    Args:
        log_density: (m,), nats relative to the start, at even places.
    """
    least = -TRUSTED * standard_deviation(dimension)
    known = log_density.double().cpu()
    below = torch.nonzero(known < least).flatten()
    if not len(below):
        return 1.0
    k = int(below[0])
    before, after = float(known[k - 1]), float(known[k])
    return (k - 1 + (before - least) / (before - after)) / (len(known) - 1)
