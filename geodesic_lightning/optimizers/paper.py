"""The boundary value scheme of Yu et al. (CVPR 2025), as its released code has it: the reference to compare with.

Bisection levels of 1, 3, 7, … interior nodes at uniform u. At each node the velocity γ' is that of the piecewise
great circle (the mean of its two sides), the acceleration γ'' that of a natural cubic spline in the ambient space.
The spline is fitted after every step, through all nodes; a bisection fits none, so that a level's first look is at the
spline through the nodes of the last step. With P removing γ' (and on the sphere first the radius),

    x ← x + lr_k (P s + (1/α) P γ''/|γ'|²),   lr_k = lr (1 − k/K)/n   for n nodes at iteration k of K,

then x is rescaled to the sphere. A level ends when k reaches 100 times its number, or at once, without a step, where
the mean of |P s| is below the mean of the other term: near a geodesic the two are equal, so levels end early there.
"""

from typing import Any

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor

from geodesic_lightning.errors import UserError
from geodesic_lightning.functional.length import DensityLength, across
from geodesic_lightning.geometry.path import Path
from geodesic_lightning.optimizers.base import Optimizer
from geodesic_lightning.problems.evaluation import LegEvaluation
from geodesic_lightning.protocols import Functional, Manifold


class Paper(Optimizer):
    """The released scheme; one `step` is one iteration, one batched score evaluation.

    Args:
        path: whose nodes move.
        segments: a power of two, the finest level's number of segments.
        lr: the first learning rate.
        iterations: of each level.
        end_early: let a level end where the density term is the smaller.

    Attributes:
        report: level, iteration, learning_rate, density_term, bend_term of the latest step.
        converged: False; the scheme has no test of convergence.
        shortens: False; it may end longer than it began.
    """

    converged = False
    shortens = False  # as released: nothing is put back

    def __init__(
        self,
        path: Path,
        segments: int,
        lr: float = 0.1,
        iterations: int = 100,
        end_early: bool = True,
    ) -> None:
        if segments < 2 or segments & (segments - 1):
            raise UserError(
                f"solver.segments: got {segments}, the paper's bisection takes a power of two (16, say)."
            )
        super().__init__(path, segments)
        self.lr, self.iterations, self.end_early = lr, iterations, end_early
        self.level_count = segments.bit_length() - 1
        self._now |= {"level": 1, "iteration": 0, "fitted": 2}

    def check(self, alpha: float, functional: Functional) -> None:
        """Its two terms are the density's own, and it divides by α."""
        if not isinstance(functional, DensityLength):
            raise UserError(
                f"functional={functional.name}: this optimizer is made for the density's own: choose "
                "optimizer=semi_implicit, gradient_descent, adam or lbfgs."
            )
        if alpha == 0:
            raise UserError(
                "solver.alpha: got 0, the paper's scheme divides by it; expected a number above 0."
            )

    @property
    def finished(self) -> bool:
        return self._now["level"] > self.level_count

    @property
    def evaluations_left(self) -> int:
        """The most score evaluations to come: a level that ends early leaves its steps to finer ones."""
        now, last = self._now, self.level_count
        if self.finished:
            return 0
        if self.end_early:
            return (last * self.iterations - now["iteration"]) * (2**last - 1)
        level = now["level"]
        here = (level * self.iterations - now["iteration"]) * (2**level - 1)
        return here + self.iterations * sum(2**k - 1 for k in range(level + 1, last + 1))

    def begin(self) -> None:
        """One interior node."""
        self.path.refine(2)

    def _missing(self, state: dict[str, Any]) -> dict[str, Any]:
        # In 0.1 every spline is one through all nodes: such a run goes on as it was up to its next
        # change of level, and from there as one begun today.
        return {"fitted": 2 ** state.get("level", 1)}

    @torch.no_grad()
    def step(self, evaluation: LegEvaluation) -> None:
        """Step, bisect or finish."""
        now, inner = self._now, evaluation.interior
        terms = density_and_bend(
            evaluation.points,
            evaluation.scores[1:-1],
            evaluation.alpha,
            evaluation.manifold,
            now["fitted"],
        )
        sizes = torch.stack([term.norm(dim=-1).mean() for term in terms]).tolist()
        count, total = len(inner), self.level_count * self.iterations
        rate = self.lr * (1 - now["iteration"] / total) / count
        self.report = {
            "level": count + 1,
            "iteration": now["iteration"],
            "learning_rate": rate,
            "density_term": sizes[0],
            "bend_term": sizes[1],
        }
        now["iteration"] += 1
        early = self.end_early and sizes[0] < sizes[1]
        if not early:
            self.path.set_nodes(inner + rate * (terms[0] + terms[1]))
            now["fitted"] = count + 1
        if early or now["iteration"] >= now["level"] * self.iterations:
            now["level"] += 1
            if not self.finished:
                bisect(self.path)


def density_and_bend(
    points: Tensor,
    scores: Tensor,
    alpha: float,
    manifold: Manifold,
    fitted: int | None = None,
) -> tuple[Tensor, Tensor]:
    """P s and (1/α) P γ''/|γ'|² at the interior nodes, each (N−1, d), from points (N+1, d) and scores (N−1, d).

    Args:
        fitted: segments of the spline that γ'' is of, which divide N: its knots are every
            (N/fitted)-th point. All points if not given.
    """
    here, segments = points[1:-1], len(points) - 1
    fitted = segments if fitted is None else fitted
    velocity = (
        (manifold.logmap(here, points[2:]) - manifold.logmap(here, points[:-2])) * segments / 2
    )
    unit = velocity / velocity.norm(dim=-1, keepdim=True)
    spline = CubicSpline(np.linspace(0, 1, fitted + 1), np.eye(fitted + 1), bc_type="natural")
    second = spline(np.linspace(0, 1, segments + 1)[1:-1], 2)
    knots = points[:: segments // fitted]
    acceleration = torch.as_tensor(second, dtype=points.dtype, device=points.device) @ knots
    bend = manifold.proju(here, acceleration) / velocity.square().sum(-1, keepdim=True)
    return across(manifold.proju(here, scores), unit), across(bend, unit) / alpha


def bisect(path: Path) -> None:
    """Twice the segments: the nodes stay, the middle of each great circle (or line) joins them."""
    points = path.points()
    half = path.manifold.expmap(points[:-1], path.manifold.logmap(points[:-1], points[1:]) / 2)
    path.set_nodes(torch.stack([points[:-1], half], dim=1).flatten(0, 1)[1:])
