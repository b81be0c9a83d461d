"""Problems whose answer is known, for the tests of the numerics.

`exact_problem` is a Problem over an exact density, through the same Score as any model. `shot`
makes a geodesic without solving for one: the geodesic equation in constant Euclidean speed,

    x'' = -alpha |x'|^2 P s + II(x', x')   (the last term is the manifold's own),

is integrated from a start and a velocity to ten digits, and wherever it arrives is the other end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.integrate import solve_ivp

from geodesic_lightning.geometry.held_means import HeldMeans
from geodesic_lightning.geometry.manifold import Euclidean, Manifold, Sphere
from geodesic_lightning.geometry.path import Path
from geodesic_lightning.geometry.product import Product
from geodesic_lightning.models.exact import ExactModel, density
from geodesic_lightning.models.exact.density import Density
from geodesic_lightning.models.exact.families import Mixture, Slope
from geodesic_lightning.problems.boundary_value import Problem
from geodesic_lightning.score.condition import Condition
from geodesic_lightning.score.estimator import Score
from geodesic_lightning.score.fields import NoisePrediction

SEGMENTS = (8, 16, 32, 64, 128)
FLAT = Euclidean()


def exact_score(problem: str | Density, **options) -> Score:
    """The plain score of an exact density."""
    model = ExactModel(problem)
    ends = model.embed(["", ""])
    return Score(model, Condition(ends[0], ends[1]), NoisePrediction(), **options)


def exact_problem(
    problem: str | Density,
    segments: int = 16,
    alpha: float | None = None,
    dtype=torch.float64,
    score=None,
) -> Problem:
    """The problem between an exact density's standard ends, from the straight line; by another score if given."""
    chosen = density(problem) if isinstance(problem, str) else problem
    path = Path(*chosen.ends.to(dtype), chosen.manifold, segments)
    return Problem(path, score or exact_score(problem), chosen.alpha if alpha is None else alpha)


def random_mixture(
    seed: int, dimension: int = 3, manifold: Manifold = FLAT, alpha: float = 0.3
) -> Mixture:
    """Four round bumps of widths 0.5 to 0.8 about the ends' chord, and two ends."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    flat = isinstance(manifold, Euclidean)
    ends = torch.zeros(2, dimension, dtype=torch.float64)
    ends[:, 0] = torch.tensor([-1.0, 1.0])
    ends[:, 1] = 0.0 if flat else 1.0
    ends = manifold.projx(ends + 0.1 * normal(2, dimension))
    widths = 0.5 + 0.3 * torch.rand(4, generator=generator, dtype=torch.float64)
    return Mixture(
        name=f"random {seed}",
        alpha=alpha,
        sigma=float(widths.min()),
        ends=ends,
        manifold=manifold,
        means=manifold.projx(ends.mean(0) + 0.7 * normal(4, dimension)),
        widths=widths,
        weights=torch.full((4,), 0.25, dtype=torch.float64),
    )


@dataclass(frozen=True)
class Shot:
    """A geodesic: the problem whose ends it joins, its exact length, and its points on demand."""

    problem: Density
    length: float
    solution: object

    def at(self, segments: int) -> torch.Tensor:
        """Points (segments + 1, d) at equal arc length."""
        d = self.problem.dimension
        values = self.solution(np.linspace(0, 1, segments + 1))[:d].T
        return torch.from_numpy(np.ascontiguousarray(values))


def shot(problem: Density, velocity: torch.Tensor) -> Shot:
    """The geodesic from the problem's start with that velocity (d,), for unit time."""
    d, manifold, alpha = problem.dimension, problem.manifold, problem.alpha
    start = problem.ends[0]
    velocity = manifold.proju(start, velocity.double())
    square = float(velocity @ velocity)
    origin = problem.log_density(start[None])

    def right(_: float, state: np.ndarray) -> np.ndarray:
        x, v = (torch.from_numpy(part) for part in (state[:d], state[d : 2 * d]))
        score = manifold.proju(x, problem.score(x[None])[0])
        turn = -alpha * (square * score - (score @ v) * v)
        turn = turn + manifold.acceleration(x, v)
        relative = float(problem.log_density(x[None]) - origin)
        return np.concatenate([v, turn, [square**0.5 * np.exp(-alpha * relative)]])

    initial = np.concatenate([start.numpy(), velocity.numpy(), [0.0]])
    found = solve_ivp(right, (0, 1), initial, "DOP853", rtol=1e-12, atol=1e-12, dense_output=True)
    end = torch.from_numpy(found.y[:d, -1].copy())
    arrived = replace(problem, ends=torch.stack([start, end]))
    return Shot(arrived, float(found.y[-1, -1]), found.sol)


def smooth_shots() -> dict[str, Shot]:
    """Five geodesics of smooth densities: two in flat space, two on a sphere, one on a shell.

    The shell is of two channels of four pixels, their means and the norms of their deviations held.
    """
    ball = Sphere(1.0)
    tilt = torch.tensor([0.0, 0.0, 2.0], dtype=torch.float64)
    slope = Slope(
        name="slope on a sphere",
        alpha=0.4,
        sigma=1.0,
        slope=tilt,
        manifold=ball,
        ends=ball.projx(torch.tensor([[1.0, 0.0, 0.2], [0.0, 1.0, 0.2]], dtype=torch.float64)),
    )
    shell = HeldMeans(Product((Sphere(1.0), Sphere(0.6))), (0.3, -0.2))
    direction = {
        2: [1.6, 1.1],
        3: [1.2, 0.6, 0.4],
        4: [1.2, 0.2, 0.4, -0.3],
        8: [1.0, 0.2, -0.6, 0.3, 0.4, -0.2, 0.3, 0.1],
    }
    cases = {
        "constant_score": density("constant_score"),
        "mixture in 3-D": random_mixture(3),
        "slope on a sphere": slope,
        "mixture on a sphere": random_mixture(4, 4, ball),
        "mixture on a shell": random_mixture(6, 8, shell),
    }
    return {
        name: shot(case, torch.tensor(direction[case.dimension], dtype=torch.float64))
        for name, case in cases.items()
    }


def order(segments, errors) -> float:
    """The p of error = C N^-p, by least squares in the logarithms."""
    return -float(np.polyfit(np.log(segments), np.log(errors), 1)[0])


def assert_as_stored(found: torch.Tensor, stored: torch.Tensor) -> None:
    """A float64 result agrees with one that another machine wrote, to 1e-10 of its largest number.

    Processors add up in different orders, so that every operation may differ by 1e-16; solving
    amplifies that to 1e-12 at most (the mean; measured with the instructions of SSE4, AVX2 and AVX-512).
    """
    torch.testing.assert_close(found, stored, rtol=0, atol=1e-10 * float(stored.abs().max()))
