"""The space the path lives in: what a manifold answers, whatever it is.

A manifold M is a subset of R^d with the length that R^d gives it. Its questions are about the LAST
dimension; leading dimensions broadcast. With γ the geodesic γ(0) = x, γ'(0) = v:

    projx(x)           the nearest point of M
    proju(x, v)        the part of v that is tangent at x
    expmap(x, v)       γ(1)
    logmap(x, y)       the shortest v with γ(1) = y, |logmap(x, y)| = dist(x, y)
    dist(x, y)         the length of the shortest geodesic
    geodesic(x, y, u)  the point at the fraction u of the way from x to y, at constant speed
    acceleration(x, v) γ''(0), at right angles to M: the second fundamental form II(v, v)
    straight(x, v, u)  γ(u) and γ'(u)
    glide(x, v, h)     γ(h) and γ'(h), put back on M and to the speed |v|

Flat space (euclidean.py), a sphere (sphere.py), products of such (product.py) and latents whose
channels' means are held (held_means.py) are manifolds; another one is another file.

Everything is a pure function of tensors of any floating dtype: no loop over points, no input
changed. Points are expected on the manifold up to rounding; projx puts them there.
"""

from typing import Protocol

import numpy as np
from torch import Tensor

from geodesic_lightning.geometry.euclidean import Euclidean
from geodesic_lightning.geometry.sphere import Sphere

__all__ = ["Euclidean", "Manifold", "Sphere"]


class Manifold(Protocol):
    """What the path, its functional and its integrators ask of a space; values, compared by value.

    Attributes:
        line: what its geodesics are called.
    """

    @property
    def line(self) -> str: ...

    # -- points and tangents ---

    def projx(self, x: Tensor) -> Tensor:
        """The point nearest to x (..., d); whatever it likes where `undetermined`."""
        ...

    def proju(self, x: Tensor, v: Tensor) -> Tensor:
        """The part of v (..., d) that is tangent at x (..., d)."""
        ...

    def expmap(self, x: Tensor, v: Tensor) -> Tensor:
        """Where the geodesic from x with the tangent velocity v is after unit time, (..., d)."""
        ...

    def logmap(self, x: Tensor, y: Tensor) -> Tensor:
        """The tangent at x that expmap carries to y, (..., d); exactly zero for coincident points."""
        ...

    def dist(self, x: Tensor, y: Tensor) -> Tensor:
        """The length of the shortest geodesic, (...); exactly zero for coincident points."""
        ...

    def geodesic(self, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
        """x, y (d,) and u (m,) in [0, 1] give (m, d); the ends are exact.

        In general u broadcasts against the leading dimensions of x and y.
        """
        ...

    def undetermined(self, x: Tensor) -> Tensor:
        """Whether x (..., d) has, to rounding, no one nearest point: bool (...)."""
        ...

    def antipodal(self, x: Tensor, y: Tensor) -> Tensor:
        """Whether, nearly, no one shortest geodesic joins x and y of the manifold: bool (...)."""
        ...

    # -- curves ---

    def acceleration(self, x: Tensor, v: Tensor) -> Tensor:
        """γ'' (..., d), in ambient space, of the geodesic at x with the tangent velocity v."""
        ...

    def straight(self, x: Tensor, v: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Places and velocities (..., d) of the geodesic from x with velocity v at times u (...)."""
        ...

    def glide(self, x: Tensor, v: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Place and velocity (..., d) after time h (...), freed of rounding: as for an integrator."""
        ...

    def frequencies(self, v: Tensor) -> Tensor:
        """ω² (..., k) with γ'' = −ω² centred(γ) on geodesics of velocity v, or 0 where nothing is known.

        One for each of k equal blocks of coordinates. An integrator that solves this part exactly
        need not iterate it (picard.py).
        """
        ...

    def centred(self, x: Tensor) -> Tensor:
        """x (..., d) relative to the centre that geodesics turn about."""
        ...

    def rates_along(
        self, points: Tensor, scores: Tensor, value: np.ndarray, slope: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """s·x' and |x'|², (m,) each, on a spline through points, brought to the manifold.

        Args:
            points, scores: (N+1, d), the scores tangent; s is their spline.
            value, slope: (m, N+1), what the nodes count in the spline and in its derivative at m
                places; rows of `value` add up to 1, of `slope` to 0.
        """
        ...

    # -- what points have that the manifold holds ---

    def statistics(self, x: Tensor) -> Tensor:
        """What distinguishes latents x (n, d) from their nearest points: (n,) or (n, k)."""
        ...

    def restoring(self, x: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and shift, (n, k) float64 on the CPU each, that give points their own statistics back.

        x·scale + shift on each of k equal blocks of coordinates, for x (n, d) of the manifold, has
        the statistics `own`; scale and shift that lie evenly between two give statistics that do.
        """
        ...
