"""The boundary value problem: bend K ≥ 1 paths between fixed ends until each is a geodesic of the density.

One pair of images is K = 1; keyframes, the legs of a mean and all pairs of a distance matrix are more. One evaluation
scores the interior nodes of all legs that still move, in one batch.
"""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from geodesic_lightning.errors import UserError
from geodesic_lightning.functional.added import added
from geodesic_lightning.functional.geodesic_defect import departure
from geodesic_lightning.functional.length import DensityLength, action
from geodesic_lightning.functional.quadrature import Measurement
from geodesic_lightning.functional.strength import PIECES, Strength, pull
from geodesic_lightning.geometry.path import Path
from geodesic_lightning.geometry.piecewise_path import PiecewisePath
from geodesic_lightning.problems.evaluation import Evaluation, LegEvaluation
from geodesic_lightning.problems.scored_path import ScoredPath
from geodesic_lightning.protocols import Functional, Legs, Manifold, Score
from geodesic_lightning.score.finite import refuse_not_finite

# Times the distance of the ends. A path that bends so far towards a mode is one whose metric changes by e^−20 and more
# on the way, p^(−α) ≈ e^(−κ·FAR/2): where the density still leads on from there, it leads nowhere.
FAR = 30


class Leg(ScoredPath):
    """One path between two ends, with its latest evaluation.

    Args:
        path, score, alpha, span: as for ScoredPath.
        functional: what is bent to its least.

    Attributes:
        latest: the latest evaluation, None before the first.
        end_scores: (2, d), None before they were asked.
    """

    def __init__(
        self,
        path: Path,
        score: Score,
        alpha: float,
        span: tuple[int, int],
        functional: Functional,
    ) -> None:
        super().__init__(path, score, alpha, span)
        self.path: Path = path
        self.functional = functional
        self.latest: LegEvaluation | None = None
        self.end_scores: Tensor | None = None

    @property
    def ends(self) -> Tensor:
        """Scores (2, d) of the ends."""
        assert self.end_scores is not None, "ends are scored first"
        return self.end_scores

    def know_ends(self, scores: Tensor, spent: int = 2) -> None:
        """Take the scores (2, d) of the ends, of which `spent` are new."""
        self.end_scores = scores
        self.evaluations += spent

    def known(self, points: Tensor) -> Tensor:
        """Scores (N+1, d) at those of points (N+1, d) that were scored already, NaN at the others.

        Of a score that is looked at elsewhere than at the path's own noise level none is: measuring
        sees another field than solving.
        """
        found = torch.full_like(points, torch.nan)
        if not self.score.at_level:
            return found
        latest = self.latest
        if latest is not None and len(latest.points) == len(points):
            same = (latest.points == points).all(-1)
            found[same] = latest.scores[same].to(found)
            return found
        ends, scores = (
            (self.path.points()[[0, -1]], self.end_scores)
            if latest is None
            else (latest.points[[0, -1]], latest.scores[[0, -1]])
        )
        if scores is not None:
            for k in (0, -1):
                if torch.equal(ends[k], points[k]):
                    found[k] = scores[k]
        return found

    def accept(self, points: Tensor, scores: Tensor) -> None:
        """Take new scores (N−1, d) of the interior of points (N+1, d).

        Raises:
            UserError: one is NaN or infinite; the path is put back to the last nodes whose scores were finite.
        """
        self.evaluations += len(scores)
        self.rng_step += 1
        try:
            places = torch.linspace(0, 1, len(points))[1:-1]
            refuse_not_finite(scores, points[1:-1], self.on_whole(places), self.score)
        except UserError:
            if self.latest is not None:
                self.path.set_nodes(self.latest.interior)
            raise
        self.recall(points, scores)

    def recall(self, points: Tensor, scores: Tensor) -> None:
        """Take scores (N−1, d) of the interior of points (N+1, d) as the latest, without counting them."""
        whole = torch.cat([self.ends[:1], scores, self.ends[1:]])
        self.latest = LegEvaluation(
            points,
            whole,
            self.functional(points, whole, self.alpha, self.manifold),
            action(points, whole, self.alpha, self.manifold),
            self.alpha,
            self.manifold,
            self.score.curvature_bound,
            self.noise_to_signal,
        )

    def noise_to_signal(self) -> float:
        """|s − s'|/(√2 |s|) over the interior, from a second evaluation of the latest nodes; 0 for a sure score."""
        if not self.score.stochastic:
            return 0.0
        assert self.latest is not None, "evaluate first"
        again = self.score_at(self.latest.interior, self.path.u[1:-1], self.rng_step)
        self.rng_step += 1
        self.evaluations += len(again)
        scores = self.latest.scores[1:-1]
        return float((again - scores).norm() / (2**0.5 * scores.norm()))


class Problem:
    """Bend every leg of `path` into a geodesic of p^(−α).

    Args:
        path: its legs are solved, side by side; its manifold is the problem's.
        score: the estimator of ∇log p.
        alpha: α ≥ 0, the density exponent; or a Strength that it follows from, one α for all legs.
        functional: what is bent to its least; the density's length if not given.

    Attributes:
        legs: the problem of each leg.
        by_strength: α follows from a strength.
    """

    def __init__(
        self,
        path: Legs,
        score: Score,
        alpha: float | Strength,
        functional: Functional | None = None,
    ) -> None:
        self.path, self.score = path, score
        self.functional: Functional = DensityLength() if functional is None else functional
        count, known = len(path.legs), 0.0 if isinstance(alpha, Strength) else alpha
        self._whole = ScoredPath(path, score, known)
        self.legs = [
            Leg(leg, score, known, (k, count), self.functional) for k, leg in enumerate(path.legs)
        ]
        # Of the ends as they were given: the centre of a star may run away with its legs.
        ends = torch.stack([leg.path.points()[[0, -1]] for leg in self.legs])
        self._size = float((ends[:, 1] - ends[:, 0]).norm(dim=-1).max())
        self._pull: float | None = None
        self._first: tuple[Tensor, Tensor] | None = None
        self.by_strength = isinstance(alpha, Strength)
        if isinstance(alpha, Strength):
            self.alpha = alpha.alpha(self.pull)

    @property
    def alpha(self) -> float:
        """The density exponent."""
        return self._whole.alpha

    @alpha.setter
    def alpha(self, alpha: float) -> None:
        for part in (self._whole, *self.legs):
            part.alpha = alpha

    @property
    def pull(self) -> float:
        """Radians by which α = 1 would turn the manifold's own geodesics, the mean over legs.

        Their scores are remembered: the first evaluation of a level of PIECES asks for no others.
        """
        if self._pull is None:
            self.score_ends()
            points = [leg.path.baseline(PIECES) for leg in self.legs]
            inner = self.manifold.projx(torch.cat([p[1:-1] for p in points]))
            places = torch.linspace(0, 1, PIECES + 1)[1:-1].to(inner)
            whole = torch.cat([leg.on_whole(places) for leg in self.legs])
            scores = self._whole.score_at(inner, whole, None)
            refuse_not_finite(scores, inner, whole, self.score)
            self._first = inner, scores
            found = [
                pull(p, torch.cat([leg.ends[:1].to(s), s, leg.ends[1:].to(s)]), self.manifold)
                for leg, p, s in zip(self.legs, points, scores.split(PIECES - 1))
            ]
            self._pull = sum(found) / len(found)
        return self._pull

    @property
    def strength(self) -> float:
        """κ = α ⟨|P s|⟩ L, radians."""
        return self.alpha * self.pull

    @property
    def manifold(self) -> Manifold:
        """Where the paths live."""
        return self.path.manifold

    @property
    def evaluations(self) -> int:
        """Scores of single latents spent on solving so far."""
        return self._whole.evaluations + sum(leg.evaluations for leg in self.legs)

    def spent(self, evaluations: int) -> None:
        """Count scores that were asked for this problem elsewhere."""
        self._whole.evaluations += evaluations

    @property
    def rng_step(self) -> int:
        """Batches of fresh randomness drawn so far."""
        return max(leg.rng_step for leg in self.legs)

    @property
    def latest(self) -> Evaluation | None:
        """The latest evaluation of all legs, None before the first."""
        known = [leg.latest for leg in self.legs if leg.latest is not None]
        return Evaluation(known) if len(known) == len(self.legs) else None

    def evaluate(self, awake: Sequence[int] | None = None) -> Evaluation:
        """Score the interior nodes in one batch, one evaluation a node, with fresh randomness if the score has any.

        Args:
            awake: numbers of the legs to score; all if not given. The others stay as they were last scored.

        Raises:
            UserError: a score is NaN or infinite; that leg is put back to its last nodes whose scores were finite.
                Or nodes have run away along a density that grows without bound.
        """
        self.score_ends()
        legs = self.legs if awake is None else [self.legs[k] for k in awake]
        points = [leg.path.points() for leg in legs]
        inner = [p[1:-1] for p in points]
        places = [leg.on_whole(leg.path.u[1:-1]) for leg in legs]
        scores = self._score_inner(torch.cat(inner), torch.cat(places))
        for leg, there, found in zip(legs, points, scores.split([len(p) for p in inner])):
            self._refuse_run_away(there, found)
            leg.accept(there, found)
        latest = self.latest
        assert latest is not None, "the first evaluation is of all legs"
        return latest

    def _refuse_run_away(self, points: Tensor, scores: Tensor) -> None:
        """Raise UserError where a node of a leg (N+1, d) is FAR away and its score (N−1, d) leads farther."""
        moves = points[1:-1] - points[0]
        away = moves.norm(dim=-1)
        farthest = int(away.argmax())
        distance, outwards = float(away[farthest]), (moves[farthest] * scores[farthest]).sum() > 0
        if distance > FAR * self._size and outwards:
            raise UserError(
                f"The path runs away: a node is {distance:.3g} from the start, {distance / self._size:.3g} times "
                "the distance of the ends, and the density still grows there, without bound as it seems; expected "
                "one that falls off: check that your density is log p and not -log p, or give a smaller "
                "solver.strength."
            )

    def _score_inner(self, points: Tensor, places: Tensor) -> Tensor:
        """Scores (n, d) of nodes (n, d); those that the strength was found by, if it is them."""
        first, self._first = self._first, None
        if first is not None and not self.score.stochastic:
            known, scores = first
            if known.shape == points.shape and torch.equal(known, points):
                return scores
        return self._whole.score_at(points, places, self.rng_step)

    def score_ends(self) -> None:
        """Score the ends of all legs, where they are not known."""
        if any(leg.end_scores is None for leg in self.legs):
            self._score_ends()

    def _score_ends(self) -> None:
        ends = torch.cat([leg.path.points()[[0, -1]] for leg in self.legs])
        both = torch.tensor([0.0, 1.0]).to(ends)
        places = torch.cat([leg.on_whole(both) for leg in self.legs])
        for leg, found in zip(self.legs, self._whole.score_at(ends, places, None).split(2)):
            leg.know_ends(found)

    def score_shared_end(self) -> None:
        """Score again, once for all, the end that the legs of a star share, where it has moved."""
        end = self.legs[0].path.points()[-1:]
        score = self._whole.score_at(end, torch.ones(1).to(end), None)
        for k, leg in enumerate(self.legs):
            leg.know_ends(torch.cat([leg.ends[:1], score]), spent=int(k == 0))

    def measure(self, points: Tensor | None = None) -> Measurement:
        """Measure points (M+1, d), by default the whole path's: as ScoredPath.measure.

        Several legs, with as many points each, are measured one by one and added up: they may meet in corners.
        Their residual is that of one spline (geodesic_defect), whose nodes need not be evenly spaced from
        leg to leg, and no excess is predicted: a path free to leave its keyframes is not what was solved for.
        """
        here = self.path.points() if points is None else points
        scores = self._whole.scores_along(here, self._known(here))
        if len(self.legs) == 1:
            return self._whole.measure(here, scores)
        pieces = (len(here) - 1) // len(self.legs)
        parts = [slice(k * pieces, (k + 1) * pieces + 1) for k in range(len(self.legs))]
        each = [leg.measure(here[part], scores[part]) for leg, part in zip(self.legs, parts)]
        found = added(each, self.alpha)
        bent = departure(here, scores, self.alpha, self.manifold)
        return replace(found, turning=bent.residual * found.euclidean_length)

    def measure_legs(self) -> list[Measurement]:
        """Every leg alone."""
        return [leg.measure(known=leg.known(leg.path.points())) for leg in self.legs]

    def _known(self, points: Tensor) -> Tensor:
        """Of points (K N + 1, d) of all legs, as many of each, what `Leg.known` has."""
        pieces, rest = divmod(len(points) - 1, len(self.legs))
        if rest:
            return torch.full_like(points, torch.nan)
        parts = [
            leg.known(points[k * pieces : (k + 1) * pieces + 1]) for k, leg in enumerate(self.legs)
        ]
        return torch.cat([*(part[:-1] for part in parts), parts[-1][-1:]])

    def score_points(self, points: Tensor, chunk: int) -> Tensor:
        """Scores (n, d) of points (n, d) under the prompt at u = 0, `chunk` at a time, without randomness."""
        parts = points.split(chunk)
        return torch.cat([self._whole.score_at(p, torch.zeros(len(p)), None) for p in parts])

    def state_dict(self, awake: Iterable[int] = ()) -> dict[str, Any]:
        """What a resumed run needs to go on as if it had never stopped.

        Args:
            awake: the legs that will be scored again; while there are any, the others' latest scores are kept.
        """
        coming = set(awake)
        return {
            "spent": self._whole.evaluations,
            "legs": [
                _state(leg, bool(coming) and k not in coming) for k, leg in enumerate(self.legs)
            ],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`; states of version 0.1 are read too."""
        state = _of_former_version(state)
        self._whole.evaluations = state["spent"]
        for leg, saved in zip(self.legs, state["legs"], strict=True):
            leg.evaluations, leg.rng_step = saved["evaluations"], saved["rng_step"]
            leg.end_scores = saved["end_scores"]
            if saved["latest"] is not None:
                leg.recall(*saved["latest"])


def _state(leg: Leg, asleep: bool) -> dict[str, Any]:
    latest = leg.latest
    return {
        "evaluations": leg.evaluations,
        "rng_step": leg.rng_step,
        "end_scores": leg.end_scores,
        "latest": (latest.points, latest.scores[1:-1]) if asleep and latest else None,
    }


def _of_former_version(state: dict[str, Any]) -> dict[str, Any]:
    """A state as 0.1 wrote it, one path's or several legs', in today's form."""
    if "spent" in state:
        return state
    legs, latest = state.get("legs", [state]), state.get("latest", [None])
    return {
        "spent": 0,
        "legs": [
            {
                "evaluations": leg["evaluations"],
                "rng_step": leg["draw"],
                "end_scores": leg["end_scores"],
                "latest": known,
            }
            for leg, known in zip(legs, latest)
        ],
    }


@dataclass(frozen=True)
class Corners:
    """What rounding did to solved legs.

    Attributes:
        angles: radians by which the legs turn at the keyframes between them.
        length: of the legs with their corners, S.
    """

    angles: list[float]
    length: float


def corners(problem: Problem, sharp: Tensor) -> Corners:
    """The corners of a path of several legs, and its length with them, at its points (M+1, d) before rounding."""
    path = copy.deepcopy(problem.path)
    assert isinstance(path, PiecewisePath), "other paths have no corners"
    path.set_nodes(sharp[1:-1])
    sharp_problem = Problem(path, problem.score, problem.alpha)
    for leg, scored in zip(sharp_problem.legs, problem.legs):  # keyframes stay where they are
        leg.end_scores = scored.end_scores
    return Corners(path.angles, legs_length(sharp_problem))


def legs_length(problem: Problem) -> float:
    """The length of the legs one after the other, each measured alone: corners stay corners."""
    total, offset = 0.0, 0.0
    for found in problem.measure_legs():
        total += float(torch.exp(torch.tensor(-problem.alpha * offset))) * found.length
        offset += float(found.log_density[-1])
    return total
