"""Geodesics from a start and a velocity: the initial value problem of the metric |w| p(x)^(−α).

With the score s = ∇log p (made tangent on a sphere of radius R), P = I − vvᵀ/|v|² and v = γ':

    euclidean gauge   v' = −α(|v|² s − (s·v) v) − |v|² γ/R²     |v| is constant
    metric gauge      v' = 2α(s·v) v − α|v|² s − |v|² γ/R²      |v| p^(−α) is constant
    in both           (log p)' = s·v,   (length)' = |v| p^(−α),   p = 1 at the start

The last term of v' belongs to the sphere alone. It is the same curve in both gauges, run through at
different speeds; it bends towards low density (as light, with index p^(−α), bends into the denser
medium). Source: Yu et al., "Probability Density Geodesics in Image Diffusion Latent Space",
CVPR 2025, section 3; the released scheme leaves the sphere's term out and is of second order there.

Everything here is a pure function of states whose fields have the same leading dimensions (...):
many shots, a fan of velocities from one start, are one batch.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from geodesic_lightning.errors import UserError
from geodesic_lightning.manifold import Euclidean, Sphere

GAUGES = ("euclidean", "metric")
MOST_PIECES = 1000  # of one span: a field that turns faster than this allows is no field of a path


@dataclass(frozen=True)
class State:
    """Where shots are.

    Attributes:
        x, v: place and velocity, (..., d).
        log_density: log p(x) − log p(start) in nats, (...).
        length: gone so far, in the metric relative to p(start) = 1, (...).
        turning: α|Ps||v| where the score was last looked at, radians per unit of u, (...);
            NaN before the first look.
    """

    x: Tensor
    v: Tensor
    log_density: Tensor
    length: Tensor
    turning: Tensor

    def __getitem__(self, index: Tensor) -> "State":
        """The shots that a mask or index of the leading dimensions selects."""
        return State(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


def begin(x: Tensor, v: Tensor) -> State:
    """The state of shots that start at x (..., d) with velocity v (..., d)."""
    x, v = torch.broadcast_tensors(x, v)
    zero = x.new_zeros(x.shape[:-1])
    return State(x, v, zero, zero, torch.full_like(zero, torch.nan))


@dataclass(frozen=True)
class Medium:
    """What bends the path: a score, its exponent, the space, and the gauge of the curve's parameter.

    Attributes:
        score: (x (n, d), u (n,)) → (n, d), the score at x where the shot is at u.
        alpha: α ≥ 0.
        manifold: Euclidean() or Sphere(radius).
        gauge: euclidean or metric.
    """

    score: Callable[[Tensor, Tensor], Tensor]
    alpha: float
    manifold: Euclidean | Sphere
    gauge: str = "euclidean"

    def __post_init__(self) -> None:
        if self.gauge not in GAUGES:
            raise UserError(
                f"solver.gauge: got {self.gauge!r}, expected one of {', '.join(GAUGES)}."
            )

    def tangent_score(self, x: Tensor, u: Tensor) -> Tensor:
        """The score at x (..., d) of the manifold and u (...), made tangent: (..., d). One call."""
        d = x.shape[-1]
        places = torch.as_tensor(u, dtype=x.dtype, device=x.device).expand(x.shape[:-1])
        found = self.score(x.reshape(-1, d), places.reshape(-1)).to(x.dtype).reshape(x.shape)
        if not torch.isfinite(found).all():
            raise UserError(
                "The score is NaN or infinite on the way: check the model's weights and precision, "
                "or give a smaller solver.length or solver.alpha."
            )
        return self.manifold.proju(x, found)

    def on_manifold(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest place and tangent to x, v (..., d)."""
        x = self.manifold.projx(x)
        return x, self.manifold.proju(x, v)


def acceleration(x: Tensor, v: Tensor, score: Tensor, medium: Medium) -> Tensor:
    """γ'' at x with velocity v and tangent score, all (..., d)."""
    square, rise = _dot(v, v), _dot(score, v)
    along = (2 if medium.gauge == "metric" else 1) * rise * v
    bend = medium.alpha * (along - square * score)
    if isinstance(medium.manifold, Sphere):
        bend = bend - square * x / medium.manifold.radius**2
    return bend


def turning(v: Tensor, score: Tensor, alpha: float) -> Tensor:
    """α|Ps||v|: how fast the density turns v, in radians per unit of the parameter, (...)."""
    square = _dot(v, v).clamp_min(torch.finfo(v.dtype).tiny)
    return alpha * (_dot(v, v).sqrt() * (score - _dot(score, v) / square * v)).norm(dim=-1)


Step = Callable[[State, Tensor, Tensor, Medium], State]


def rk4_step(state: State, u: Tensor, h: Tensor, medium: Medium) -> State:
    """One step of the classical Runge–Kutta method: fourth order, four calls of the score.

    The stages are points of the ambient space; each is put on the manifold, its velocity made
    tangent, before the score is asked there. Every stage has the sphere's own term.

    Args:
        state: shots at u.
        u: (...), where they are in [0, 1].
        h: (...), by how much u grows.
    """
    wide = h[..., None]

    def slope(x: Tensor, v: Tensor, log_density: Tensor, at: Tensor) -> tuple[tuple, Tensor]:
        x, v = medium.on_manifold(x, v)
        score = medium.tangent_score(x, at)
        rates = (v, acceleration(x, v, score, medium), (score * v).sum(-1))
        speed = _norm(v) * torch.exp(-medium.alpha * log_density)
        return (*rates, speed), turning(v, score, medium.alpha)

    first, _ = slope(state.x, state.v, state.log_density, u)
    slopes = [first]
    turned = state.turning
    for share in (0.5, 0.5, 1.0):
        dx, dv, rise, _ = slopes[-1]
        x, v = state.x + share * wide * dx, state.v + share * wide * dv
        found, turned = slope(x, v, state.log_density + share * h * rise, u + share * h)
        slopes.append(found)
    dx, dv, rise, speed = (
        (one + 2 * two + 2 * three + four) / 6 for one, two, three, four in zip(*slopes)
    )
    x, v = medium.on_manifold(state.x + wide * dx, state.v + wide * dv)
    return State(x, v, state.log_density + h * rise, state.length + h * speed, turned)


def strang_step(state: State, u: Tensor, h: Tensor, medium: Medium) -> State:
    """Drift for h/2 along the line or great circle, turn by the score for h, drift for h/2.

    Second order, one call of the score, time-reversible; both parts are solved exactly, so that
    stiff or noisy fields turn v but never throw it. Args as for `rk4_step`.
    """
    x, v = _drift(state.x, state.v, h / 2, medium.manifold)
    score = medium.tangent_score(x, u + h / 2)
    turned, rise = kick(v, score, h, medium)
    log_density = state.log_density + rise
    x, out = _drift(x, turned, h / 2, medium.manifold)
    speed = (
        _norm(v) * torch.exp(-medium.alpha * state.log_density)
        + _norm(turned) * torch.exp(-medium.alpha * log_density)
    ) / 2
    rate = torch.maximum(turning(v, score, medium.alpha), turning(turned, score, medium.alpha))
    return State(x, out, log_density, state.length + h * speed, rate)


def kick(v: Tensor, score: Tensor, h: Tensor, medium: Medium) -> tuple[Tensor, Tensor]:
    """What a constant score does to v in time h, exactly: the new v, and the rise of log p.

    In the metric gauge w = v/|v|² obeys w' = −αs: a straight line. Its direction is that of the
    euclidean gauge too, where with e = −s/|s|, g = α|v||s|h, q = v·e/|v|

        v ← |v| (w + e(q cosh g + sinh g)) / (cosh g + q sinh g),   w = v/|v| − qe,
        log p ← log p − log(cosh g + q sinh g)/α.

    Args:
        v, score: (..., d), the score tangent.
        h: (...).
    """
    speed, size = _norm(v), _norm(score)
    tiny = torch.finfo(v.dtype).tiny
    unit = v / speed.clamp_min(tiny)[..., None]
    if medium.gauge == "metric":
        straight = unit - (medium.alpha * h * speed)[..., None] * score
        stretch = _norm(straight)
        rise = h * speed * _dot(score, unit)[..., 0]
        if medium.alpha:
            rise = -torch.log(stretch) / medium.alpha
        return straight * (speed / stretch**2)[..., None], rise
    e = -score / size.clamp_min(tiny)[..., None]
    q = _dot(unit, e)[..., 0]
    g = medium.alpha * speed * size * h
    # Divided by cosh g, so that a large g cannot overflow.
    ahead, sech = torch.tanh(g), 1 / torch.cosh(g.clamp(-80, 80))
    turned = sech[..., None] * (unit - q[..., None] * e) + (q + ahead)[..., None] * e
    turned = turned / _norm(turned).clamp_min(tiny)[..., None]
    growth = 2 * torch.sinh(g / 2) ** 2 + q * torch.sinh(g)
    share = torch.where(g.abs() > 1e-6, torch.log1p(growth) / torch.where(g == 0, 1.0, g), q)
    return speed[..., None] * turned, -h * speed * size * share


def _drift(x: Tensor, v: Tensor, h: Tensor, manifold) -> tuple[Tensor, Tensor]:
    """Along the line or great circle from x with velocity v for time h."""
    step = h[..., None] * v
    there = manifold.expmap(x, step)
    if not isinstance(manifold, Sphere):
        return there, v
    speed = _norm(v)[..., None]
    angle = _norm(step)[..., None] / manifold.radius
    carried = (
        torch.cos(angle) * v
        - torch.sign(h)[..., None] * torch.sin(angle) * (speed / manifold.radius) * x
    )
    carried = manifold.proju(there, carried)
    return there, carried * (speed / _norm(carried)[..., None].clamp_min(torch.finfo(v.dtype).tiny))


METHODS: dict[str, Step] = {"rk4": rk4_step, "strang": strang_step}
CALLS = {"rk4": 4, "strang": 1}  # of the score, a step


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
        return _steady(step(state, u, span, medium), state, medium)
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
        after = _steady(step(part, (u + span - left)[active], h, medium), part, medium)
        done = _put(done, active, after)
        left = left.index_copy(0, active, torch.where(pieces == 1, 0.0, left[active] - h))
        active = torch.nonzero(left != 0).flatten()
        if not len(active):
            return done
    raise UserError(
        f"The density turns the path more than {MOST_PIECES * limit:.0f} radians on one of its "
        "segments: give a smaller solver.alpha, a shorter solver.length or more solver.segments."
    )


def _steady(after: State, before: State, medium: Medium) -> State:
    """In the euclidean gauge |v| is kept to the last digit; the metric gauge is left to drift."""
    if medium.gauge == "metric":
        return after
    ratio = _norm(before.v) / _norm(after.v).clamp_min(torch.finfo(after.v.dtype).tiny)
    return replace(after, v=after.v * ratio[..., None])


def metric_speed(state: State, alpha: float) -> Tensor:
    """|v| p^(−α), (...): constant along a geodesic in the metric gauge."""
    return _norm(state.v) * torch.exp(-alpha * state.log_density)


def shoot(
    start: Tensor,
    velocity: Tensor,
    medium: Medium,
    segments: int,
    method: str = "rk4",
    limit: float | None = None,
) -> list[State]:
    """States at u = 0, 1/N, …, 1 of shots from start (..., d) with velocities (n, d), for unit time.

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
    """How well a path shoots itself: from each node on over `span` segments, against the node there.

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


def _put(into: State, index: Tensor, part: State) -> State:
    return State(
        *(
            getattr(into, name).index_copy(0, index, getattr(part, name))
            for name in State.__dataclass_fields__
        )
    )


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(-1, keepdim=True)


def _norm(v: Tensor) -> Tensor:
    return torch.linalg.vector_norm(v, dim=-1)
