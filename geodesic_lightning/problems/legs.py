"""Several geodesic problems that share a score, evaluated in one batch: the legs of a chain, or of
a star.

Leg k of K sees the places [k/K, (k+1)/K] of the condition, so that one call scores the nodes of all
legs at once.
"""

import copy
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from geodesic_lightning.functional.geodesic_defect import departure
from geodesic_lightning.functional.length import Action
from geodesic_lightning.functional.quadrature import Measurement
from geodesic_lightning.problems.boundary_value import Problem
from geodesic_lightning.score.estimator import Score

LAST = 1 - 1e-6  # the end of a leg, not the beginning of the next


class OnLeg:
    """The score as leg k of K sees it: its u in [0, 1] is the place (k + u)/K of the whole."""

    def __init__(self, score: Score, leg: int, legs: int) -> None:
        self.score, self.leg, self.legs = score, leg, legs
        self.model, self.field = score.model, score.field

    @property
    def stochastic(self) -> bool:
        return self.score.stochastic

    @property
    def curvature_bound(self) -> float | None:
        return self.score.curvature_bound

    def place(self, u: Tensor) -> Tensor:
        """Places on the whole of places u (n,) on the leg."""
        return (self.leg + (u * LAST if self.leg < self.legs - 1 else u)) / self.legs

    def __call__(self, x: Tensor, u: Tensor, draw: int | None = None) -> Tensor:
        return self.score(x, self.place(u), draw)


class LegsProblem:
    """Bend every leg of `path` into a geodesic of p^(−α).

    Args:
        path: with `legs`, each a Path, and the questions that a Path answers for the whole.
        score, alpha: as for Problem.

    Attributes:
        legs: the problem of each leg.
        awake: numbers of the legs that are still evaluated.
        latest: the latest evaluation of all legs, None before the first.
    """

    def __init__(self, path, score: Score, alpha: float) -> None:
        self._whole = Problem(path, score, alpha)
        self.path, self.score, self.alpha = path, score, alpha
        count = len(path.legs)
        self.legs = [Problem(leg, OnLeg(score, k, count), alpha) for k, leg in enumerate(path.legs)]
        self.awake = list(range(count))
        self._ends_known = False

    @property
    def manifold(self):
        return self.path.manifold

    @property
    def evaluations(self) -> int:
        """Scores of single latents spent on solving so far."""
        return sum(leg.evaluations for leg in self.legs)

    @property
    def latest(self) -> "LegsEvaluation | None":
        if any(leg.latest is None for leg in self.legs):
            return None
        return LegsEvaluation(self.legs, self.alpha)

    def evaluate(self) -> "LegsEvaluation":
        """Score the interior nodes of all legs that are awake in one batch."""
        if not self._ends_known:
            self.score_ends(range(len(self.legs)))
        awake = [self.legs[k] for k in self.awake] or self.legs
        points = [leg.path.points() for leg in awake]
        inner = [p[1:-1] for p in points]
        places = [leg.score.place(leg.path.u[1:-1]) for leg in awake]
        scores = self._whole._score(torch.cat(inner), torch.cat(places), self.draw)
        for leg, there, found in zip(awake, points, scores.split([len(p) for p in inner])):
            leg.accept(there, found)
        return self.latest

    def surrogate(self) -> Tensor:
        """As Problem.surrogate, for the nodes of all legs that are awake."""
        awake = [self.legs[k] for k in self.awake]
        return self.latest.action.length + sum(
            leg.surrogate() - leg.latest.action.length for leg in awake
        )

    def point_gradients(self) -> Tensor:
        """As Problem.point_gradients, for the legs that are awake."""
        for k in self.awake:
            self.legs[k].point_gradients()
        return self.latest.action.length

    @property
    def draw(self) -> int:
        return max(leg.draw for leg in self.legs)

    def score_ends(self, numbers) -> None:
        """Score both ends of these legs, in one batch."""
        legs = [self.legs[k] for k in numbers]
        ends = torch.cat([leg.path.points()[[0, -1]] for leg in legs])
        both = torch.tensor([0.0, 1.0]).to(ends)
        scores = self._whole._score(ends, torch.cat([leg.score.place(both) for leg in legs]), None)
        for leg, found in zip(legs, scores.split(2)):
            leg.know_ends(found)
        self._ends_known = True

    def score_centre(self) -> None:
        """Score the end that all legs share, once, where it has moved."""
        end = self.legs[0].path.points()[-1:]
        score = self._whole._score(end, torch.ones(1).to(end), None)
        for k, leg in enumerate(self.legs):
            leg.know_ends(torch.cat([leg._end_scores[:1], score]), spent=int(k == 0))

    def measure(self, points: Tensor | None = None) -> Measurement:
        """Measure the whole path, as one spline: as Problem.measure.

        The residual of the path itself is the spline's (departure), whose nodes need not be evenly
        spaced from leg to leg.
        """
        # Legs bend between their keyframes; of one path free to leave those nothing is predicted.
        found = replace(self._whole.measure(points), predicted_excess=float("nan"))
        if points is not None:
            return found
        here = self.path.points()
        scores = self._whole._score(here, self.path.u, None)
        bent = departure(here, scores, self.alpha, self.manifold)
        return replace(found, turning=bent.residual * found.euclidean_length)

    def state_dict(self) -> dict:
        """What a resumed run needs to go on as if it had never stopped."""
        # A leg that is done is not scored again, and the others' steps ask for its latest.
        latest = [leg.latest and (leg.latest.points, leg.latest.scores) for leg in self.legs]
        legs = [leg.state_dict() for leg in self.legs]
        return {"legs": legs, "awake": self.awake, "latest": latest}

    def load_state_dict(self, state: dict) -> None:
        """The inverse of `state_dict`."""
        for leg, saved, latest in zip(self.legs, state["legs"], state["latest"]):
            leg.load_state_dict(saved)
            if latest is not None:
                leg.recall(*latest)
        self.awake = list(state["awake"])
        self._ends_known = all(leg["end_scores"] is not None for leg in state["legs"])


class LegsEvaluation:
    """The latest evaluations of all legs, as one."""

    def __init__(self, legs: list[Problem], alpha: float) -> None:
        self.legs = [leg.latest for leg in legs]
        self.alpha = alpha

    @property
    def scores(self) -> Tensor:
        """(number of nodes, d)."""
        return torch.cat([leg.scores for leg in self.legs])

    @property
    def u(self) -> Tensor:
        """Places on the whole of all points, leg after leg."""
        return torch.cat([(k + leg.u) / len(self.legs) for k, leg in enumerate(self.legs)])

    @property
    def turning(self) -> Tensor:
        """Unexplained turning per node, radians over its leg."""
        return torch.cat([leg.residual.turning for leg in self.legs])

    @property
    def predicted_excess(self) -> float:
        """The most of a leg."""
        return max(leg.predicted_excess for leg in self.legs)

    @property
    def action(self) -> Action:
        """Length and energy of the legs one after the other, relative to the first one's start."""
        length, energy, offset, densities = 0.0, 0.0, 0.0, []
        for leg in self.legs:
            scale = torch.exp(-self.alpha * torch.as_tensor(offset))
            length = length + scale * leg.action.length
            energy = energy + scale**2 * leg.action.energy * len(self.legs)
            densities.append(offset + leg.action.log_density)
            offset = densities[-1][-1]
        return Action(length, energy, torch.cat(densities))


def problem_on(path, score: Score, alpha: float) -> Problem | LegsProblem:
    """The problem of a path, or of all its legs."""
    return (LegsProblem if hasattr(path, "legs") else Problem)(path, score, alpha)


@dataclass(frozen=True)
class Corners:
    """What rounding did to solved legs.

    Attributes:
        angles: radians by which the legs turn at the keyframes between them.
        length: of the legs with their corners, S.
    """

    angles: list[float]
    length: float


def corners(problem: LegsProblem, sharp: Tensor) -> Corners:
    """The corners of a chain, and its length with them, at its points (M+1, d) before rounding."""
    chain = copy.deepcopy(problem.path)
    chain.place(sharp[1:-1])
    length = legs_length(LegsProblem(chain, problem.score, problem.alpha))
    return Corners(chain.angles, length)


def legs_length(problem: LegsProblem) -> float:
    """The length of the legs one after the other, each measured alone: corners stay corners."""
    total, offset = 0.0, 0.0
    for leg in problem.legs:
        found = leg.measure()
        total += float(torch.exp(torch.tensor(-problem.alpha * offset))) * found.length
        offset += float(found.log_density[-1])
    return total
