"""What an exact density is: log p and its score in closed form, and a standard problem.

The problem: between two ends, the curve that is shortest in the metric |w|_x = |w| p(x)^(-alpha),

    S[gamma] = int |gamma'(u)| exp(-alpha (log p(gamma(u)) - log p(gamma(0)))) du,

relative to the start, as everywhere in this project (Yu et al., CVPR 2025, section 3).

sigma is the smallest width of the noise in the density. It bounds the curvature from above,

    -v.(Hessian log p).v <= 1/sigma^2   for every unit v at every x,

because p is a mixture (a sum or an integral) of normal densities N(mu_m, sigma_m^2 I), and then

    -Hessian log p = sum_m r_m I/sigma_m^2 - Cov_r(s_m),   s_m = (mu_m - x)/sigma_m^2,

with r_m the posterior weights of the components: a mean of 1/sigma_m^2, minus a covariance.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from geodesic_lightning.geometry.manifold import Euclidean, Sphere

__all__ = ["Density"]

FLAT = Euclidean()


@dataclass(frozen=True, eq=False, kw_only=True)
class Density(ABC):
    """A density on d-dimensional space with a standard pair of ends.

    Attributes:
        name: what the registry calls it.
        alpha: the standard density exponent of the problem, dimensionless.
        sigma: the smallest noise width, in the units of x: −Hessian log p ≤ I/σ².
        ends: (2, d) float64, the standard start and end, on the manifold.
        manifold: the space of the path: Euclidean() or Sphere(radius).
        guide: (m, d) or None: a curve between the ends that keeps to high density.
    """

    name: str
    alpha: float
    sigma: float
    ends: Tensor
    manifold: Euclidean | Sphere = FLAT
    guide: Tensor | None = None

    @property
    def dimension(self) -> int:
        """d, the number of coordinates."""
        return self.ends.shape[-1]

    @abstractmethod
    def log_density(self, x: Tensor) -> Tensor:
        """log p in nats at x (n, d), shape (n,), in the dtype and on the device of x."""

    @abstractmethod
    def score(self, x: Tensor) -> Tensor:
        """grad log p at x (n, d), shape (n, d), in the dtype and on the device of x."""


def like(x: Tensor, *values: Tensor) -> list[Tensor]:
    """The values in the dtype and on the device of x."""
    return [torch.as_tensor(v).to(x) for v in values]
