"""The boundary value scheme of Yu et al. (CVPR 2025), as its released code has it: the reference to compare with.

Bisection levels of 1, 3, 7, … interior nodes at uniform u. At each node the velocity γ' is that of the piecewise great
circle (the mean of its two sides), the acceleration γ'' that of a natural cubic spline through the nodes in the
ambient space; with P removing γ' (and on the sphere first the radius),

    x ← x + lr_k (P s + (1/α) P γ''/|γ'|²),   lr_k = lr (1 − k/K)/n   for n nodes at iteration k of K,

then x is rescaled to the sphere. A level ends when k reaches 100 times its number, or at once, without a step, where
the mean of |P s| is below the mean of the other term: near a geodesic the two are equal, so levels end early there.
"""

from collections.abc import Callable

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor
from torch.optim import Optimizer

from geodesic_lightning.errors import UserError
from geodesic_lightning.functional.length import across
from geodesic_lightning.problems.boundary_value import Problem


class Paper(Optimizer):
    """The released scheme; one `step` is one iteration, one batched score evaluation.

    Args:
        parameters: the path's nodes, alone.
        problem: the geodesic problem whose score `closure` evaluates; α > 0.
        segments: a power of two, the finest level's number of segments.
        lr: the first learning rate.
        iterations: of each level.
        end_early: let a level end where the density term is the smaller.

    Attributes:
        report, finished, converged: as for SemiImplicit; the scheme has no test of convergence.
    """

    converged = False

    def __init__(
        self,
        parameters,
        problem: Problem,
        segments: int,
        lr: float = 0.1,
        iterations: int = 100,
        end_early: bool = True,
    ) -> None:
        if segments < 2 or segments & (segments - 1):
            raise UserError(
                f"solver.segments: got {segments}, the paper's bisection takes a power of two (16, say)."
            )
        if problem.alpha == 0:
            raise UserError(
                "solver.alpha: got 0, the paper's scheme divides by it; expected a number above 0."
            )
        super().__init__(parameters, {})
        self.problem, self.lr, self.iterations, self.end_early = problem, lr, iterations, end_early
        self.level_count = segments.bit_length() - 1
        self.report: dict[str, float] = {}
        self.nodes = self.param_groups[0]["params"][0]
        self.state[self.nodes] = {"begun": False, "level": 1, "iteration": 0}

    @property
    def finished(self) -> bool:
        return self.state[self.nodes]["level"] > self.level_count

    @property
    def evaluations_left(self) -> int:
        """The most score evaluations to come: a level that ends early leaves its steps to finer ones."""
        now, last = self.state[self.nodes], self.level_count
        if self.finished:
            return 0
        if self.end_early:
            return (last * self.iterations - now["iteration"]) * (2**last - 1)
        level = now["level"]
        here = (level * self.iterations - now["iteration"]) * (2**level - 1)
        return here + self.iterations * sum(2**k - 1 for k in range(level + 1, last + 1))

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor]) -> Tensor:  # type: ignore[override]
        """Evaluate the score by `closure`, then step, bisect or finish."""
        now, path = self.state[self.nodes], self.problem.path
        if not now["begun"]:
            now["begun"] = True
            path.refine(2)
        with torch.enable_grad():
            loss = closure()
        latest = self.problem.latest
        terms = density_and_bend(
            latest.points, latest.scores, self.problem.alpha, self.problem.manifold
        )
        sizes = torch.stack([term.norm(dim=-1).mean() for term in terms]).tolist()
        count, total = len(latest.scores), self.level_count * self.iterations
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
            path.place(latest.points[1:-1] + rate * (terms[0] + terms[1]))
        if early or now["iteration"] >= now["level"] * self.iterations:
            now["level"] += 1
            if not self.finished:
                bisect(path)
        return loss


def density_and_bend(
    points: Tensor, scores: Tensor, alpha: float, manifold
) -> tuple[Tensor, Tensor]:
    """P s and (1/α) P γ''/|γ'|² at the interior nodes, each (N−1, d), from points (N+1, d) and scores (N−1, d)."""
    here, segments = points[1:-1], len(points) - 1
    velocity = (
        (manifold.logmap(here, points[2:]) - manifold.logmap(here, points[:-2])) * segments / 2
    )
    unit = velocity / velocity.norm(dim=-1, keepdim=True)
    knots = np.linspace(0, 1, segments + 1)
    second = CubicSpline(knots, np.eye(segments + 1), bc_type="natural")(knots[1:-1], 2)
    acceleration = torch.as_tensor(second, dtype=points.dtype, device=points.device) @ points
    bend = manifold.proju(here, acceleration) / velocity.square().sum(-1, keepdim=True)
    return across(manifold.proju(here, scores), unit), across(bend, unit) / alpha


def bisect(path) -> None:
    """Twice the segments: the nodes stay, the middle of each great circle (or line) joins them."""
    points = path.points()
    half = path.manifold.expmap(points[:-1], path.manifold.logmap(points[:-1], points[1:]) / 2)
    path.place(torch.stack([points[:-1], half], dim=1).flatten(0, 1)[1:])
