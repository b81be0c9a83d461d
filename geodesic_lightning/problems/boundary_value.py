"""A geodesic problem: a path, a score, a density exponent, a manifold, and the latest evaluation of all four.

Solvers step it, optimizers read it, callbacks watch it. One evaluation scores all interior nodes in one batch.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from geodesic_lightning.errors import UserError
from geodesic_lightning.functional import length, quadrature
from geodesic_lightning.functional.alternatives import Functional
from geodesic_lightning.functional.excess import predicted_excess
from geodesic_lightning.functional.length import Action, Residual
from geodesic_lightning.functional.quadrature import Measurement
from geodesic_lightning.geometry import spline
from geodesic_lightning.geometry.path import Path
from geodesic_lightning.score.estimator import Score

COARSE = 0.01  # relative error of the length above which a measurement takes twice the points


@dataclass(frozen=True)
class Evaluation:
    """The score on the path as it stood: points (N+1, d), interior scores (N−1, d) and what follows from them."""

    points: Tensor
    scores: Tensor
    residual: Residual
    action: Action

    @property
    def u(self) -> Tensor:
        """Places of the points, (N+1,)."""
        return torch.linspace(0, 1, len(self.points))

    @property
    def turning(self) -> Tensor:
        """Unexplained turning per node, radians over the whole path: (N−1,)."""
        return self.residual.turning

    @property
    def predicted_excess(self) -> float:
        """Of the length over the geodesic's, relative."""
        return predicted_excess(self.residual.across, self.residual.spacing)


class Problem:
    """Bend `path` into a geodesic of p^(−α).

    Args:
        path: the nodes; its manifold is the problem's.
        score: the estimator of ∇log p.
        alpha: α ≥ 0, the density exponent.

    Attributes:
        functional: what gives the residual in place of the density's (functionals.py); None for that.
        latest: the latest evaluation, None before the first.
        evaluations: scores of single latents spent on solving so far.
    """

    def __init__(self, path: Path, score: Score, alpha: float) -> None:
        if not 0 <= alpha < float("inf"):
            raise UserError(f"solver.alpha: got {alpha}, expected a number of at least 0.")
        self.path, self.score, self.alpha = path, score, alpha
        self.functional: Functional | None = None
        self.latest: Evaluation | None = None
        self.evaluations = 0
        self.draw = 0
        self._end_scores: Tensor | None = None

    @property
    def manifold(self):
        return self.path.manifold

    def _score(self, points: Tensor, u: Tensor, draw: int | None) -> Tensor:
        # The clone makes ordinary tensors of inference tensors, so that autograd may carry them.
        with torch.inference_mode():
            scores = self.score(self.path.chart(points), u, draw).flatten(1)
        return scores.clone().to(points.dtype)

    def evaluate(self) -> Evaluation:
        """Score the interior nodes in one batch, one evaluation a node, with fresh randomness if the score has any.

        Raises:
            UserError: a score is NaN or infinite; the path is put back to the last nodes whose scores were finite.
        """
        points, u = self.path.points(), self.path.u
        if self._end_scores is None:
            self.know_ends(self._score(points[[0, -1]], u[[0, -1]], None))
        return self.accept(points, self._score(points[1:-1], u[1:-1], self.draw))

    def know_ends(self, scores: Tensor, spent: int = 2) -> None:
        """Take the scores (2, d) of the ends, of which `spent` are new."""
        self._end_scores = scores
        self.evaluations += spent

    @property
    def all_scores(self) -> Tensor:
        """The latest scores of all points, the ends included: (N+1, d)."""
        return torch.cat([self._end_scores[:1], self.latest.scores, self._end_scores[1:]])

    def accept(self, points: Tensor, scores: Tensor) -> Evaluation:
        """Take the scores (N−1, d) of the interior of points (N+1, d); whoever scored them, `evaluate` or a batch."""
        self.evaluations += len(scores)
        self.draw += 1
        self._refuse_not_finite(scores)
        return self.recall(points, scores)

    def recall(self, points: Tensor, scores: Tensor) -> Evaluation:
        """Take the scores (N−1, d) of the interior of points (N+1, d) as the latest, without counting them."""
        ends = self._end_scores
        whole = torch.cat([ends[:1], scores, ends[1:]])
        action = length.action(points, whole, self.alpha, self.manifold)
        if self.functional is None:
            residual = length.residual(points, scores, self.alpha, self.manifold)
        else:
            residual = self.functional(points, whole, self.manifold)
        self.latest = Evaluation(points, scores, residual, action)
        return self.latest

    def surrogate(self) -> Tensor:
        """A scalar whose value is the latest length and whose gradient on the nodes is −r, for autograd to find."""
        moved = self.path.nodes - self.path.nodes.detach()
        force = self.path.chart(self.latest.residual.vector)
        return self.latest.action.length - (moved * force).sum()

    def point_gradients(self) -> Tensor:
        """Set the nodes' gradients to −r without autograd; returns the latest length."""
        self.path.nodes.grad = -self.path.chart(self.latest.residual.vector)
        return self.latest.action.length

    def noise_to_signal(self) -> float:
        """|s − s'|/(√2 |s|) over the interior, from a second evaluation of the latest batch; 0 for a sure score."""
        if not self.score.stochastic:
            return 0.0
        latest = self.latest or self.evaluate()
        again = self._score(latest.points[1:-1], self.path.u[1:-1], self.draw)
        self.draw += 1
        self.evaluations += len(again)
        return float((again - latest.scores).norm() / (2**0.5 * latest.scores.norm()))

    def measure(self, points: Tensor | None = None) -> Measurement:
        """Measure points (N+1, d), by default the path's: every one is scored, ends included, no fresh randomness.

        Where the length's own error estimate passes COARSE, or there is none, the middles of the
        pieces are scored too: a score that turns within a piece, as between the data of a narrow
        density, cannot be read off its ends.
        """
        points = self.path.points() if points is None else points
        u = torch.linspace(0, 1, len(points)).to(points)
        scores = self._score(points, u, None)
        self._refuse_not_finite(scores)
        found = quadrature.measure(points, scores, self.alpha, self.manifold)
        if found.length_error <= COARSE * found.length:
            return found
        knots = spline.chord_knots(points)
        middles = spline.evaluate(points, (knots[1:] + knots[:-1]) / 2, knots=knots)
        middles = self.manifold.projx(middles)
        between = self._score(middles, (u[1:] + u[:-1]) / 2, None)
        self._refuse_not_finite(between)
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

    def state_dict(self) -> dict:
        """What a resumed run needs to go on as if it had never stopped."""
        return {"evaluations": self.evaluations, "draw": self.draw, "end_scores": self._end_scores}

    def load_state_dict(self, state: dict) -> None:
        """The inverse of `state_dict`."""
        self.evaluations, self.draw, self._end_scores = (
            state["evaluations"],
            state["draw"],
            state["end_scores"],
        )

    def _refuse_not_finite(self, scores: Tensor) -> None:
        if torch.isfinite(scores).all():
            return
        bad = int((~torch.isfinite(scores)).any(-1).sum())
        if self.latest is not None:
            self.path.place(self.latest.points[1:-1])
        raise UserError(
            f"The score is NaN or infinite at {bad} of {len(scores)} nodes: check the model's weights and precision, "
            "or try a smaller solver.alpha or another noise level; the last good nodes are kept."
        )


def _interleaved(nodes: Tensor, middles: Tensor) -> Tensor:
    """Nodes (N+1, d) with the middles (N, d) of the pieces between them: (2N+1, d)."""
    return torch.cat([torch.stack([nodes[:-1], middles], 1).flatten(0, 1), nodes[-1:]])
