"""From steps to spans: how many steps a span of the way takes.

A step may turn the velocity by no more than a limit, α|Ps|ds ≤ 0.5 by default: that is where the
methods' own error, a power of the turning, is still small.
"""

from dataclasses import replace

import torch
from torch import Tensor

from geodesic_lightning.errors import UserError
from geodesic_lightning.geometry.manifold import Manifold
from geodesic_lightning.integrators.geodesic_ode import (
    Medium,
    State,
    Step,
    turning,
)

MOST_PIECES = 1000  # of one span: what turns faster is no field of a path


def advance(
    state: State, u: Tensor, span: Tensor, medium: Medium, step: Step, limit: float | None = 0.5
) -> State:
    """All shots from u to u + span, each in as many equal steps as its own turning asks for.

    The turning that controls a step is that where the score was last looked at; the first step of
    a shot looks once more. Shots that have arrived are not scored further, and how one shot steps
    does not depend on the others.

    Args:
        state: (n, …): one leading dimension.
        u, span: (n,).
        step: rk4_step or strang_step.
        limit: the most radians that the density turns v in a step; None for one step.
    """
    if limit is None:
        return step(state, u, span, medium)
    if bool(state.turning.isnan().any()):
        score = medium.tangent_score(state.x, u)
        state = replace(state, turning=turning(state.v, score, medium.alpha))
    left = span.clone()
    active = torch.arange(len(span), device=span.device)
    done = state
    for _ in range(MOST_PIECES):
        part = done[active]
        pieces = torch.ceil(part.turning * left[active].abs() / limit).clamp(1, MOST_PIECES)
        h = left[active] / pieces
        done = done.put(active, step(part, (u + span - left)[active], h, medium))
        left = left.index_copy(0, active, torch.where(pieces == 1, 0.0, left[active] - h))
        active = torch.nonzero(left != 0).flatten()
        if not len(active):
            return done
    raise UserError(
        f"The density turns the path more than {MOST_PIECES * limit:.0f} radians on one of its "
        "segments: give a smaller solver.alpha, a shorter solver.length or more solver.segments."
    )


def straight(
    start: Tensor, velocity: Tensor, segments: int, manifold: Manifold
) -> tuple[Tensor, Tensor]:
    """The manifold's geodesic from start, velocity (n, d): places and velocities (n, N+1, d)."""
    u = torch.linspace(0, 1, segments + 1).to(start)
    return manifold.straight(start[:, None], velocity[:, None], u)
