"""An initial value problem as it stands: paths from one start, velocities, and what bends them.

Integrators (optimizers) move it, solvers/ivp.py shows and measures it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from geodesic_lightning.geometry.path import Path
from geodesic_lightning.integrators.adaptive import straight
from geodesic_lightning.integrators.geodesic_ode import Medium
from geodesic_lightning.problems.boundary_value import Problem


class Shot:
    """Geodesics from one start: one, or a fan of them, scored as one batch.

    Args:
        problem: the first path with its score and exponent; evaluations are counted there.
        others: the paths of the rest of the fan, from the same start.
        velocities: (n, d), tangent at the start; unit time takes each path to its end.
        gauge: euclidean (nodes come at equal distances) or metric (at equal metric distances).

    Attributes:
        reached: length of the first path so far, in the metric, relative to p(start) = 1.
        profile: u (n,) and log density (n,), nats, where the first path is known so far.
    """

    def __init__(
        self, problem: Problem, others: Sequence[Path], velocities: Tensor, gauge: str = "euclidean"
    ) -> None:
        self.problem, self.paths = problem, [problem.path, *others]
        self.medium = Medium(self._score, problem.alpha, problem.manifold, gauge)
        self._velocities = velocities
        self.reached = 0.0
        self.profile: tuple[Tensor, Tensor] | None = None

    @property
    def start(self) -> Tensor:
        """(n, d): where the paths start, as many times as there are paths."""
        return torch.stack([path.start.flatten() for path in self.paths])

    @property
    def velocities(self) -> Tensor:
        """(n, d), on the paths' device."""
        return self._velocities.to(self.start)

    def points(self) -> Tensor:
        """All nodes of all paths, (n, N+1, d)."""
        return torch.stack([path.points() for path in self.paths])

    def draw(self, points: Tensor) -> None:
        """Put the paths through points (n, N+1, d)."""
        for path, nodes in zip(self.paths, points):
            path.draw(nodes)

    def unbent(self, segments: int) -> Tensor:
        """The lines or great circles along the velocities, (n, N+1, d): where solving starts."""
        return straight(self.start, self.velocities, segments, self.medium.manifold)[0]

    def _score(self, x: Tensor, u: Tensor) -> Tensor:
        """One batched call of the score, counted, with fresh randomness if it has any."""
        problem = self.problem
        with torch.inference_mode():
            found = problem.score(problem.path.chart(x), u, problem.draw).flatten(1)
        problem.evaluations += len(x)
        problem.draw += 1
        return found.clone()
