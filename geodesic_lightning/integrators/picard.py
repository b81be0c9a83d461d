"""Shooting with all nodes at once: Picard sweeps of the initial value problem, parallel in time.

Around the line or great circle z with the start's velocity (z'' = −ω²z, ω = |v|/R on a sphere and 0
in flat space) the path is γ = z + y with

    y'' = −ω²y + f,   f = γ'' + ω²γ,   y(0) = y'(0) = 0,

so that the sphere's own term is not iterated but solved. One sweep scores all nodes in one batch
and solves, with a shift c ≥ 0 that stands for the derivative of f (a scalar quasi-Newton step; 0 is
the plain Picard sweep),

    y''_new + (ω² − c) y_new = f(γ) − c y:   y_new = ∫_0^u k(u−w) (f − c y)(w) dw,
    k'' = (c − ω²) k,  k(0) = 0,  k'(0) = 1.

γ'' is that of the euclidean parametrization, |v| constant; in the metric parametrization |v| would be iterated too, and
|v|' ~ |v|² makes sweeps blow up. f is a cubic spline through the nodes, so that what the sweeps
converge to is of fourth order; their own error falls like κ^2k/(2k)! after k sweeps, with
κ² = α|v|²·(curvature of log p).
Source: Picard–Lindelöf; Clenshaw & Norton, Comput. J. 6 (1963) 88, for the use of all nodes.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor

from geodesic_lightning.integrators.adaptive import straight
from geodesic_lightning.integrators.geodesic_ode import Medium, acceleration, turning

GAUSS, WEIGHTS = np.polynomial.legendre.leggauss(8)


@dataclass(frozen=True)
class Sheet:
    """All nodes of n shots as they stand, and the score where it was last asked.

    Attributes:
        x, v: (n, N+1, d), places and velocities; x_0 and v_0 are the shots' own.
        scores, asked: (n, N+1, d), tangent scores and the places they belong to; NaN before.
        log_density: (n, N+1), nats relative to the start.
        length: (n,), metric, relative to p(start) = 1.
    """

    x: Tensor
    v: Tensor
    scores: Tensor
    asked: Tensor
    log_density: Tensor
    length: Tensor

    def tensors(self) -> dict[str, Tensor]:
        """The fields by name, as a checkpoint keeps them."""
        return dict(vars(self))


@dataclass(frozen=True)
class Kernel:
    """Quadrature of the sweeps on N + 1 even nodes: rows are nodes, columns values of f there.

    Attributes:
        place, velocity: (N+1, N+1), y and y' from f.
        integral: (N+1, N+1), ∫_0^u f.
    """

    place: Tensor
    velocity: Tensor
    integral: Tensor


def kernel(segments: int, stiffness: float, like: Tensor) -> Kernel:
    """The kernel of y'' = stiffness·y + f, with f a not-a-knot cubic spline; made in float64."""
    u = np.linspace(0, 1, segments + 1)
    half = 0.5 / segments
    w = ((u[:-1] + half)[:, None] + half * GAUSS).ravel()
    spline = CubicSpline(u, np.eye(segments + 1))(w) * np.tile(half * WEIGHTS, segments)[:, None]
    past = u[:, None] - w
    root = math.sqrt(abs(stiffness))
    if root < 1e-9:
        sine, cosine = past, np.ones_like(past)
    elif stiffness < 0:
        sine, cosine = np.sin(root * past) / root, np.cos(root * past)
    else:
        sine, cosine = np.sinh(root * past) / root, np.cosh(root * past)
    before = past > 0
    return Kernel(
        *(
            torch.from_numpy(np.where(before, part, 0.0) @ spline).to(like)
            for part in (sine, cosine, np.ones_like(past))
        )
    )


def open_sheet(start: Tensor, velocity: Tensor, segments: int, medium: Medium) -> Sheet:
    """The sheet before the first sweep: shots that nothing bends. start, velocity (n, d)."""
    x, v = straight(start, velocity, segments, medium.manifold)
    unknown = torch.full_like(x, torch.nan)
    zero = x.new_zeros(x.shape[:-1])
    return Sheet(x, v, unknown, unknown, zero, zero[:, 0])


def moved(sheet: Sheet) -> Tensor:
    """How far nodes are from where their score was asked, as a part of |v_0|: (n, N+1), or NaN."""
    return (sheet.x - sheet.asked).norm(dim=-1) / sheet.v[:, :1].norm(dim=-1)


def stale(sheet: Sheet, tolerance: float) -> Tensor:
    """Which nodes (n, N+1) have moved by over tolerance·|v_0| since their score was asked."""
    return ~(moved(sheet) <= tolerance)


def ask(sheet: Sheet, nodes: Tensor, medium: Medium) -> Sheet:
    """Score the nodes (n, N+1) of a mask in one batched call."""
    u = torch.linspace(0, 1, sheet.x.shape[1]).to(sheet.x).expand(nodes.shape)
    scores, asked = sheet.scores.clone(), sheet.asked.clone()
    asked[nodes] = sheet.x[nodes]
    scores[nodes] = medium.tangent_score(sheet.x[nodes], u[nodes])
    return replace(sheet, scores=scores, asked=asked)


def sweep(sheet: Sheet, medium: Medium, shift: float = 0.0) -> Sheet:
    """One sweep with the scores the sheet has; no call. `shift` is c, per unit of u²."""
    manifold, segments = medium.manifold, sheet.x.shape[1] - 1
    z, dz = straight(sheet.x[:, 0], sheet.v[:, 0], segments, manifold)
    square = sheet.v[:, 0].square().sum(-1)
    omega = manifold.frequencies(sheet.v[:, 0])
    scores = manifold.proju(sheet.x, sheet.scores)
    blocks = omega.shape[-1]
    turn = (
        omega[:, None, :, None] * manifold.centred(sheet.x).unflatten(-1, (blocks, -1))
    ).flatten(-2)
    force = acceleration(sheet.x, sheet.v, scores, medium) + turn
    force = force - shift * (sheet.x - z)
    x, v = torch.empty_like(sheet.x), torch.empty_like(sheet.v)
    for i, rates in enumerate(omega.tolist()):
        y = [
            (k.place @ part, k.velocity @ part)
            for k, part in zip(
                (kernel(segments, shift - rate, sheet.x) for rate in rates),
                force[i].chunk(blocks, -1),
                strict=True,
            )
        ]
        place, velocity = (torch.cat(parts, -1) for parts in zip(*y))
        x[i], v[i] = z[i] + place, dz[i] + velocity
    x, v = medium.on_manifold(x, v)
    v = v * (square.sqrt()[:, None] / v.norm(dim=-1))[..., None]
    x[:, 0], v[:, 0] = sheet.x[:, 0], sheet.v[:, 0]
    integral = kernel(segments, 0.0, sheet.x).integral
    log_density = (manifold.proju(x, scores) * v).sum(-1) @ integral.T
    speed = v.norm(dim=-1) * torch.exp(-medium.alpha * log_density)
    return replace(sheet, x=x, v=v, log_density=log_density, length=speed @ integral[-1])


def turning_rate(sheet: Sheet, medium: Medium) -> Tensor:
    """α|Ps||v| at the nodes, (n, N+1), radians per unit of u."""
    return turning(sheet.v, sheet.scores, medium.alpha)
