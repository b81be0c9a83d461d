"""Whole shots, step by step: what tests of the integrators are made with."""

from __future__ import annotations

import torch
from torch import Tensor

from geodesic_lightning.integrators.adaptive import advance
from geodesic_lightning.integrators.geodesic_ode import METHODS, Medium, State, begin

CALLS = {"rk4": 4, "strang": 1}  # of the score, a step


def shoot(
    start: Tensor,
    velocity: Tensor,
    medium: Medium,
    segments: int,
    method: str = "rk4",
    limit: float | None = None,
) -> list[State]:
    """States at u = 0, 1/N, …, 1 of shots from start with velocities, both (n, d), for unit time.

    Args:
        method: rk4 or strang.
        limit: as for `advance`; None takes one step a segment.
    """
    states = [begin(start.expand_as(velocity), velocity)]
    span = velocity.new_full((len(velocity),), 1 / segments)
    for k in range(segments):
        u = torch.full_like(span, k / segments)
        states.append(advance(states[-1], u, span, medium, METHODS[method], limit))
    return states


def segment_check(
    points: Tensor, velocity: Tensor, medium: Medium, span: int = 4, method: str = "rk4"
) -> Tensor:
    """How well a path shoots itself: from each node over `span` segments, against the node there.

    Across a whole path errors grow by orders of magnitude; over four segments the test is fair.

    Args:
        points: (N+1, d), evenly spaced.
        velocity: (N+1, d), dγ/du at the nodes.

    Returns:
        (N+1−span,): |shot − node| over the distance of the two nodes.
    """
    segments = len(points) - 1
    states = begin(*medium.on_manifold(points[:-span], velocity[:-span]))
    u = torch.arange(segments + 1 - span).to(points) / segments
    h = torch.full_like(u, 1 / segments)
    for k in range(span):
        states = advance(states, u + k * h, h, medium, METHODS[method], None)
    gap = medium.manifold.dist(states.x, points[span:])
    return gap / medium.manifold.dist(points[:-span], points[span:])
