"""Random problems with exact log densities of eleven kinds, to hold solvers' claims against.

Every problem follows from its kind and a seed: a log density that autograd can differentiate, two ends, a manifold, a
strength, and a curvature bound that is right, unknown, or wrong by 10⁶ either way, in turn. In many dimensions a
density is one of a few coordinates beside which it is a round normal density, or flat: the geodesic is then that of
those coordinates alone, so that a reference can be had.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from geodesic_lightning.geometry.manifold import Euclidean, Manifold, Sphere

BOUNDS = ("right", "estimated", "none", "a million times too large", "a millionth")
MANY = (64, 256, 1024, 4096, 16384)  # dimensions beyond those that a density depends on


@dataclass(frozen=True)
class RandomDensity:
    """A problem with an exact log density.

    Attributes:
        kind, seed: what it follows from.
        log_density: of x (n, k) in the k coordinates that matter: (n,), differentiable.
        ends: (2, k) float64 in these.
        manifold: of these.
        frame: (k, d) orthonormal rows, what the coordinates are of the whole space; None where they are the whole.
        strength: κ, radians.
        curvature: λ with −∇²log p ≤ λ; None where there is none, as at a kink.
        bound: which of BOUNDS a solver is told.
    """

    kind: str
    seed: int
    log_density: Callable[[Tensor], Tensor]
    ends: Tensor
    manifold: Manifold
    frame: Tensor | None
    strength: float
    curvature: float | None
    bound: str

    @property
    def dimension(self) -> int:
        """d, of the whole space."""
        return self.ends.shape[1] if self.frame is None else self.frame.shape[1]

    @property
    def told(self) -> float | None:
        """What a solver is told as λ, where it is told a number at all."""
        known = 1.0 if self.curvature is None else self.curvature
        return {
            "right": self.curvature,
            "a million times too large": 1e6 * known,
            "a millionth": 1e-6 * known,
        }.get(self.bound)

    def whole(self, x: Tensor) -> Tensor:
        """Coordinates (n, k) in the whole space, (n, d)."""
        return x if self.frame is None else x @ self.frame

    def own(self, x: Tensor) -> Tensor:
        """Points (n, d) in the coordinates that matter, (n, k)."""
        return x if self.frame is None else x @ self.frame.T


class Draw:
    """Numbers from a seed."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal, float64."""
        return torch.randn(*shape, generator=self.generator, dtype=torch.float64)

    def between(self, low: float, high: float) -> float:
        """Uniform."""
        return low + (high - low) * float(torch.rand(1, generator=self.generator).double())

    def one_of(self, *values: int) -> int:
        """One of the values."""
        return values[int(torch.randint(len(values), (1,), generator=self.generator))]

    def rotation(self, d: int) -> Tensor:
        """An orthogonal matrix (d, d)."""
        return torch.linalg.qr(self.normal(d, d))[0]

    def ends(self, d: int) -> Tensor:
        """Two points about 2.5 apart, not opposite each other about the origin."""
        x = 0.3 * self.normal(2, d)
        x[:, 0] += torch.tensor([-1.2, 1.2]).double()
        x[:, 1] += self.between(0.5, 1.2)
        return x


FLAT = Euclidean()
Made = tuple[Callable[[Tensor], Tensor], Tensor, float | None, Manifold]


def gaussian(draw: Draw) -> Made:
    """Axis ratios from 1:1 to 1:10⁶, along the coordinates."""
    d = draw.one_of(2, 3, 5, 10, 30)
    h = _curvatures(draw, d)
    return (lambda x: -(x.square() @ h) / 2), draw.ends(d), float(h.max()), FLAT


def rotated_gaussian(draw: Draw) -> Made:
    """The same, turned at random."""
    d = draw.one_of(2, 3, 5, 10, 30)
    h, turn = _curvatures(draw, d), draw.rotation(d)
    return (lambda x: -((x @ turn).square() @ h) / 2), draw.ends(d), float(h.max()), FLAT


def stiff_gaussian(draw: Draw) -> Made:
    """Curvature of 1 in a plane, 10² to 10⁶ in others, which pull little or, both ends at their middle, not at all."""
    d = draw.one_of(3, 5, 10)
    h, ends = torch.ones(d).double(), draw.ends(d)
    h[2:] = torch.tensor([10 ** draw.between(2, 6) for _ in range(d - 2)]).double()
    ends[:, 2:] *= draw.one_of(0, 1) * 3 / h[2:]
    turn = draw.rotation(d) if draw.one_of(0, 1) else torch.eye(d).double()
    return (lambda x: -((x @ turn).square() @ h) / 2), ends @ turn.T, float(h.max()), FLAT


def absolute(draw: Draw) -> Made:
    """log p = −Σ b|x_i|: a kink at every coordinate plane."""
    d, b = draw.one_of(2, 3, 5, 10), draw.between(0.5, 2)
    return (lambda x: -b * x.abs().sum(-1)), draw.ends(d), None, FLAT


def ridges(draw: Draw) -> Made:
    """log p = −Σ b_k|w_k·x − c_k| − |x|²/4: kinks along planes at any angle."""
    d, count = draw.one_of(2, 3, 5, 10), draw.one_of(1, 2, 4)
    w = draw.normal(count, d)
    w = w / w.norm(dim=-1, keepdim=True)
    c, b = 0.5 * draw.normal(count), 0.5 + draw.normal(count).abs()

    def log_density(x: Tensor) -> Tensor:
        return -((x @ w.T - c).abs() @ b) - x.square().sum(-1) / 4

    return log_density, draw.ends(d), None, FLAT


def relu_network(draw: Draw) -> Made:
    """Minus half the squared norm, plus a random network of 16 rectified units: kinks up and down."""
    d = draw.one_of(2, 3, 5, 10)
    w, c, out = draw.normal(16, d) / d**0.5, draw.normal(16), draw.normal(16) / 3

    def log_density(x: Tensor) -> Tensor:
        return torch.relu(x @ w.T + c) @ out - x.square().sum(-1) / 2

    return log_density, draw.ends(d), None, FLAT


def heavy_tailed(draw: Draw) -> Made:
    """Student's t with 1 to 5 degrees of freedom, axis ratios to 1:100, turned."""
    d, nu = draw.one_of(2, 3, 5, 10), draw.between(1, 5)
    h, turn = _curvatures(draw, d, 2), draw.rotation(d)

    def log_density(x: Tensor) -> Tensor:
        return -(nu + d) / 2 * torch.log1p((x @ turn).square() @ h / nu)

    return log_density, draw.ends(d), (nu + d) / nu * float(h.max()), FLAT


def mixture(draw: Draw) -> Made:
    """Four round bumps of widths 0.4 to 0.8 about the chord."""
    return _mixture(draw, FLAT)


def sphere_mixture(draw: Draw) -> Made:
    """The same on a sphere of radius 1 to 2."""
    return _mixture(draw, Sphere(draw.between(1, 2)))


def rough(draw: Draw) -> Made:
    """log p − log q of two mixtures, or log q + k(log p − log q), as contrast and guidance have it: no bound holds."""
    (p, ends, _, _), (q, _, _, _) = _mixture(draw, FLAT, 3), _mixture(draw, FLAT, 3)
    k = draw.between(2, 5)
    if draw.one_of(0, 1):
        return (lambda x: p(x) - q(x)), ends, None, FLAT
    return (lambda x: q(x) + k * (p(x) - q(x))), ends, None, FLAT


def constant(draw: Draw) -> Made:
    """log p = 0, flat or on a sphere: lines and great circles."""
    d, manifold = draw.one_of(3, 4, 10), (FLAT, Sphere(1.5))[draw.one_of(0, 1)]
    return (lambda x: 0 * x.sum(-1)), manifold.projx(draw.ends(d)), 1.0, manifold


def slope(draw: Draw) -> Made:
    """log p = g·x, flat or on a sphere."""
    d, manifold = draw.one_of(3, 4, 10), (FLAT, Sphere(1.5))[draw.one_of(0, 1)]
    g = draw.normal(d)
    return (lambda x: x @ g), manifold.projx(draw.ends(d)), 1.0, manifold


KINDS: dict[str, Callable[[Draw], Made]] = {
    "gaussian": gaussian,
    "rotated gaussian": rotated_gaussian,
    "stiff, little pull": stiff_gaussian,
    "L1": absolute,
    "ridges": ridges,
    "ReLU network": relu_network,
    "heavy-tailed": heavy_tailed,
    "mixture": mixture,
    "mixture, sphere": sphere_mixture,
    "rough": rough,
    "constant": constant,
    "slope": slope,
}
HIGH = {
    "mixture, high": mixture,
    "gaussian, high": rotated_gaussian,
    "mixture, high sphere": sphere_mixture,
}
ALL = (*KINDS, *HIGH)


def random_density(kind: str, seed: int) -> RandomDensity:
    """The problem of a kind (of ALL) that follows from a seed."""
    draw = Draw(1000 * ALL.index(kind) + seed)
    log_density, ends, curvature, manifold = (KINDS | HIGH)[kind](draw)
    frame = None
    if kind in HIGH:
        frame = torch.linalg.qr(draw.normal(MANY[seed % len(MANY)], ends.shape[1]))[0].T
    strength = (0.75, 1.5, 3.0)[draw.one_of(0, 1, 2)]
    return RandomDensity(
        kind,
        seed,
        log_density,
        ends,
        manifold,
        frame,
        strength,
        curvature,
        BOUNDS[seed % len(BOUNDS)],
    )


def _curvatures(draw: Draw, d: int, decades: float = 6) -> Tensor:
    """Of d directions: the first 1, the others up to 10^decades, at random."""
    most = draw.between(0, decades)
    h = torch.tensor([10 ** draw.between(0, most) for _ in range(d)]).double()
    h[0] = 1
    return h


def _mixture(draw: Draw, manifold: Manifold, d: int | None = None) -> Made:
    d = draw.one_of(3, 5, 10) if d is None else d
    ends = manifold.projx(draw.ends(d))
    means = manifold.projx(ends.mean(0) + 0.7 * draw.normal(4, d))
    widths = torch.tensor([draw.between(0.4, 0.8) for _ in range(4)]).double()

    def log_density(x: Tensor) -> Tensor:
        square = (x[:, None] - means).square().sum(-1)
        return torch.logsumexp(-square / (2 * widths**2) - d * widths.log(), -1)

    return log_density, ends, 1 / float(widths.min()) ** 2, manifold
