"""The three families the exact densities come from.

    Slope    log p(x) = g.x                              (a constant score; not normalisable)
    Mixture  p(x) = sum_m w_m N(x; mu_m, sigma_m^2 I)
    Ring     p(x) = mean over theta of N(x; e(theta), sigma^2 I),  e(theta) on the unit circle

The mixture, with r_m(x) the posterior weights (a softmax):

    log p = logsumexp_m [ log w_m - (d/2) log(2 pi sigma_m^2) - |x - mu_m|^2 / (2 sigma_m^2) ]
    score = sum_m r_m (mu_m - x) / sigma_m^2

The ring, with rho = |x|, z = rho/sigma^2 and the exponentially scaled Bessel functions i0e and i1e:

    log p = -log(2 pi sigma^2) - (rho - 1)^2 / (2 sigma^2) + log i0e(z)
    score = -(x/sigma^2) (1 - i1e(z) / (rho i0e(z))),   where the fraction -> 1/(2 sigma^2) at 0
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from geodesic_lightning.models.exact.density import Density, like

__all__ = ["Mixture", "Ring", "Slope"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Slope(Density):
    """log p = g.x with slope g (d,). No curvature: sigma only scales the noise prediction."""

    slope: Tensor

    def log_density(self, x: Tensor) -> Tensor:
        """g.x at x (n, d), shape (n,)."""
        (slope,) = like(x, self.slope)
        return x @ slope

    def score(self, x: Tensor) -> Tensor:
        """g at every x (n, d), shape (n, d)."""
        (slope,) = like(x, self.slope)
        return slope.expand(x.shape).clone()


@dataclass(frozen=True, eq=False, kw_only=True)
class Mixture(Density):
    """Isotropic normal densities with means (M, d), widths (M,) and weights (M,) that sum to 1."""

    means: Tensor
    widths: Tensor
    weights: Tensor

    def _components(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """log of the weighted components (n, M), the means (M, d), the precisions (M,).

        The squared distances come from one matrix product about the centre of the means.
        """
        means, widths, weights = like(x, self.means, self.widths, self.weights)
        centre = means.mean(0)
        a, b = x - centre, means - centre
        squared = (a * a).sum(-1, keepdim=True) - 2 * (a @ b.T) + (b * b).sum(-1)
        constant = weights.log() - x.shape[-1] * (widths.log() + 0.5 * math.log(2 * math.pi))
        precision = widths**-2
        return constant - 0.5 * precision * squared.clamp_min(0), means, precision

    def log_density(self, x: Tensor) -> Tensor:
        """log p at x (n, d), shape (n,)."""
        return self._components(x)[0].logsumexp(-1)

    def score(self, x: Tensor) -> Tensor:
        """grad log p at x (n, d), shape (n, d)."""
        logs, means, precision = self._components(x)
        pull = logs.softmax(-1) * precision
        return pull @ means - pull.sum(-1, keepdim=True) * x


@dataclass(frozen=True, eq=False, kw_only=True)
class Ring(Density):
    """The unit circle in the plane under normal noise of width sigma; smooth at the centre too."""

    def log_density(self, x: Tensor) -> Tensor:
        """log p at x (n, 2), shape (n,)."""
        rho = torch.linalg.vector_norm(x, dim=-1)
        variance = self.sigma**2
        bessel = torch.special.i0e(rho / variance).log()
        return bessel - (rho - 1) ** 2 / (2 * variance) - math.log(2 * math.pi * variance)

    def score(self, x: Tensor) -> Tensor:
        """grad log p at x (n, 2), shape (n, 2)."""
        variance = self.sigma**2
        rho = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        z = rho / variance
        safe = torch.where(z > 1e-4, z, torch.ones_like(z))
        ratio = torch.special.i1e(safe) / (safe * torch.special.i0e(safe))
        ratio = torch.where(z > 1e-4, ratio, 0.5 - z * z / 16)
        return -(x / variance) * (1 - ratio / variance)
