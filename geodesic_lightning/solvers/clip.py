"""Is a clip a geodesic? Nothing to solve but the geodesic between its ends, to compare it with."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from geodesic_lightning.data.clip import FEWEST
from geodesic_lightning.decoding.decoder import Decoder
from geodesic_lightning.errors import UserError
from geodesic_lightning.functional import geodesic_defect as departure
from geodesic_lightning.functional.geodesic_defect import Departure
from geodesic_lightning.functional.quadrature import Measurement
from geodesic_lightning.geometry.path import Path
from geodesic_lightning.optimizers.batched import Batched
from geodesic_lightning.optimizers.semi_implicit import SemiImplicit
from geodesic_lightning.optimizers.solve import solve
from geodesic_lightning.problems.boundary_value import Problem
from geodesic_lightning.protocols import AnyPath, MakeOptimizer, Score
from geodesic_lightning.solvers import layouts, shortfall
from geodesic_lightning.solvers.base import Solver, exponent, readings
from geodesic_lightning.solvers.baselines import drawn, released
from geodesic_lightning.solvers.clip_findings import numbers
from geodesic_lightning.solvers.shortfall import Shortfall

CHUNK = 256  # frames scored at a time


@dataclass(frozen=True)
class Rival:
    """Another path between the clip's ends, measured as the clip is."""

    path: AnyPath
    measurement: Measurement


class ClipSolver(Solver):
    """Measures a clip: its bends against the density's pull, and its length against its rivals'.

    Args:
        path: the frames' latents as nodes.
        score, decoder, alpha, strength: as for BoundaryValueSolver.
        optimizer: of the geodesic between the ends.
        segments: N of that geodesic, of the slerp and of the lerp.
        frames: of the clip, that are shown.
        numbers: which frames of the clip the nodes are; all if not given.
        rest: as for Solver.

    Attributes:
        departure: the clip's, after validation.
        rivals: geodesic, slerp and lerp by name, after validation; None where there is none.
    """

    problem: Problem
    path: Path
    verbs = ("validate",)
    name = "clip"
    joins_images = False
    layout = staticmethod(layouts.film)

    def __init__(
        self,
        path: Path,
        score: Score,
        decoder: Decoder,
        optimizer: MakeOptimizer = SemiImplicit,
        alpha: float | None = None,
        strength: float | None = None,
        segments: int = 16,
        frames: int = 17,
        numbers: list[int] | None = None,
        **rest: Any,
    ) -> None:
        problem = Problem(path, score, exponent(score, alpha, strength))
        super().__init__(problem, decoder, segments, frames, **rest)
        self.numbers = list(range(path.segments + 1)) if numbers is None else numbers
        self._make_optimizer = optimizer
        self.departure: Departure | None = None
        self.rivals: dict[str, Rival | None] = {}
        self._solved: tuple[Batched, Problem] | None = None

    @property
    def converged(self) -> bool:
        """The geodesic between the ends was found to its tolerance."""
        return self._solved is not None and self._solved[0].converged

    @property
    def shortfall(self) -> Shortfall | None:
        """Of the geodesic between the ends."""
        best = self.rivals.get("geodesic")
        if self.converged or self._solved is None or best is None:
            return None
        return shortfall.of_path(*self._solved, best.measurement)

    def validation_step(self, batch: object, index: int) -> None:
        """Score every frame, solve for the geodesic between the ends, and measure all."""
        problem, points = self.problem, self.path.points()
        if len(points) < FEWEST:
            raise UserError(
                f"data: the clip has {len(points)} different frames, expected at least {FEWEST}: a "
                "bend takes three."
            )
        scores = problem.score_points(points, CHUNK)
        self.departure = departure.departure(points, scores, problem.alpha, problem.manifold)
        if len(points) <= departure.WINDOW:
            found = problem.measure()
        else:
            found = departure.measure(points, scores, problem.alpha, problem.manifold)
        turning = self.departure.residual * found.euclidean_length
        self.measurement = replace(found, turning=turning)
        with self.stages.at("solve"):
            self.rivals = {"geodesic": self._geodesic()}
        self.rivals |= {way: self._fixed(way) for way in ("slerp", "lerp")}
        lengths = {f"{k}_length": v.measurement.length for k, v in self.rivals.items() if v}
        self.say(
            readings(self.measurement)
            | {
                "length_error": found.length_error,  # the clip's own: it is no geodesic
                "predicted_excess": found.length / lengths["geodesic_length"]
                - 1,  # here it is known
            }
            | {"imbalance": self.departure.imbalance, **lengths}
        )

    def _geodesic(self) -> Rival:
        """The shorter of the geodesics reached from the manifold's own and from the clip."""
        found = []
        for begin in ("baseline", "clip"):
            path = self._between(self.segments)
            if begin == "clip":
                path.set_nodes(self._thinned(4 * self.segments).points()[1:-1])
            problem = Problem(path, self.problem.score, self.problem.alpha)
            made = solve(problem, self._make_optimizer, self.segments)
            found.append((Rival(path, problem.measure()), made))
            self.problem.spent(problem.evaluations)
        best, made = min(found, key=lambda pair: pair[0].measurement.length)
        self._solved = (
            made,
            self.problem,
        )  # whose α is theirs, and the strength that it was asked by
        return best

    def _fixed(self, way: str) -> Rival | None:
        try:
            path, norms = released(self._between(self.segments), self.decoder.norms[[0, -1]])
            path = drawn(path, way, norms)
            path.set_nodes(path.baseline(self.segments)[1:-1])
            return Rival(path, Problem(path, self.problem.score, self.problem.alpha).measure())
        except UserError:  # antipodal ends have no slerp
            return None

    def _between(self, segments: int) -> Path:
        return Path(self.path.start, self.path.end, self.path.manifold, segments)

    def _thinned(self, segments: int) -> Path:
        """At most segments + 1 of the frames, evenly taken."""
        points = self.path.points()
        count = min(segments + 1, len(points))
        chosen = torch.linspace(0, len(points) - 1, count).round().long()
        path = self._between(2)
        path.set_nodes(points[chosen][1:-1])
        return path

    def _images(self, count: int, rough: bool = False) -> Tensor:
        """Frames of the clip itself, evenly taken, each from its latent."""
        thin = self._thinned(count - 1)
        return (self.decoder.rough if rough else self.decoder)(thin, thin.u)

    def places(self, count: int) -> Tensor:
        """The frames that are shown are nodes."""
        points = len(self.path.points())
        many = min(count, points)
        return torch.linspace(0, points - 1, many).round() / (points - 1)

    def summary(self) -> dict[str, Any]:
        """As Solver's, with the clip's departure and rivals under "clip"."""
        measured = self.measurement
        assert measured is not None, "a summary is of a measured path"
        return super().summary() | {"length_error": measured.length_error, "clip": numbers(self)}
