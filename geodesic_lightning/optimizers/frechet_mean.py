"""The Fréchet mean of several points in the metric of a density, by Karcher's iteration.

    min over x of F(x) = ½ Σ d(x, x_i)²,   grad F = −Σ log_x(x_i)

In the metric |w|_x = |w| p(x)^(−α) the logarithm log_x(x_i) points along the geodesic from x to
x_i, and is as long as that geodesic. Measured with the density at x as the unit, p(x) = 1, that is
a vector of Euclidean length S_i, the geodesic's length, along its unit tangent e_i at x. So

    x ← exp_x(η V),   V = (1/n) Σ S_i e_i

where the manifold's own exponential serves for exp: the mean is where V = 0, however one comes
there. Each round solves all legs to x_i in one batch, from where they were. The moves are
accelerated as the nodes' are (anderson); η is 1, and halved whenever |V| has grown by half. Source:
Karcher, Comm. Pure Appl. Math. 30 (1977) 509; with constant density it is the barycentre, on a
sphere the spherical mean.
"""

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from geodesic_lightning.errors import UserError
from geodesic_lightning.functional import quadrature
from geodesic_lightning.functional.quadrature import Measurement
from geodesic_lightning.geometry.corner_rounding import end_tangents
from geodesic_lightning.geometry.star_path import StarPath
from geodesic_lightning.optimizers.anderson import extrapolate
from geodesic_lightning.optimizers.base import on_device
from geodesic_lightning.optimizers.batched import Batched
from geodesic_lightning.problems.boundary_value import Problem
from geodesic_lightning.problems.evaluation import Evaluation, LegEvaluation
from geodesic_lightning.protocols import MakeOptimizer

MEMORY = 3  # moves that the next one looks back on
FARTHEST = 0.5  # the longest move of the centre, as a part of the mean leg
KEPT = ("rounds_done", "rate", "history", "met", "distances")


class FrechetMean:
    """Alternates solving all legs of a star and moving its centre.

    Args:
        make: makes a leg's optimizer from (path, segments=).
        problem: of a StarPath's legs.
        segments: N of each leg.
        tolerance: |V| as a part of the mean distance at which the centre rests, > 0.
        rounds: the most moves of the centre.

    Attributes:
        distances: (n,) d(x, x_i) of the latest round, relative to p(x_0) = 1.
        rounds_done: moves of the centre so far.
        drift: |V| of the latest round, as a part of the mean distance.

    Raises:
        UserError: a setting is out of its range.
    """

    def __init__(
        self,
        make: MakeOptimizer,
        problem: Problem,
        segments: int,
        tolerance: float = 1e-3,
        rounds: int = 30,
    ) -> None:
        if not tolerance > 0:
            raise UserError(f"solver.tolerance: got {tolerance}, expected a number above 0.")
        if rounds < 1:
            raise UserError(f"solver.rounds: got {rounds}, expected at least 1.")
        assert isinstance(problem.path, StarPath), "legs meet in a centre"
        self.star: StarPath = problem.path
        self.make: MakeOptimizer = make
        self.problem: Problem = problem
        self.segments: int = segments
        self.tolerance: float = tolerance
        self.rounds: int = rounds
        self.legs: Batched = Batched(make, problem, segments)
        self.rounds_done: int = 0
        self.rate: float = 1.0
        self.history: list[tuple[Tensor, Tensor]] = []
        self.met: bool = False
        self.drift: float = math.nan
        self.distances: Tensor = torch.empty(0)
        self.report: dict[str, float] = {}

    @property
    def awake(self) -> list[int]:
        """Numbers of the legs that are not finished in this round."""
        return self.legs.awake

    @property
    def converged(self) -> bool:
        """The centre rests, and all legs to it are geodesics."""
        return self.met and self.legs.converged

    @property
    def finished(self) -> bool:
        """The centre rests, or has moved as often as it may."""
        return self.met or self.rounds_done >= self.rounds

    @property
    def evaluations_left(self) -> int | None:
        """Nobody knows how often the centre will move."""
        return None

    def prepare(self) -> None:
        """Put all legs as their first evaluation wants them."""
        self.legs.prepare()

    def step(self, evaluation: Evaluation) -> None:
        """Step all legs; where all are solved, move the centre."""
        if self.finished:  # as in a run that is resumed after its end
            return
        self.legs.step(evaluation)
        if self.legs.finished:
            latest = self.problem.latest
            assert latest is not None
            self._move(latest)
        self.report = {**self.legs.report, "round": self.rounds_done, "rate": self.rate}

    @torch.no_grad()
    def _move(self, evaluation: Evaluation) -> None:
        star, measured = self.star, [_measured(leg) for leg in evaluation.legs]
        vectors, distances = zip(*map(_logarithm, evaluation.legs, measured))
        pull = torch.stack(vectors).mean(0)
        sizes = torch.stack([v.norm() for v in vectors])
        # All distances in one unit, the density at the first point.
        rise = measured[0].log_density[-1]
        self.distances = torch.exp(-self.problem.alpha * rise) * torch.tensor(distances)
        self.drift = float(pull.norm() / sizes.mean().clamp_min(1e-30))
        self.met = bool(pull.norm() < self.tolerance * sizes.mean())
        self.rounds_done += 1
        if self.finished:
            return
        legs = torch.stack([leg.residual.spacing for leg in evaluation.legs]).mean()
        longest = FARTHEST * legs * self.segments
        centre = star.end.flatten()
        step = star.manifold.proju(centre, self._step(centre.clone(), pull))
        star.move(step * (longest / step.norm().clamp_min(1e-30)).clamp_max(1.0))
        self.problem.score_shared_end()
        self.legs = Batched(self.make, self.problem, self.segments)
        self.legs.prepare()

    def _step(self, centre: Tensor, pull: Tensor) -> Tensor:
        """V, accelerated by the last moves; alone and halved where it has grown."""
        size, last = float(pull.norm()), self.history
        if last and size > 1.5 * float(last[-1][1].norm()):
            self.history, self.rate = [], self.rate / 2
        else:
            self.history = last[-MEMORY:]
        moves = [*self.history, (centre, pull)]
        iterates = [after[0] - before[0] for before, after in pairwise(moves)]
        steps = [self.rate * (after[1] - before[1]) for before, after in pairwise(moves)]
        self.history = moves
        return extrapolate(self.rate * pull, iterates, steps)

    def state_dict(self) -> dict[str, Any]:
        """The state of the legs' optimizers and of the rounds."""
        kept = {name: getattr(self, name) for name in KEPT}
        return {"legs": self.legs.state_dict(), "drift": self.drift} | kept

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`; states of version 0.1 are read too.

        Raises:
            ValueError: the state is another optimizer's.
        """
        if not {"legs", *KEPT} <= set(state):
            raise ValueError("the state is of another optimizer, expected a mean's")
        self.legs.load_state_dict(state["legs"])
        self.drift = state.get("drift", math.nan)  # earlier releases did not keep it
        for name in KEPT:
            setattr(self, name, on_device(state[name], self.star.start))


def _measured(leg: LegEvaluation) -> Measurement:
    return quadrature.measure(leg.points, leg.scores, leg.alpha, leg.manifold)


def _logarithm(leg: LegEvaluation, measured: Measurement) -> tuple[Tensor, float]:
    """S e at the centre, (d,), and S, with the density there as the unit."""
    length = measured.length * float(torch.exp(leg.alpha * measured.log_density[-1]))
    tangent = -end_tangents(leg.points)[0][1]
    tangent = leg.manifold.proju(leg.points[-1], tangent)
    return length * tangent / tangent.norm(), length
