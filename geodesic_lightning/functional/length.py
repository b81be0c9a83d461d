"""The length functional of a density and everything measured on a path.

Metric |w|_x = |w| p(x)^(−α). For a path γ with unit tangent v, P = I − vvᵀ and score s = ∇log p:

    length   S = ∫ |γ'| p(γ)^(−α) du            energy   E = ∫ |γ'|² p(γ)^(−2α) du  ≥ S²
    δS/δγ = −p^(−α) |γ'| P(αs + γ''/|γ'|²)      geodesic ⇔ P(γ''/|γ'|² + αs) = 0
    log p(γ(u)) − log p(γ(0)) = ∫ s·γ' du       (nats; only the score is known)

Densities are relative to the path's start, p(γ(0)) = 1. On a sphere the score is first made tangent.
Source: Yu et al., "Probability Density Geodesics in Image Diffusion Latent Space", CVPR 2025.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from geodesic_lightning.geometry.manifold import Manifold


@dataclass(frozen=True)
class Residual:
    """How far interior nodes are from solving the discrete geodesic equation.

    Attributes:
        vector: r, (N−1, d): its part across the path is the geodesic equation times ℓ², its part along the
            path the equal spacing of the nodes.
        spacing: ℓ, scalar tensor: mean distance of neighbours.
        force: P s at the nodes, (N−1, d).
        across: the part of r across the path, (N−1, d).
        weight: of the force in r, αℓ².
    """

    vector: Tensor
    spacing: Tensor
    force: Tensor
    across: Tensor
    weight: Tensor

    @property
    def turning(self) -> Tensor:
        """Turning that the density does not explain, per node, in radians over the whole path: (N−1,)."""
        segments = len(self.vector) + 1
        return self.across.norm(dim=-1) * segments / self.spacing


def residual(points: Tensor, scores: Tensor, alpha: float, manifold: Manifold) -> Residual:
    """Residual of the geodesic equation at the interior nodes.

        f = log_x(x₊), b = log_x(x₋), v = f − b:   r = f + b + αℓ² (s − (s·v)v/|v|²)

    Args:
        points: (N+1, d), the ends included.
        scores: (N−1, d) at the interior nodes.
    """
    here = points[1:-1]
    forward, backward = manifold.logmap(here, points[2:]), manifold.logmap(here, points[:-2])
    spacing = manifold.dist(points[:-1], points[1:]).mean()
    tangent = forward - backward
    tangent = tangent / tangent.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(points.dtype).tiny)
    force = across(manifold.proju(here, scores), tangent)
    bend = forward + backward
    weight = alpha * spacing**2
    pull = weight * force
    return Residual(bend + pull, spacing, force, across(bend, tangent) + pull, weight)


def across(vectors: Tensor, tangent: Tensor) -> Tensor:
    """The part of vectors (n, d) at right angles to unit tangents (n, d)."""
    return vectors - (vectors * tangent).sum(-1, keepdim=True) * tangent


@dataclass(frozen=True)
class Action:
    """Length and energy on the nodes by the trapezoid rule, second order; cheap enough for every step."""

    length: Tensor
    energy: Tensor
    log_density: Tensor


def action(points: Tensor, scores: Tensor, alpha: float, manifold: Manifold) -> Action:
    """Trapezoid length, energy and log density from scores (N+1, d) at all points (N+1, d)."""
    chords = points[1:] - points[:-1]
    rise = ((scores[1:] + scores[:-1]) * chords).sum(-1) / 2
    log_density = torch.cat([rise.new_zeros(1), rise.cumsum(0)])
    weight = torch.exp(-alpha * log_density)
    pieces = manifold.dist(points[:-1], points[1:]) * (weight[1:] + weight[:-1]) / 2
    return Action(pieces.sum(), len(chords) * (pieces**2).sum(), log_density)


class DensityLength:
    """The density's own functional, S = ∫ p^(−α)|dx|: choice functional=density."""

    name = "density"

    def __call__(
        self, points: Tensor, scores: Tensor, alpha: float, manifold: Manifold
    ) -> Residual:
        """The residual of the geodesic equation at the interior of points (N+1, d) with scores (N+1, d)."""
        return residual(points, scores[1:-1], alpha, manifold)
