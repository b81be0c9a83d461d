"""What one batched call of the score says of a path: the residual of its geodesic equation, its length, its densities.

An optimizer is handed the evaluation of one leg; solvers and callbacks read that of all legs together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from geodesic_lightning.functional import excess, quadrature
from geodesic_lightning.functional.excess import predicted_excess
from geodesic_lightning.functional.length import Action, Residual
from geodesic_lightning.geometry.laplacian import Laplacian
from geodesic_lightning.protocols import Manifold

UNRESOLVED = 0.5  # of the length: what it may differ by on every second node


@dataclass(frozen=True, eq=False)
class LegEvaluation:
    """One leg as it stood when it was scored.

    Attributes:
        points: (N+1, d), the ends included.
        scores: (N+1, d) at all points.
        residual: of the functional's equation at the interior nodes.
        action: length, energy and log density by the trapezoid rule.
        alpha: the density exponent.
        manifold: of the path.
        curvature_bound: λ with −∇²log p ≤ λ; None where none is known.
        noise_to_signal: evaluates the same points again; |s − s'|/(√2 |s|) over the interior, 0 for a sure score.
    """

    points: Tensor
    scores: Tensor
    residual: Residual
    action: Action
    alpha: float
    manifold: Manifold
    curvature_bound: float | None
    noise_to_signal: Callable[[], float]

    @property
    def interior(self) -> Tensor:
        """The nodes that may move, (N−1, d)."""
        return self.points[1:-1]

    @property
    def u(self) -> Tensor:
        """Places of the points on the leg, (N+1,)."""
        return torch.linspace(0, 1, len(self.points))

    @property
    def predicted_excess(self) -> float:
        """Of the length over the geodesic's, relative."""
        return predicted_excess(self.residual.across, self.residual.spacing)

    @property
    def excess_of_pieces(self) -> float:
        """Of the length, relative, where the residual is 0 (functional/excess.py)."""
        laplacian = Laplacian(len(self.points) - 1, self.points)
        found = excess.of_the_pieces(self.residual, laplacian, self.points, self.manifold)
        return float(found)

    @property
    def is_resolved(self) -> bool:
        """The length on all nodes and that on every second differ by less than half, or cannot be compared."""
        found = quadrature.measure(self.points, self.scores, self.alpha, self.manifold)
        return not found.length_error > UNRESOLVED * found.length


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All legs of a problem, each as it was last scored."""

    legs: Sequence[LegEvaluation]

    @property
    def scores(self) -> Tensor:
        """At the nodes that may move, leg after leg: (n, d)."""
        return torch.cat([leg.scores[1:-1] for leg in self.legs])

    @property
    def u(self) -> Tensor:
        """Places on the whole of all points, leg after leg."""
        return torch.cat([(k + leg.u) / len(self.legs) for k, leg in enumerate(self.legs)])

    @property
    def turning(self) -> Tensor:
        """Turning that the density does not explain, per node, radians over its leg."""
        return torch.cat([leg.residual.turning for leg in self.legs])

    @property
    def predicted_excess(self) -> float:
        """The most of a leg."""
        return max(leg.predicted_excess for leg in self.legs)

    @property
    def action(self) -> Action:
        """Length and energy of the legs one after the other, relative to the first one's start."""
        length: Tensor | float = 0.0
        energy: Tensor | float = 0.0
        offset: Tensor | float = 0.0
        densities: list[Tensor] = []
        for leg in self.legs:
            scale = torch.exp(-leg.alpha * torch.as_tensor(offset))
            length = length + scale * leg.action.length
            energy = energy + scale**2 * leg.action.energy * len(self.legs)
            densities.append(offset + leg.action.log_density)
            offset = densities[-1][-1]
        return Action(torch.as_tensor(length), torch.as_tensor(energy), torch.cat(densities))
