"""Other functionals: gradients of their energies, known extremals and their orders, from the command line."""

import json
import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_bvp

from geodesic_lightning.errors import UserError
from geodesic_lightning.functional.alternatives import ScoreOuter, Temperature
from geodesic_lightning.geometry.manifold import Euclidean, Sphere
from geodesic_lightning.geometry.path import Path
from geodesic_lightning.optimizers.descent import Descent
from geodesic_lightning.optimizers.semi_implicit import SemiImplicit
from geodesic_lightning.optimizers.solve import solve
from geodesic_lightning.problems.boundary_value import Problem

FLAT = Euclidean()


class Analytic:
    """A score given by a formula, in float64."""

    stochastic, curvature_bound = False, None

    def __init__(self, score):
        self.score = score

    def __call__(self, x, u, rng_step=None):
        return self.score(x)


def solved(functional, score, start, end, segments, tolerance=1e-12):
    path = Path(torch.tensor(start).double(), torch.tensor(end).double(), FLAT, segments)
    problem = Problem(path, Analytic(score), 0.0, functional)
    made = solve(
        problem, lambda p, **k: SemiImplicit(p, **k, tolerance=tolerance, iterations=300), segments
    )
    assert made.converged
    return path.points()


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class TestGradients:
    """r = −∇E/2N in float64, on random paths; of score_outer in the metric I + λ s sᵀ of each node."""

    @pytest.mark.parametrize("seed", range(20))
    def test_temperature(self, seed):
        points, hessian = random(7, 3, seed=seed), random(3, 3, seed=seed + 100)
        hessian = hessian @ hessian.T
        made = Temperature(abs(float(random(1, seed=seed + 200))))
        inner = points[1:-1].clone().requires_grad_()
        whole = torch.cat([points[:1], inner, points[-1:]])
        log_density = -(inner @ hessian * inner).sum(-1) / 2
        (gradient,) = torch.autograd.grad(made.energy(whole, log_density), inner)
        found = made(points, -points @ hessian, 0.0, FLAT).vector
        torch.testing.assert_close(found, -gradient / 12)

    @pytest.mark.parametrize("seed", range(20))
    def test_score_outer(self, seed):
        """Where the score is constant the trapezoid rule is exact, and so is the gradient."""
        points, s = random(7, 3, seed=seed), random(3, seed=seed + 100)
        made = ScoreOuter(abs(float(random(1, seed=seed + 200))))
        inner = points[1:-1].clone().requires_grad_()
        whole = torch.cat([points[:1], inner, points[-1:]])
        (gradient,) = torch.autograd.grad(made.energy(whole, s.expand(7, 3)), inner)
        metric = torch.eye(3, dtype=torch.float64) + made.weight * torch.outer(s, s)
        found = made(points, s.expand(7, 3), 0.0, FLAT).vector
        torch.testing.assert_close(found @ metric, -gradient / 12)


@pytest.mark.parametrize("functional", [ScoreOuter(0.0), Temperature(0.0)])
def test_without_weight_it_is_the_straight_line(functional):
    points = solved(functional, lambda x: -x, [-1.0, 0.5], [2.0, 0.1], 8)
    torch.testing.assert_close(
        points, torch.lerp(points[0], points[-1], torch.linspace(0, 1, 9).double()[:, None])
    )


def test_score_outer_of_a_constant_score_is_the_straight_line():
    """Its metric is constant; the energy is |Δ|² + λ (a·Δ)²."""
    a, functional = torch.tensor([3.0, -1.0]).double(), ScoreOuter(0.7)
    points = solved(functional, lambda x: a.expand_as(x), [0.0, 0.0], [1.0, 2.0], 8)
    torch.testing.assert_close(
        points, torch.lerp(points[0], points[-1], torch.linspace(0, 1, 9).double()[:, None])
    )
    energy = functional.energy(points, a.expand_as(points))
    assert float(energy) == pytest.approx(5.0 + 0.7 * (3 - 2) ** 2)


def test_score_outer_is_the_geodesic_of_the_graph_to_second_order():
    """L = −|x|²/2, λ = 0.5: the surface z = √λ L(x, y). With K = λ(ẋᵀ∇²L ẋ)/(1 + λ|s|²) its geodesics
    obey ẍ = −K s; here ∇²L = −1, so ẍ = λ|ẋ|² s/(1 + λ|x|²), s = −x, by scipy to 1e-10."""
    weight = 0.5

    def ode(u, y):
        x, v = y[:2], y[2:]
        return np.concatenate([v, -weight * (v**2).sum(0) * x / (1 + weight * (x**2).sum(0))])

    start, end = np.array([-1.5, 0.6]), np.array([1.2, 0.9])
    mesh = np.linspace(0, 1, 65)
    guess = np.concatenate(
        [np.outer(start, 1 - mesh) + np.outer(end, mesh), np.outer(end - start, np.ones(65))]
    )
    truth = solve_bvp(
        ode,
        lambda a, b: np.concatenate([a[:2] - start, b[:2] - end]),
        mesh,
        guess,
        tol=1e-10,
        max_nodes=20000,
    )
    assert truth.success
    errors = []
    for segments in (16, 32, 64):
        points = solved(
            ScoreOuter(weight), lambda x: -x, start.tolist(), end.tolist(), segments
        ).numpy()
        exact = truth.sol(np.linspace(0, 1, segments + 1))[:2].T
        errors.append(np.abs(points - exact).max())
    assert np.abs(exact - np.linspace(start, end, 65)).max() > 0.1  # far from the straight line
    orders = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    # The trapezoid rule and the second difference are of second order.
    assert orders == pytest.approx([2, 2], abs=0.15)


def test_temperature_on_a_gaussian_is_a_hyperbolic_sine_to_second_order():
    """E = ∫|ẋ|² + λ|x|²/σ²: ẍ = λ x/σ², so x(u) = (A sinh k(1−u) + B sinh ku)/sinh k with k² = λ/σ²."""
    weight, variance = 6.0, 1.5
    k = math.sqrt(weight / variance)
    start, end = torch.tensor([-1.5, 0.6]).double(), torch.tensor([1.2, 0.9]).double()
    errors = []
    for segments in (8, 16, 32):
        points = solved(
            Temperature(weight), lambda x: -x / variance, start.tolist(), end.tolist(), segments
        )
        u = torch.linspace(0, 1, segments + 1).double()[:, None]
        exact = (start * torch.sinh(k * (1 - u)) + end * torch.sinh(k * u)) / math.sinh(k)
        errors.append(float((points - exact).abs().max()))
    orders = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert orders == pytest.approx([2, 2], abs=0.1)


def test_on_a_sphere_nodes_stay_and_without_weight_it_is_the_great_circle():
    sphere = Sphere(2.0)
    ends = sphere.projx(random(2, 3, seed=5))
    for functional, same in (
        (Temperature(0.0), True),
        (Temperature(3.0), False),
        (ScoreOuter(1.0), False),
    ):
        path = Path(ends[0], ends[1], sphere, 8)
        problem = Problem(
            path,
            Analytic(lambda x: torch.tensor([0.0, 0, 1]).double() * x[:, 2:3]),
            0.0,
            functional,
        )
        solve(problem, lambda p, **k: SemiImplicit(p, **k, tolerance=1e-10, iterations=200), 8)
        torch.testing.assert_close(path.points().norm(dim=-1), torch.full((9,), 2.0).double())
        assert torch.allclose(path.points(), path.baseline(8), atol=1e-6) == same


def test_plain_descent_ends_in_the_same_path():
    """Another optimizer on the same residual; its tolerance leaves some 1e-4 of the way."""
    path = Path(torch.tensor([-1.5, 0.6]).double(), torch.tensor([1.2, 0.9]).double(), FLAT, 8)
    problem = Problem(path, Analytic(lambda x: -x), 0.0, Temperature(4.0))
    solve(problem, lambda p, **k: Descent(p, **k, lr=0.4, iterations=3000, tolerance=1e-12), 8)
    fast = solved(Temperature(4.0), lambda x: -x, [-1.5, 0.6], [1.2, 0.9], 8)
    torch.testing.assert_close(path.points(), fast, rtol=0, atol=1e-4)


@pytest.mark.parametrize("weight", [-1.0, math.inf, math.nan])
@pytest.mark.parametrize("kind", [ScoreOuter, Temperature])
def test_weight(kind, weight):
    with pytest.raises(UserError, match=r"functional\.weight: got"):
        kind(weight)


class TestCommandLine:
    WORDS = ("model=exact", "model.density=mixture", "callbacks=log", "logger=none")

    @pytest.mark.parametrize(("name", "weight"), [("score_outer", 0.03), ("temperature", 0.3)])
    def test_it_is_named_and_bends_otherwise(self, geodesic, name, weight):
        other = geodesic(
            *self.WORDS, f"functional={name}", f"functional.weight={weight}", "hydra.run.dir=other"
        )
        own = geodesic(*self.WORDS, "hydra.run.dir=own")
        assert other.code == own.code == 0, other.err
        said = [json.loads((run.folder / "summary.json").read_text()) for run in (other, own)]
        assert said[0]["functional"] == name
        assert said[1]["functional"] == "density"
        assert said[0]["converged"]
        assert said[0]["log_density"] != said[1]["log_density"]

    def test_one_sentence_each(self, geodesic):
        for words, told in (
            (["solver=slerp"], "solver=slerp knows the density's own alone"),
            (["solver=ivp"], "solver=ivp knows the density's own alone"),
            (["optimizer=paper"], "this optimizer is made for the density's own"),
            (["data=keyframe_points", "data.points=[[2,0],[0,2],[-2,0]]"], "between two images"),
        ):
            done = geodesic(*self.WORDS, "functional=temperature", *words)
            assert done.code == 1
            assert told in done.err, done.err
