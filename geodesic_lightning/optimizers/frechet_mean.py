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

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor
from torch.optim import Optimizer

from geodesic_lightning.errors import UserError
from geodesic_lightning.functional import quadrature
from geodesic_lightning.geometry.corner_rounding import end_tangents
from geodesic_lightning.optimizers.anderson import extrapolate
from geodesic_lightning.optimizers.batched import Together
from geodesic_lightning.problems.legs import LegsProblem

MEMORY = 3  # moves that the next one looks back on
FARTHEST = 0.5  # the longest move of the centre, as a part of the mean leg


class Karcher(Optimizer):
    """Alternates solving all legs of a star and moving its centre.

    Args:
        make: makes a leg's optimizer from (parameters, problem=, segments=).
        problem: of a Star's legs, which `closure` evaluates.
        segments: N of each leg.
        tolerance: |V| as a part of the mean distance at which the centre rests, > 0.
        rounds: the most moves of the centre.

    Attributes:
        distances: (n,) d(x, x_i) of the latest round, relative to p(x_0) = 1.
        rounds_done: moves of the centre so far.
    """

    def __init__(
        self,
        make: Callable[..., Optimizer],
        problem: LegsProblem,
        segments: int,
        tolerance: float = 1e-3,
        rounds: int = 30,
    ) -> None:
        if not tolerance > 0:
            raise UserError(f"solver.tolerance: got {tolerance}, expected a number above 0.")
        if rounds < 1:
            raise UserError(f"solver.rounds: got {rounds}, expected at least 1.")
        self.make, self.problem, self.segments = make, problem, segments
        self.tolerance, self.rounds = tolerance, rounds
        self.legs = Together(make, problem, segments)
        super().__init__([{"params": [leg.path.nodes]} for leg in problem.legs], {})
        self.rounds_done, self.rate = 0, 1.0
        self.history: list[tuple[Tensor, Tensor]] = []
        self.met, self.distances = False, torch.empty(0)
        self.report: dict[str, float] = {}

    @property
    def converged(self) -> bool:
        return self.met

    @property
    def finished(self) -> bool:
        return self.met or self.rounds_done >= self.rounds

    def step(self, closure: Callable[[], Tensor]) -> Tensor:  # type: ignore[override]
        """Evaluate all legs by `closure` and step them; where all are solved, move the centre."""
        loss = self.legs.step(closure)
        if self.legs.finished:
            self._move()
        self.report = {**self.legs.report, "round": self.rounds_done, "rate": self.rate}
        return loss

    @torch.no_grad()
    def _move(self) -> None:
        problem, star = self.problem, self.problem.path
        vectors, distances = zip(*(self._logarithm(leg) for leg in problem.legs))
        pull = torch.stack(vectors).mean(0)
        sizes = torch.stack([v.norm() for v in vectors])
        # All distances in one unit, the density at the first point.
        rise = rise_along(problem.legs[0])
        self.distances = torch.exp(-problem.alpha * rise) * torch.tensor(distances)
        self.met = bool(pull.norm() < self.tolerance * sizes.mean())
        self.rounds_done += 1
        if self.finished:
            return
        legs = torch.stack([leg.latest.residual.spacing for leg in problem.legs]).mean()
        longest = FARTHEST * legs * self.segments
        centre = star.end.flatten()
        step = star.manifold.proju(centre, self._step(centre.clone(), pull))
        star.move(step * (longest / step.norm().clamp_min(1e-30)).clamp_max(1.0))
        problem.score_centre()
        self.legs = Together(self.make, problem, self.segments)

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

    def _logarithm(self, leg) -> tuple[Tensor, float]:
        """S e at the centre, (d,), and S, with the density there as the unit."""
        points, scores = leg.latest.points, leg.all_scores
        found = quadrature.measure(points, scores, leg.alpha, leg.manifold)
        length = found.length * float(torch.exp(leg.alpha * found.log_density[-1]))
        tangent = -end_tangents(points)[0][1]
        tangent = leg.manifold.proju(points[-1], tangent)
        return length * tangent / tangent.norm(), length

    def state_dict(self) -> dict:
        """The state of the legs' optimizers and of the rounds."""
        return super().state_dict() | {
            "legs": self.legs.state_dict(),
            "rounds_done": self.rounds_done,
            "rate": self.rate,
            "history": self.history,
            "met": self.met,
            "distances": self.distances,
        }

    def load_state_dict(self, state_dict: dict) -> None:
        """The inverse of `state_dict`."""
        self.legs.load_state_dict(state_dict["legs"])
        for name in ("rounds_done", "rate", "history", "met", "distances"):
            setattr(self, name, state_dict[name])


def rise_along(leg) -> Tensor:
    """log p at the centre over log p at the leg's own point, nats."""
    found = quadrature.measure(leg.latest.points, leg.all_scores, leg.alpha, leg.manifold)
    return found.log_density[-1]
