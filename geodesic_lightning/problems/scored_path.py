"""A path and the score along it: what there is to evaluate, and to measure."""

from dataclasses import replace

import torch
from torch import Tensor

from geodesic_lightning.errors import UserError
from geodesic_lightning.functional import quadrature
from geodesic_lightning.functional.quadrature import Measurement
from geodesic_lightning.geometry import spline
from geodesic_lightning.protocols import Legs, Manifold, Score
from geodesic_lightning.score.finite import refuse_not_finite

COARSE = 0.01  # relative error of the length above which a measurement takes twice the points
LAST = 1 - 1e-6  # the end of a span, not the beginning of the next


class ScoredPath:
    """A path whose points can be scored, and counts of what that has cost.

    Args:
        path: the nodes; its manifold is where scores are made tangent.
        score: the estimator of ∇log p along the whole.
        alpha: the density exponent, α ≥ 0.
        span: (k, K): the path is part k of K equal parts of the whole, whose places u are [k/K, (k+1)/K].

    Attributes:
        evaluations: scores of single latents spent on solving so far.
        rng_step: number of the next draw, of a score that has randomness.

    Raises:
        UserError: α is negative or not finite.
    """

    def __init__(
        self, path: Legs, score: Score, alpha: float, span: tuple[int, int] = (0, 1)
    ) -> None:
        if not 0 <= alpha < float("inf"):
            raise UserError(f"solver.alpha: got {alpha}, expected a number of at least 0.")
        self.path, self.score, self.alpha, self.span = path, score, alpha, span
        self.evaluations = 0
        self.rng_step = 0

    @property
    def manifold(self) -> Manifold:
        """Where the path lives."""
        return self.path.manifold

    def on_whole(self, u: Tensor) -> Tensor:
        """Places on the whole of places u (n,) on this path."""
        k, count = self.span
        return (k + (u * LAST if k < count - 1 else u)) / count

    def score_at(self, points: Tensor, u: Tensor, rng_step: int | None) -> Tensor:
        """The score (n, d) at points (n, d) whose places on the path are u (n,).

        Args:
            rng_step: which draw of a score that has randomness; None takes none, for measuring.
        """
        # The clone makes ordinary tensors of inference tensors, so that autograd may carry them.
        with torch.inference_mode():
            scores = self.score(self.path.chart(points), self.on_whole(u), rng_step).flatten(1)
        return scores.clone().to(points.dtype)

    def scores_along(self, points: Tensor, known: Tensor | None = None) -> Tensor:
        """Scores (N+1, d) at points (N+1, d), evenly placed, without fresh randomness.

        Args:
            known: those that are known, NaN for the others; they alone are asked.

        Raises:
            UserError: a score is NaN or infinite.
        """
        u = torch.linspace(0, 1, len(points)).to(points)
        new = torch.ones(len(points), dtype=torch.bool) if known is None else known.isnan().any(-1)
        scores = points.new_empty(points.shape) if known is None else known.clone()
        if new.any():
            scores[new] = self.score_at(points[new], u[new], None)
        refuse_not_finite(scores, points, self.on_whole(u), self.score)
        return scores

    def measure(self, points: Tensor | None = None, known: Tensor | None = None) -> Measurement:
        """Measure points (N+1, d), by default the path's: every one is scored, ends included, without randomness.

        Where the length's own error estimate passes COARSE, or there is none, the middles of the
        pieces are scored too: a score that turns within a piece, as between the data of a narrow
        density, cannot be read off its ends.

        Args:
            known: as for scores_along.

        Raises:
            UserError: a score is NaN or infinite.
        """
        points = self.path.points() if points is None else points
        scores = self.scores_along(points, known)
        found = quadrature.measure(points, scores, self.alpha, self.manifold)
        if found.length_error <= COARSE * found.length:
            return found
        u, knots = torch.linspace(0, 1, len(points)).to(points), spline.chord_knots(points)
        middles = spline.evaluate(points, (knots[1:] + knots[:-1]) / 2, knots=knots)
        middles = self.manifold.projx(middles)
        halfway = (u[1:] + u[:-1]) / 2
        between = self.score_at(middles, halfway, None)
        refuse_not_finite(between, middles, self.on_whole(halfway), self.score)
        fine = quadrature.measure(
            _interleaved(points, middles), _interleaved(scores, between), self.alpha, self.manifold
        )
        return replace(
            fine,
            u=fine.u[::2],
            log_density=fine.log_density[::2],
            metric_speed=fine.metric_speed[::2],
            turning=found.turning,
            predicted_excess=found.predicted_excess,
            score_norm=fine.score_norm[::2],
        )


def _interleaved(nodes: Tensor, middles: Tensor) -> Tensor:
    """Nodes (N+1, d) with the middles (N, d) of the pieces between them: (2N+1, d)."""
    return torch.cat([torch.stack([nodes[:-1], middles], 1).flatten(0, 1), nodes[-1:]])
