"""Latents of several channels whose means over the pixels are held: an affine picture of a manifold.

A latent x of C channels of n pixels has per channel c the mean μ_c and the deviation from it, which
is at right angles to 1 = (1, …, 1). The reflection H that swaps the unit vectors 1/√n and e_1,

    H = I − w wᵀ/(1 − 1/√n),   w = 1/√n − e_1,   H x_c = (√n μ_c, z_c),

is an isometry, so that z = (z_1, …, z_C), of C(n − 1) numbers, is the deviations in orthonormal
coordinates: |z_c|² = n var_c. With a manifold N for z and fixed means μ,

    M = { x : x_c = H (√n μ_c, z_c), z in N }

is isometric to N: all of M's questions are N's, asked in these coordinates.

    N flat                          `means`: the means alone are held
    N one sphere, S^(C(n−1)−1)      `means_and_norm`: and the norm of all deviations together
    N a sphere a channel, S^(n−2)   `shell`: and the norm of each channel's deviation

High-dimensional noise is concentrated where its statistics are typical, not where it is most
probable; holding more of them keeps a path that seeks probable points away from points that no
sample looks like. The ends of a path have means and norms of their own: M has the mean of the ends',
and what is shown gets x·r(u)/r + (μ(u) − μ r(u)/r) with μ(u), r(u) even between them
(Manifold.restoring).

The score is asked at the points of M themselves, so that all paths on M are in one metric. Asking
it instead at the latent that is shown at u, with the chain rule, moved the redraw error of the
hand-made pairs by 0.1 % of a pixel's range at most and other measures as little, but on one pair.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from geodesic_lightning.geometry.manifold import Manifold


@dataclass(frozen=True)
class HeldMeans:
    """Latents of C channels with fixed means, their deviations in orthonormal coordinates on `inner`.

    Args:
        inner: of C(n − 1) coordinates about the origin: flat, a sphere, or a product of k | C factors.
        means: (C,).
    """

    inner: Manifold
    means: tuple[float, ...]

    line = "shortest line"

    # -- coordinates ---

    def deviations(self, x: Tensor) -> Tensor:
        """z (..., C(n−1)) of x (..., Cn); whatever the means of x are."""
        x = x.unflatten(-1, (len(self.means), -1))
        root = math.sqrt(x.shape[-1])
        tilt = x.sum(-1, keepdim=True) / root - x[..., :1]
        return (x[..., 1:] - tilt / (root - 1)).flatten(-2)

    def vector(self, z: Tensor) -> Tensor:
        """The vector (..., Cn) of means 0 with deviations z (..., C(n−1))."""
        z = z.unflatten(-1, (len(self.means), -1))
        root = math.sqrt(z.shape[-1] + 1)
        first = z.sum(-1, keepdim=True) / root
        return torch.cat([first, z - first / (root - 1)], -1).flatten(-2)

    def point(self, z: Tensor) -> Tensor:
        """The point (..., Cn) of the held means with deviations z (..., C(n−1))."""
        x = self.vector(z).unflatten(-1, (len(self.means), -1))
        return (x + x.new_tensor(self.means)[:, None]).flatten(-2)

    # -- points and tangents ---

    def projx(self, x: Tensor) -> Tensor:
        """x (..., d) with the held means and deviations on the inner manifold."""
        return self.point(self.inner.projx(self.deviations(x)))

    def proju(self, x: Tensor, v: Tensor) -> Tensor:
        """v (..., d) without its channels' means, and tangent to the inner manifold."""
        return self.vector(self.inner.proju(self.deviations(x), self.deviations(v)))

    def expmap(self, x: Tensor, v: Tensor) -> Tensor:
        """The inner manifold's exponential, (..., d)."""
        return self.point(self.inner.expmap(self.deviations(x), self.deviations(v)))

    def logmap(self, x: Tensor, y: Tensor) -> Tensor:
        """The inner manifold's logarithm, (..., d)."""
        return self.vector(self.inner.logmap(self.deviations(x), self.deviations(y)))

    def dist(self, x: Tensor, y: Tensor) -> Tensor:
        """The inner manifold's distance, (...)."""
        return self.inner.dist(self.deviations(x), self.deviations(y))

    def geodesic(self, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
        """The inner manifold's geodesic, (m, d); the ends are exact."""
        u = torch.as_tensor(u, dtype=x.dtype, device=x.device)
        inside = self.point(self.inner.geodesic(self.deviations(x), self.deviations(y), u))
        u = u[..., None]
        return torch.where(u == 0, x, torch.where(u == 1, y, inside))

    def undetermined(self, x: Tensor) -> Tensor:
        """Whether the deviations of x (..., d) have no one nearest point: bool (...)."""
        return self.inner.undetermined(self.deviations(x))

    def antipodal(self, x: Tensor, y: Tensor) -> Tensor:
        """Whether the deviations of x and y (..., d) are antipodal: bool (...)."""
        return self.inner.antipodal(self.deviations(x), self.deviations(y))

    # -- curves ---

    def acceleration(self, x: Tensor, v: Tensor) -> Tensor:
        """Of the inner manifold's geodesic, (..., d)."""
        return self.vector(self.inner.acceleration(self.deviations(x), self.deviations(v)))

    def straight(self, x: Tensor, v: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Places and velocities (..., d) of the inner manifold's geodesic at times u (...)."""
        places, velocities = self.inner.straight(self.deviations(x), self.deviations(v), u)
        return self.point(places), self.vector(velocities)

    def glide(self, x: Tensor, v: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Place and velocity (..., d) after time h (...)."""
        place, velocity = self.inner.glide(self.deviations(x), self.deviations(v), h)
        return self.point(place), self.vector(velocity)

    def frequencies(self, v: Tensor) -> Tensor:
        """The inner manifold's, (..., k): its blocks are whole channels."""
        return self.inner.frequencies(self.deviations(v))

    def centred(self, x: Tensor) -> Tensor:
        """x (..., d) less the centre, the held means in every pixel and the inner manifold's."""
        return self.vector(self.inner.centred(self.deviations(x)))

    def rates_along(
        self, points: Tensor, scores: Tensor, value: np.ndarray, slope: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The inner manifold's, (m,) each."""
        return self.inner.rates_along(
            self.deviations(points), self.deviations(scores), value, slope
        )

    # -- what points have that the manifold holds ---

    def statistics(self, x: Tensor) -> Tensor:
        """Means of the channels, then what the inner manifold holds of the deviations: (n, C + k)."""
        means = x.unflatten(-1, (len(self.means), -1)).mean(-1)
        return torch.cat([means, self.inner.statistics(self.deviations(x)).reshape(len(x), -1)], -1)

    def restoring(self, x: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and shift (n, C): the deviations by the inner manifold's scale, the means to their own."""
        count = len(self.means)
        means, rest = own[:, :count].cpu().double(), own[:, count:]
        scale, _ = self.inner.restoring(self.deviations(x), rest)
        scale = scale.repeat_interleave(count // scale.shape[1], -1)
        return scale, means - scale * scale.new_tensor(self.means)
