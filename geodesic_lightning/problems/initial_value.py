"""The initial value problem: geodesics from one start along given velocities, one or a fan of them.

Integrators (optimizers) move them, solvers/ivp.py shows and measures them.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from geodesic_lightning.functional.quadrature import Measurement
from geodesic_lightning.functional.strength import PIECES, Strength, pull
from geodesic_lightning.geometry.path import Path
from geodesic_lightning.integrators.adaptive import straight
from geodesic_lightning.integrators.floor import nats
from geodesic_lightning.integrators.geodesic_ode import Medium
from geodesic_lightning.problems.scored_path import ScoredPath
from geodesic_lightning.protocols import Manifold, Score


class InitialValueProblem:
    """Geodesics from one start: one, or a fan of them, scored as one batch.

    Args:
        paths: the first one's density is shown and measured; the rest of the fan have the same start.
        score: as for ScoredPath.
        alpha: α ≥ 0; or a Strength that it follows from: the angle asked of the unbent first path.
        velocities: (n, d), tangent at the start; unit time takes each path to its end.
        parametrization: euclidean (nodes come at equal distances) or metric (at equal metric distances).
        floor: log p that no path is let fall below, in standard deviations √(d/2) above the start's
            (integrators/floor.py); None: free.

    Attributes:
        floor: the same in nats.
        evaluations: scores of single latents spent on solving so far. calls: batches of them.
        reached: length of the first path so far, in the metric, relative to p(start) = 1.
        profile: u (n,) and log density (n,), nats, where the first path is known so far.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        score: Score,
        alpha: float | Strength,
        velocities: Tensor,
        parametrization: str = "euclidean",
        floor: float | None = None,
    ) -> None:
        self.paths = list(paths)
        self.path, self.score = self.paths[0], score
        self._velocities = velocities
        self._pull: float | None = None
        if isinstance(alpha, Strength):
            alpha = alpha.alpha(self.pull)
        self.alpha = alpha
        self._scored = [ScoredPath(path, score, alpha) for path in self.paths]
        self.medium = Medium(self._score, alpha, self.path.manifold, parametrization, score)
        self.floor = nats(floor, velocities.shape[-1])
        self.reached = 0.0
        self.profile: tuple[Tensor, Tensor] | None = None

    @property
    def manifold(self) -> Manifold:
        """Where the paths live."""
        return self.path.manifold

    @property
    def evaluations(self) -> int:
        return self._scored[0].evaluations

    @property
    def calls(self) -> int:
        return self._scored[0].rng_step

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

    def set_points(self, points: Tensor) -> None:
        """Put the paths through points (n, N+1, d)."""
        for path, nodes in zip(self.paths, points):
            path.set_points(nodes)

    def unbent(self, segments: int) -> Tensor:
        """The lines or great circles along the velocities, (n, N+1, d): where solving starts."""
        return straight(self.start, self.velocities, segments, self.manifold)[0]

    @property
    def pull(self) -> float:
        """Radians by which α = 1 would turn the first path, unbent."""
        if self._pull is None:
            points = self.unbent(PIECES)[0]
            scores = ScoredPath(self.path, self.score, 0.0).scores_along(points)
            self._pull = pull(points, scores, self.manifold)
        return self._pull

    @property
    def strength(self) -> float:
        """κ = α ⟨|P s|⟩ L, radians."""
        return self.alpha * self.pull

    def measure(self, points: Tensor | None = None) -> Measurement:
        """Measure points (N+1, d), by default the first path's: as ScoredPath.measure."""
        return self._scored[0].measure(points)

    def measure_others(self) -> list[Measurement]:
        """The rest of the fan, each measured as the first."""
        return [scored.measure() for scored in self._scored[1:]]

    def _score(self, x: Tensor, u: Tensor) -> Tensor:
        """One batched call of the score, counted, with fresh randomness if it has any."""
        first = self._scored[0]
        found = first.score_at(x, u, first.rng_step)
        first.evaluations += len(x)
        first.rng_step += 1
        return found

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs to go on as if it had never stopped."""
        return {"evaluations": self.evaluations, "rng_step": self.calls}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`; states of version 0.1 are read too."""
        first = self._scored[0]
        first.evaluations = state["evaluations"]
        first.rng_step = state["draw"] if "draw" in state else state["rng_step"]
