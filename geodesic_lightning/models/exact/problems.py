"""The nine standard problems: a density, an exponent alpha and two ends each.

    constant_score   log p = g.x in the plane; geodesics in closed form
    gaussian         one round normal density in the plane; geodesics by one quadrature
    mixture          five normal densities of different widths in the plane
    ring             a noised circle in the plane
    tube_2           a noised arch in the plane
    tube_64          a noised random curve in 64 dimensions
    tube_1024        the same kind of curve in 1024 dimensions
    cloud_64         a noised cloud of points in 64 dimensions
    sphere_cloud     a noised cloud of points in 1024 dimensions, with the path on its sphere

A tube is a curve c(s), s in [0, 1], under noise: (1/M) sum_m N(c(s_m), sigma^2 I), with the M
points so dense (spacing below sigma/2) that no bead shows. A cloud is what diffusion makes of data,

    p = (1/M) sum_m N(sqrt(abar) y_m, sigma^2 I),   sigma^2 = 1 - abar,

with data y_m = sqrt(2) cos(W z_m + b) of unit variance a coordinate that lie on a smooth random
surface of a few parameters z, as drawings do. The ends of a cloud are noised data points, so each
carries noise of norm about sigma sqrt(d) of its own.

The numbers below were chosen for the geometry (the straight line leaves the high density, the way
round is worth its length) and not by the results of any solver. Where a longer geodesic lies near,
the ends were placed so that descent from the straight line meets the shortest one.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from geodesic_lightning.errors import UserError
from geodesic_lightning.geometry.manifold import Euclidean, Sphere
from geodesic_lightning.models.exact.density import Density
from geodesic_lightning.models.exact.families import Mixture, Ring, Slope

__all__ = ["DENSITIES", "density"]


def _tensor(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def constant_score() -> Slope:
    """log p = 2y in the plane. alpha |g| times the width between the ends is 2.5 < pi."""
    ends = _tensor([[-1.25, 0.0], [1.25, 0.4]])
    slope = _tensor([0.0, 2.0])
    return Slope(name="constant_score", alpha=0.5, sigma=1.0, ends=ends, slope=slope)


def gaussian() -> Mixture:
    """A round normal density of width 1; the chord passes one width from its centre."""
    return Mixture(
        name="gaussian",
        alpha=1.0,
        sigma=1.0,
        ends=_tensor([[-2.1, 1.0], [1.7, 1.4]]),
        means=_tensor([[0.0, 0.0]]),
        widths=_tensor([1.0]),
        weights=_tensor([1.0]),
    )


def mixture() -> Mixture:
    """Five normal densities along a bow, of widths 0.3 to 0.5, from the first to the last."""
    means = _tensor([[-2.0, -0.6], [-1.2, 0.6], [0.1, 1.1], [1.3, 0.5], [2.0, -0.7]])
    return Mixture(
        name="mixture",
        alpha=0.3,
        sigma=0.3,
        ends=torch.stack((means[0], means[-1])),
        means=means,
        widths=_tensor([0.35, 0.4, 0.5, 0.3, 0.4]),
        weights=_tensor([0.2, 0.2, 0.25, 0.15, 0.2]),
        guide=means,
    )


def ring() -> Ring:
    """The unit circle with noise 0.15, between two of its points 120 degrees apart."""
    angle = torch.linspace(math.radians(150), math.radians(30), 65, dtype=torch.float64)
    circle = torch.stack((angle.cos(), angle.sin()), -1)
    return Ring(name="ring", alpha=0.3, sigma=0.15, ends=circle[[0, -1]], guide=circle)


def _tube(name: str, alpha: float, sigma: float, curve: Tensor) -> Mixture:
    """The curve (M, d) under noise of width sigma, from its first point to its last."""
    count = len(curve)
    return Mixture(
        name=name,
        alpha=alpha,
        sigma=sigma,
        ends=curve[[0, -1]],
        means=curve,
        widths=torch.full((count,), sigma, dtype=torch.float64),
        weights=torch.full((count,), 1 / count, dtype=torch.float64),
        guide=curve,
    )


def tube_2() -> Mixture:
    """A lopsided arch, y = sin(pi s) + 0.25 sin(2 pi s), two wide."""
    s = torch.linspace(0, 1, 129, dtype=torch.float64)
    height = torch.sin(math.pi * s) + 0.25 * torch.sin(2 * math.pi * s)
    return _tube("tube_2", 0.3, 0.2, torch.stack((2 * s - 1, height), -1))


def _random_curve(dimension: int, heights: tuple[float, ...], seed: int) -> Tensor:
    """A chord of length 2 with sine waves of these heights, each in its own random direction."""
    generator = torch.Generator().manual_seed(seed)
    draw = torch.randn(dimension, 1 + len(heights), generator=generator, dtype=torch.float64)
    axes = torch.linalg.qr(draw).Q.T
    s = torch.linspace(0, 1, 129, dtype=torch.float64)
    waves = [h * torch.sin((k + 1) * math.pi * s) for k, h in enumerate(heights)]
    return torch.stack([2 * s - 1, *waves], -1) @ axes


def tube_64() -> Mixture:
    """A random curve in 64 dimensions under noise of width 0.2."""
    return _tube("tube_64", 0.3, 0.2, _random_curve(64, (0.8, 0.3, 0.15, 0.08), seed=64))


def tube_1024() -> Mixture:
    """A curlier random curve in 1024 dimensions under noise of width 0.15."""
    return _tube("tube_1024", 0.2, 0.15, _random_curve(1024, (0.7, 0.45, 0.3, 0.15), seed=1024))


def _cloud(
    name: str, *, dimension: int, alpha: float, abar: float, seed: int, sphere: bool
) -> Mixture:
    """A noised random surface of three parameters; its ends are two noised data points."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    frequency = 0.6 * normal(3, dimension)
    phase = 2 * math.pi * torch.rand(dimension, generator=generator, dtype=torch.float64)

    def surface(z: Tensor) -> Tensor:
        return math.sqrt(2 * abar) * torch.cos(z @ frequency + phase)

    sigma, count = math.sqrt(1 - abar), 512
    means = surface(normal(count, 3))
    start = _tensor([1.5, 0.0, 0.0])
    u = torch.linspace(0, 1, 33, dtype=torch.float64)[:, None]
    z, noise = (1 - 2 * u) * start, sigma * normal(2, dimension)
    turn = math.pi / 2 * u
    guide = surface(z) + torch.cos(turn) * noise[0] + torch.sin(turn) * noise[1]
    manifold: Euclidean | Sphere = Euclidean()
    if sphere:
        manifold = Sphere(float(guide[[0, -1]].norm(dim=-1).mean()))
        guide = manifold.projx(guide)
    return Mixture(
        name=name,
        alpha=alpha,
        sigma=sigma,
        ends=guide[[0, -1]],
        manifold=manifold,
        means=means,
        widths=torch.full((count,), sigma, dtype=torch.float64),
        weights=torch.full((count,), 1 / count, dtype=torch.float64),
        guide=guide,
    )


def cloud(dimension: int, seed: int, sphere: bool, abar: float = 0.2) -> Mixture:
    """A noised cloud at abar = 0.2 (noise level 0.6) in any dimension; its alpha is 1, which no one chose."""
    name = f"cloud_{dimension}_{seed}"
    return _cloud(name, dimension=dimension, alpha=1.0, abar=abar, seed=seed, sphere=sphere)


def cloud_64() -> Mixture:
    """A noised cloud in 64 dimensions, abar = 0.5, in flat space."""
    return _cloud("cloud_64", dimension=64, alpha=0.05, abar=0.5, seed=6, sphere=False)


def sphere_cloud() -> Mixture:
    """A noised cloud in 1024 dimensions at abar = 0.2 (noise level 0.6), on its sphere."""
    return _cloud("sphere_cloud", dimension=1024, alpha=0.006, abar=0.2, seed=7, sphere=True)


DENSITIES: dict[str, Callable[[], Density]] = {
    make.__name__: make
    for make in (
        constant_score,
        gaussian,
        mixture,
        ring,
        tube_2,
        tube_64,
        tube_1024,
        cloud_64,
        sphere_cloud,
    )
}


def density(name: str) -> Density:
    """The standard problem of that name. Raises UserError, with the valid names, for another."""
    if name not in DENSITIES:
        raise UserError(f"model.density: got {name!r}, expected one of {', '.join(DENSITIES)}.")
    return DENSITIES[name]()
