"""The shortest path near another one, by a code that shares nothing with the solvers.

L-BFGS (SciPy's) on the logarithm of the discrete length, 128 and then 256 pieces, float64, gradients of log p by
autograd. A piece is measured by Simpson's rule; nodes are kept evenly spaced by a term that is 0 where they are. They
are moved in the sines of the second difference, each as soft as the next.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from geodesic_lightning.benchmark.random_densities import RandomDensity
from geodesic_lightning.functional.strength import Strength
from geodesic_lightning.geometry import spline
from geodesic_lightning.geometry.laplacian import Laplacian
from geodesic_lightning.geometry.path import Path
from geodesic_lightning.models.own.curvature import estimated
from geodesic_lightning.problems.boundary_value import Problem

PIECES = (128, 256)
WITHOUT_PULL = 0.5  # α where the density does not pull on the straight line


class ExactScore:
    """∇log p of a random density by autograd, as a solver is handed it: with the bound that it is told."""

    stochastic, at_level = False, True
    model = field = None

    def __init__(self, density: RandomDensity) -> None:
        self.density = density
        self.curvature_bound = density.told
        if density.bound in ("right", "estimated") and (
            density.told is None or density.bound == "estimated"
        ):
            ends = density.whole(density.ends)
            self.curvature_bound = estimated(self.at, ends, torch.float64)

    def at(self, x: Tensor) -> Tensor:
        """At x (n, d): (n, d)."""
        with torch.inference_mode(False), torch.enable_grad():
            own = self.density.own(x.clone()).detach().requires_grad_()
            (found,) = torch.autograd.grad(self.density.log_density(own).sum(), own)
        return self.density.whole(found)

    def __call__(self, x: Tensor, u: Tensor, rng_step: int | None = None) -> Tensor:
        """The same, whatever the places are."""
        return self.at(x)


def problem_of(density: RandomDensity) -> Problem:
    """The problem between the density's ends, at its strength."""
    ends = density.whole(density.ends)
    path = Path(ends[0], ends[1], density.manifold)
    problem = Problem(path, ExactScore(density), Strength(density.strength))
    if problem.alpha == 0:
        problem.alpha = WITHOUT_PULL
    return problem


def log_length(density: RandomDensity, alpha: float, nodes: Tensor) -> tuple[Tensor, Tensor]:
    """log S of the polyline through nodes (N+1, k), Simpson's rule on each piece, and the pieces (N,)."""
    middles = density.manifold.projx((nodes[1:] + nodes[:-1]) / 2)
    values = -alpha * density.log_density(torch.cat([nodes, middles]))
    ends, between = values[: len(nodes)] - values[0], values[len(nodes) :] - values[0]
    pieces = density.manifold.dist(nodes[1:], nodes[:-1])
    weighted = torch.stack([ends[:-1], between + math.log(4), ends[1:]]) + (pieces / 6).log()
    return torch.logsumexp(weighted.flatten(), 0), pieces


def log_length_of_spline(
    density: RandomDensity, alpha: float, nodes: Tensor, fine: int = 24
) -> float:
    """log S of the spline through nodes (N+1, k), as a polyline of `fine` pieces a segment."""
    knots = spline.chord_knots(nodes)
    places = [np.linspace(a, b, fine, endpoint=False) for a, b in pairwise(knots)]
    curve = spline.evaluate(nodes, np.concatenate([*places, [1.0]]))
    return float(log_length(density, alpha, density.manifold.projx(curve))[0])


def shortest(density: RandomDensity, alpha: float, nodes: Tensor, most: int = 600) -> Tensor:
    """Nodes (257, k) of the shortest path that descent from nodes (N+1, k) comes to."""
    for pieces in PIECES:
        nodes = _descend(density, alpha, nodes, pieces, most)
    return nodes


def _descend(density: RandomDensity, alpha: float, nodes: Tensor, pieces: int, most: int) -> Tensor:
    manifold = density.manifold
    first = manifold.projx(spline.resample(nodes, pieces))
    laplacian = Laplacian(pieces, first)
    soft = laplacian.eigenvalues.rsqrt()[:, None]

    def path(z: Tensor) -> Tensor:
        inner = manifold.projx(first[1:-1] + laplacian.modes @ (soft * z))
        return torch.cat([first[:1], inner, first[-1:]])

    def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
        z = torch.from_numpy(flat).reshape(first[1:-1].shape).requires_grad_()
        with torch.enable_grad():
            log, parts = log_length(density, alpha, path(z))
            total = log + pieces * parts.square().sum() / parts.sum() ** 2
            (slope,) = torch.autograd.grad(total, z)
        return float(total.detach()), slope.flatten().numpy()

    options = {"maxiter": most, "maxfun": 2 * most, "maxcor": 30, "ftol": 1e-13, "gtol": 1e-9}
    found = minimize(
        value, np.zeros(first[1:-1].numel()), jac=True, method="L-BFGS-B", options=options
    )
    with torch.no_grad():
        return path(torch.from_numpy(found.x).reshape(first[1:-1].shape))


def log_reference(density: RandomDensity, problem: Problem) -> float:
    """log S of the shortest path near the problem's."""
    nodes = shortest(density, problem.alpha, density.own(problem.path.points()))
    return log_length_of_spline(density, problem.alpha, nodes, 8)


def excess_of(density: RandomDensity, problem: Problem) -> float:
    """By how much the problem's path, the spline through its nodes, is longer than the shortest near it, relatively."""
    nodes = density.own(problem.path.points())
    own = log_length_of_spline(density, problem.alpha, nodes)
    return math.expm1(min(own - log_reference(density, problem), 100.0))
