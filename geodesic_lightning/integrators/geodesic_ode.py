"""Geodesics from a start and a velocity: the initial value problem of the metric |w| p(x)^(−α).

With the score s = ∇log p (made tangent on a sphere of radius R), P = I − vvᵀ/|v|² and v = γ':

    euclidean parametrization   v' = −α(|v|² s − (s·v) v) − |v|² γ/R²     |v| is constant
    metric parametrization      v' = 2α(s·v) v − α|v|² s − |v|² γ/R²      |v| p^(−α) is constant
    in both                     (log p)' = s·v,   (length)' = |v| p^(−α),   p = 1 at the start

The last term of v' belongs to the sphere alone. It is the same curve in both parametrizations, run through at
different speeds; it bends towards low density (as light, with index p^(−α), bends into the denser
medium). Source: Yu et al., "Probability Density Geodesics in Image Diffusion Latent Space",
CVPR 2025, section 3; the released scheme leaves the sphere's term out and is of second order there.

Everything here is a pure function of states whose fields have the same leading dimensions (...):
many shots, a fan of velocities from one start, are one batch.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from geodesic_lightning.errors import UserError
from geodesic_lightning.geometry.manifold import Manifold
from geodesic_lightning.score.finite import refuse_not_finite

WAY_OUT = "give a smaller solver.length or solver.strength"
PARAMETRIZATIONS = ("euclidean", "metric")


@dataclass(frozen=True)
class State:
    """Where shots are.

    Attributes:
        x, v: place and velocity, (..., d).
        log_density: log p(x) − log p(start) in nats, (...).
        length: gone so far, in the metric relative to p(start) = 1, (...).
        turning: α|Ps||v| where the score was last looked at, radians per unit of u, (...);
            NaN before the first look.
        drift: by how much, in the logarithm, steps have changed the speed that their parametrization keeps,
            (...); in the euclidean parametrization each change is undone.
    """

    x: Tensor
    v: Tensor
    log_density: Tensor
    length: Tensor
    turning: Tensor
    drift: Tensor

    def __getitem__(self, index: Tensor) -> "State":
        """The shots that a mask or index of the leading dimensions selects."""
        return State(**{name: value[index] for name, value in self.tensors().items()})

    def put(self, index: Tensor, part: "State") -> "State":
        """The same with the shots at an index (k,) of the one leading dimension replaced."""
        parts = part.tensors()
        return State(
            **{name: old.index_copy(0, index, parts[name]) for name, old in self.tensors().items()}
        )

    def tensors(self) -> dict[str, Tensor]:
        """The fields by name, as a checkpoint keeps them."""
        return dict(vars(self))


def begin(x: Tensor, v: Tensor) -> State:
    """The state of shots that start at x (..., d) with velocity v (..., d)."""
    x, v = torch.broadcast_tensors(x, v)
    zero = x.new_zeros(x.shape[:-1])
    return State(x, v, zero, zero, torch.full_like(zero, torch.nan), zero)


@dataclass(frozen=True)
class Medium:
    """What bends the path: a score, its exponent, the space, the parametrization of the curve's parameter.

    Attributes:
        score: (x (n, d), u (n,)) → (n, d), the score at x where the shot is at u.
        alpha: α ≥ 0.
        manifold: of the curve.
        parametrization: euclidean or metric.
        estimator: of the score, for what is said where it is no number; None where nobody knows.
    """

    score: Callable[[Tensor, Tensor], Tensor]
    alpha: float
    manifold: Manifold
    parametrization: str = "euclidean"
    estimator: Any = None

    def __post_init__(self) -> None:
        if self.parametrization not in PARAMETRIZATIONS:
            raise UserError(
                f"solver.gauge: got {self.parametrization!r}, expected one of {', '.join(PARAMETRIZATIONS)}."
            )

    def tangent_score(self, x: Tensor, u: Tensor) -> Tensor:
        """The score at x (..., d) of the manifold and u (...), made tangent: (..., d). One call."""
        d = x.shape[-1]
        places = torch.as_tensor(u, dtype=x.dtype, device=x.device).expand(x.shape[:-1])
        flat, places = x.reshape(-1, d), places.reshape(-1)
        found = self.score(flat, places).to(x.dtype)
        refuse_not_finite(found, flat, places, self.estimator, WAY_OUT)
        return self.manifold.proju(x, found.reshape(x.shape))

    def on_manifold(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest place and tangent to x, v (..., d)."""
        x = self.manifold.projx(x)
        return x, self.manifold.proju(x, v)


def acceleration(x: Tensor, v: Tensor, score: Tensor, medium: Medium) -> Tensor:
    """γ'' at x with velocity v and tangent score, all (..., d)."""
    square, rise = dot(v, v), dot(score, v)
    along = (2 if medium.parametrization == "metric" else 1) * rise * v
    bend = medium.alpha * (along - square * score)
    return bend + medium.manifold.acceleration(x, v)


def turning(v: Tensor, score: Tensor, alpha: float) -> Tensor:
    """α|Ps||v|: how fast the density turns v, in radians per unit of the parameter, (...)."""
    square = dot(v, v).clamp_min(torch.finfo(v.dtype).tiny)
    return alpha * (dot(v, v).sqrt() * (score - dot(score, v) / square * v)).norm(dim=-1)


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

    def slope(
        x: Tensor, v: Tensor, log_density: Tensor, at: Tensor
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        x, v = medium.on_manifold(x, v)
        score = medium.tangent_score(x, at)
        rates = (v, acceleration(x, v, score, medium), (score * v).sum(-1))
        speed = norm(v) * torch.exp(-medium.alpha * log_density)
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
    after = State(x, v, state.log_density + h * rise, state.length + h * speed, turned, state.drift)
    return settled(after, state, medium)


def strang_step(state: State, u: Tensor, h: Tensor, medium: Medium) -> State:
    """Drift for h/2 along the line or great circle, turn by the score for h, drift for h/2.

    Second order, one call of the score, time-reversible; both parts are solved exactly, so that
    stiff or noisy fields turn v but never throw it. Args as for `rk4_step`.
    """
    x, v = medium.manifold.glide(state.x, state.v, h / 2)
    score = medium.tangent_score(x, u + h / 2)
    turned, rise = kick(v, score, h, medium)
    log_density = state.log_density + rise
    x, out = medium.manifold.glide(x, turned, h / 2)
    speed = (
        norm(v) * torch.exp(-medium.alpha * state.log_density)
        + norm(turned) * torch.exp(-medium.alpha * log_density)
    ) / 2
    rate = torch.maximum(turning(v, score, medium.alpha), turning(turned, score, medium.alpha))
    after = State(x, out, log_density, state.length + h * speed, rate, state.drift)
    return settled(after, state, medium)


def kick(v: Tensor, score: Tensor, h: Tensor, medium: Medium) -> tuple[Tensor, Tensor]:
    """What a constant score does to v in time h, exactly: the new v, and the rise of log p.

    In the metric parametrization w = v/|v|² obeys w' = −αs: a straight line. Its direction is that of the
    euclidean parametrization too, where with e = −s/|s|, g = α|v||s|h, q = v·e/|v|

        v ← |v| (w + e(q cosh g + sinh g)) / (cosh g + q sinh g),   w = v/|v| − qe,
        log p ← log p − log(cosh g + q sinh g)/α.

    Args:
        v, score: (..., d), the score tangent.
        h: (...).
    """
    speed, size = norm(v), norm(score)
    tiny = torch.finfo(v.dtype).tiny
    unit = v / speed.clamp_min(tiny)[..., None]
    if medium.parametrization == "metric":
        straight = unit - (medium.alpha * h * speed)[..., None] * score
        stretch = norm(straight)
        rise = h * speed * dot(score, unit)[..., 0]
        if medium.alpha:
            rise = -torch.log(stretch) / medium.alpha
        return straight * (speed / stretch**2)[..., None], rise
    sign = torch.where(h < 0, -1.0, 1.0).to(v)
    e = -sign[..., None] * score / size.clamp_min(tiny)[..., None]
    g = medium.alpha * speed * size * h.abs()
    q = dot(unit, e)[..., 0]
    w = unit - q[..., None] * e
    # 1 + q without cancellation, and everything over e^g/2: no g overflows.
    ahead = torch.where(q < 0, dot(w, w)[..., 0] / (1 - q), 1 + q)
    fading = torch.exp(-2 * g)
    turned = 2 * torch.exp(-g)[..., None] * w + (ahead - (1 - q) * fading)[..., None] * e
    reach = norm(turned)
    # Straight up the score is an equilibrium: what is left of it is below the smallest number.
    turned = torch.where((reach > tiny)[..., None], turned / reach.clamp_min(tiny)[..., None], unit)
    little = g.clamp_max(1)
    near = torch.log1p(2 * torch.sinh(little / 2) ** 2 + q * torch.sinh(little))
    far = torch.logaddexp(g + torch.log(ahead), torch.log(1 - q) - g) - math.log(2)
    mean = torch.where(g > 1e-6, torch.where(g > 1, far, near) / g.clamp_min(tiny), q)
    return speed[..., None] * turned, -h.abs() * speed * size * mean


def settled(after: State, before: State, medium: Medium) -> State:
    """Count the drift of a step; in the euclidean parametrization undo it too."""
    if medium.parametrization == "metric":
        speeds = metric_speed(after, medium.alpha), metric_speed(before, medium.alpha)
        return replace(after, drift=before.drift + (speeds[0] / speeds[1]).log())
    ratio = norm(after.v) / norm(before.v)
    return replace(after, v=after.v / ratio[..., None], drift=before.drift + ratio.log())


def metric_speed(state: State, alpha: float) -> Tensor:
    """|v| p^(−α), (...): constant along a geodesic in the metric parametrization."""
    return norm(state.v) * torch.exp(-alpha * state.log_density)


METHODS: dict[str, Step] = {"rk4": rk4_step, "strang": strang_step}


def dot(a: Tensor, b: Tensor) -> Tensor:
    """a·b over the last dimension, which stays with size 1."""
    return (a * b).sum(-1, keepdim=True)


def norm(v: Tensor) -> Tensor:
    """|v| over the last dimension."""
    return torch.linalg.vector_norm(v, dim=-1)
