"""Other people's functionals on the same path: what else "short and probable" may mean.

Each gives the residual that solvers bring to 0, r = −∇E/2N of its discrete energy, N Σ over pieces, with
neighbours x₊ and x₋, on flat space (on a sphere differences are logarithms, and s is made tangent):

    score_outer    the metric I + λ s sᵀ. Since s·Δx is the change of L = log p, E = N Σ |Δx|² + λ (ΔL)²:
                   geodesics of the graph (x, √λ L(x)), which keep to one density where they can.
                       r = x₊ + x₋ − 2x + λ s (L₊ + L₋ − 2L)
                   L by the trapezoid rule along the path. (arXiv 2505.11128)
    temperature    energy in a potential, E = N Σ |Δx|² − (2λ/N) Σ log p: a string that is drawn to
                   probable places, with nodes close together where they are unlikely.
                       r = x₊ + x₋ − 2x + (λ/N²) s                        (arXiv 2510.26266)

The density's own, p^(−α)|dx|, is length.residual. Geodesics of JᵀJ with J = ∇s (arXiv 2510.05509) are
not here: they need products with the network's Jacobian at every node, and J is singular where the score
does not change. Nor are spacetime geodesics and pullbacks by the denoiser: docs/functionals.md says why.
"""

import torch
from torch import Tensor

from geodesic_lightning.errors import UserError
from geodesic_lightning.functional.length import Residual
from geodesic_lightning.geometry.manifold import Manifold


class ScoreOuter:
    """I + λ s sᵀ.

    Args:
        weight: λ ≥ 0, latent units squared per nat squared.
    """

    name = "score_outer"

    def __init__(self, weight: float = 0.01) -> None:
        self.weight = _checked(weight)

    def __call__(
        self, points: Tensor, scores: Tensor, alpha: float, manifold: Manifold
    ) -> Residual:
        """r, its part along s divided by 1 + λ|s|²: the metric's own gradient, whose steps are of one size."""
        _, forward, backward = _neighbours(points, manifold)
        scores = manifold.proju(points, scores)
        chords = points[1:] - points[:-1]
        rise = ((scores[1:] + scores[:-1]) * chords).sum(-1, keepdim=True) / 2
        s = scores[1:-1]
        bend = forward + backward
        plain = bend + self.weight * s * (rise[1:] - rise[:-1])
        along = (s * plain).sum(-1, keepdim=True)
        vector = plain - self.weight * s * along / (
            1 + self.weight * s.square().sum(-1, keepdim=True)
        )
        return _residual(vector, points, manifold, 0.0)

    def energy(self, points: Tensor, scores: Tensor) -> Tensor:
        """E on flat space, of points and scores (N+1, d)."""
        chords = points[1:] - points[:-1]
        rise = ((scores[1:] + scores[:-1]) * chords).sum(-1) / 2
        return len(chords) * (chords.square().sum() + self.weight * rise.square().sum())


class Temperature:
    """Energy in the potential −λ log p.

    Args:
        weight: λ ≥ 0, latent units squared per nat.
    """

    name = "temperature"

    def __init__(self, weight: float = 10.0) -> None:
        self.weight = _checked(weight)

    def __call__(
        self, points: Tensor, scores: Tensor, alpha: float, manifold: Manifold
    ) -> Residual:
        here, forward, backward = _neighbours(points, manifold)
        weight = self.weight / (len(points) - 1) ** 2
        force = manifold.proju(here, scores[1:-1])
        return _residual(forward + backward + weight * force, points, manifold, weight, force)

    def energy(self, points: Tensor, log_density: Tensor) -> Tensor:
        """E on flat space, of points (N+1, d) and log p at the interior nodes (N−1,)."""
        chords, count = points[1:] - points[:-1], len(points) - 1
        return count * chords.square().sum() - 2 * self.weight / count * log_density.sum()


def _neighbours(points: Tensor, manifold: Manifold) -> tuple[Tensor, Tensor, Tensor]:
    here = points[1:-1]
    return here, manifold.logmap(here, points[2:]), manifold.logmap(here, points[:-2])


def _residual(
    vector: Tensor, points: Tensor, manifold: Manifold, weight: float, force: Tensor | None = None
) -> Residual:
    """All of r counts: these functionals have a parametrization of their own."""
    spacing = manifold.dist(points[:-1], points[1:]).mean()
    force = torch.zeros_like(vector) if force is None else force
    return Residual(vector, spacing, force, vector, torch.as_tensor(weight).to(spacing))


def _checked(weight: float) -> float:
    if not 0 <= weight < float("inf"):
        raise UserError(f"functional.weight: got {weight}, expected a number of at least 0.")
    return weight
