"""Length, energy and residual: hand-made paths, invariances, the rule that takes more points."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from known import exact_problem, exact_score, random_mixture

from geodesic_lightning.errors import UserError
from geodesic_lightning.functional import length, quadrature
from geodesic_lightning.geometry.manifold import Euclidean, Sphere
from geodesic_lightning.geometry.path import Path
from geodesic_lightning.models.exact import DENSITIES, density
from geodesic_lightning.models.exact.curve_length import curve_length, resample
from geodesic_lightning.models.exact.families import Slope
from geodesic_lightning.problems.boundary_value import Problem

seeds = pytest.mark.parametrize("seed", range(5))
FLAT = Euclidean()


def curve(seed, count=17, dimension=4):
    """A smooth random path, evenly spaced to a few per cent."""
    generator = torch.Generator().manual_seed(seed)
    waves = torch.randn(3, dimension, generator=generator, dtype=torch.float64)
    u = torch.linspace(0, 1, count, dtype=torch.float64)[:, None]
    bend = sum(torch.sin((k + 1) * math.pi * u) * waves[k] * 0.3 / (k + 1) ** 2 for k in range(3))
    return 2 * u * torch.ones(dimension, dtype=torch.float64) + bend


def zero(points):
    return torch.zeros_like(points)


@pytest.mark.parametrize("waves", [1, 4])
def test_the_predicted_excess_of_a_wave_is_what_it_is_longer_than_the_straight_line(waves):
    u = torch.linspace(0, 1, 33, dtype=torch.float64)
    points = torch.stack([2 * u, 1e-3 * torch.sin(waves * math.pi * u)], -1)
    longer = float(points.diff(dim=0).norm(dim=-1).sum()) / 2 - 1
    found = quadrature.measure(points, zero(points), 0.3, FLAT).predicted_excess
    assert found == pytest.approx(longer, rel=1e-4)  # the next order is the wave's slope squared


class TestResidual:
    def test_by_hand(self):
        points = torch.tensor([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]], dtype=torch.float64)
        scores = torch.tensor([[3.0, 5.0]], dtype=torch.float64)
        found = length.residual(points, scores, 0.1, FLAT)
        # f + b = (0, −2); ℓ = √2; v ∝ (1, 0), so P s = (0, 5); r = (0, −2 + 0.1·2·5)
        torch.testing.assert_close(found.vector, torch.tensor([[0.0, -1.0]], dtype=torch.float64))
        torch.testing.assert_close(found.force, torch.tensor([[0.0, 5.0]], dtype=torch.float64))
        assert float(found.spacing) == pytest.approx(math.sqrt(2))
        torch.testing.assert_close(found.across, found.vector)
        assert float(found.turning) == pytest.approx(1 * 2 / math.sqrt(2))

    @pytest.mark.parametrize("manifold", [FLAT, Sphere(3.0)], ids=str)
    @pytest.mark.parametrize("segments", [2, 3, 16])
    def test_vanishes_on_the_manifolds_geodesic_of_a_constant_density(self, manifold, segments):
        ends = manifold.projx(curve(0)[[3, -1]])
        u = torch.linspace(0, 1, segments + 1, dtype=torch.float64)
        points = manifold.geodesic(*ends, u)
        found = length.residual(points, zero(points[1:-1]), 0.5, manifold)
        assert found.vector.abs().max() < 1e-12

    @seeds
    def test_along_is_spacing_and_across_is_the_equation(self, seed):
        points = curve(seed)
        found = length.residual(points, torch.randn_like(points[1:-1]), 0.3, FLAT)
        tangent = points[2:] - points[:-2]
        tangent = tangent / tangent.norm(dim=-1, keepdim=True)
        assert (found.across * tangent).sum(-1).abs().max() < 1e-12
        assert (found.force * tangent).sum(-1).abs().max() < 1e-12
        gap = (found.vector * tangent).sum(-1)
        torch.testing.assert_close(found.across + gap[:, None] * tangent, found.vector)
        ahead, behind = points[2:] - points[1:-1], points[1:-1] - points[:-2]
        torch.testing.assert_close(gap, ((ahead - behind) * tangent).sum(-1))

    def test_on_a_sphere_it_is_tangent(self):
        ball = Sphere(2.0)
        points = ball.projx(curve(1) + 0.5)
        found = length.residual(points, torch.randn_like(points[1:-1]), 0.3, ball)
        assert (found.vector * points[1:-1]).sum(-1).abs().max() < 1e-12

    def test_is_minus_the_gradient_of_the_discrete_energy(self):
        # Without a score Σ|f|²/2 is the string's energy, and −∂/∂x_i of it f + b.
        points = curve(2).requires_grad_()
        ((points[1:] - points[:-1]).square().sum() / 2).backward()
        found = length.residual(points.detach(), zero(points.detach()[1:-1]), 0.3, FLAT)
        torch.testing.assert_close(found.vector, -points.grad[1:-1])


class TestAction:
    def test_by_hand(self):
        points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 2.0]], dtype=torch.float64)
        scores = torch.tensor([[1.0, 0.0], [3.0, 1.0], [0.0, 0.0]], dtype=torch.float64)
        found = length.action(points, scores, 0.5, FLAT)
        # rises: (1 + 3)/2·1 = 2 and (1 + 0)/2·2 = 1
        assert found.log_density.tolist() == pytest.approx([0, 2, 3])
        weight = [1, math.exp(-1), math.exp(-1.5)]
        pieces = [(weight[0] + weight[1]) / 2, weight[1] + weight[2]]
        assert float(found.length) == pytest.approx(sum(pieces))
        assert float(found.energy) == pytest.approx(2 * sum(p**2 for p in pieces))

    @seeds
    def test_energy_is_at_least_the_square_of_the_length(self, seed):
        points = curve(seed)
        problem = random_mixture(seed, 4)
        found = length.action(points, problem.score(points), 0.3, FLAT)
        assert found.energy >= found.length**2 * (1 - 1e-12)


class TestMeasure:
    @seeds
    def test_without_density_it_is_the_curves_own_length(self, seed):
        points = curve(seed, dimension=2)
        found = quadrature.measure(points, zero(points), 0.0, FLAT)
        expected = curve_length(density("gaussian"), points, 0.0)
        assert found.length == pytest.approx(expected, rel=1e-7)
        assert found.length == found.euclidean_length
        assert found.log_density.abs().max() == 0

    def test_on_a_sphere_the_arc_is_measured_and_not_its_chords(self):
        ball = Sphere(5.0)
        ends = torch.tensor([[5.0, 0.0], [0.0, 5.0]], dtype=torch.float64)
        for segments in (4, 8, 16):
            points = ball.geodesic(*ends, torch.linspace(0, 1, segments + 1, dtype=torch.float64))
            found = quadrature.measure(points, zero(points), 0.3, ball)
            # The spline leaves the circle along its radius only, and is brought back: roundoff.
            assert found.length == pytest.approx(5 * math.pi / 2, rel=1e-11)

    @seeds
    def test_affine_scores_are_integrated_exactly(self, seed):
        generator = torch.Generator().manual_seed(seed)
        points = curve(seed)
        draw = torch.randn(4, 5, generator=generator, dtype=torch.float64)
        matrix, shift = draw[:, :4] + draw[:, :4].T, draw[:, 4]

        def log_p(x):
            return ((x @ matrix) * x).sum(-1) / 2 + x @ shift

        found = quadrature.measure(points, points @ matrix + shift, 0.2, FLAT)
        expected = log_p(points) - log_p(points[:1])
        torch.testing.assert_close(found.log_density, expected, rtol=1e-10, atol=1e-10)

    @seeds
    def test_does_not_depend_on_where_space_has_its_axes(self, seed):
        points, problem = curve(seed), random_mixture(seed, 4)
        scores = problem.score(points)
        generator = torch.Generator().manual_seed(seed)
        draw = torch.randn(40, 4, generator=generator, dtype=torch.float64)
        turn = torch.linalg.qr(draw).Q.T  # 4 orthonormal rows in 40 dimensions
        here = quadrature.measure(points, scores, 0.3, FLAT)
        there = quadrature.measure(points @ turn + 100, scores @ turn, 0.3, FLAT)
        # 100 beside steps of 0.1 costs three digits.
        assert there.length == pytest.approx(here.length, rel=1e-10)
        assert there.energy == pytest.approx(here.energy, rel=1e-10)
        torch.testing.assert_close(there.turning, here.turning, rtol=1e-8, atol=1e-8)

    @seeds
    def test_backwards_it_is_the_same_path(self, seed):
        points, problem = curve(seed), random_mixture(seed, 4)
        scores = problem.score(points)
        there = quadrature.measure(points, scores, 0.3, FLAT)
        back = quadrature.measure(points.flip(0), scores.flip(0), 0.3, FLAT)
        rise = there.log_density[-1]
        torch.testing.assert_close(back.log_density, there.log_density.flip(0) - rise)
        # Lengths are relative to their own starts.
        assert back.length == pytest.approx(there.length * math.exp(0.3 * float(rise)), rel=1e-9)

    @seeds
    def test_energy_is_at_least_the_square_of_the_length(self, seed):
        points = curve(seed)
        found = quadrature.measure(points, random_mixture(seed, 4).score(points), 0.3, FLAT)
        assert found.energy >= found.length**2 * (1 - 1e-9)

    @pytest.mark.parametrize("count", [3, 4, 5, 6, 17, 18])
    def test_any_number_of_nodes(self, count):
        points = curve(0, count)
        found = quadrature.measure(points, random_mixture(0, 4).score(points), 0.3, FLAT)
        assert found.u.shape == found.log_density.shape == found.score_norm.shape == (count,)
        assert found.turning.shape == (count - 2,)
        halved = count % 2 == 1 and count > 4
        assert math.isfinite(found.length_error) == halved
        assert math.isfinite(found.log_density_error) == halved

    def test_takes_float32_in_many_dimensions(self):
        slope = torch.ones(16384)
        points = torch.linspace(0, 1, 17)[:, None] * slope
        found = quadrature.measure(points, 1e-3 * slope.expand(17, -1), 0.01, FLAT)
        # log p = 1e-3·16384·u, |x'| = 128
        rate = 0.01 * 16.384
        assert found.length == pytest.approx(128 * (1 - math.exp(-rate)) / rate, rel=1e-6)


class TestProblem:
    @pytest.mark.parametrize("name", [*DENSITIES])
    def test_lengths_of_good_paths_are_right_to_a_quarter_of_a_per_cent(self, name):
        problem = density(name)
        nodes = exact_problem(name).score.model.reference.nodes
        points = resample(problem, problem.manifold.projx(nodes), 17)
        found = exact_problem(name).measure(points)
        assert found.length == pytest.approx(curve_length(problem, points), rel=2.5e-3)
        assert found.turning.shape == (15,)
        assert found.u.shape == found.log_density.shape == found.score_norm.shape == (17,)
        truth = problem.log_density(points)
        error = (found.log_density - (truth - truth[0])).abs().max()
        assert error <= found.log_density_error + 1e-9

    def test_takes_twice_the_points_only_where_the_estimate_is_coarse(self):
        for name, doubled in (("ring", False), ("mixture", True), ("sphere_cloud", True)):
            problem = exact_problem(name)
            points = resample(density(name), problem.score.model.reference.nodes, 17)
            problem.measure(points)
            assert problem.score.model.evaluations == (33 if doubled else 17)
            assert problem.evaluations == 0  # measuring is not solving

    @pytest.mark.parametrize("segments", [2, 3, 5, 7])
    def test_an_error_estimate_comes_with_any_number_of_segments(self, segments):
        found = exact_problem("gaussian", segments).measure()
        assert math.isfinite(found.length_error)
        assert len(found.log_density) == segments + 1

    def test_a_score_that_is_not_finite_is_refused_and_the_last_nodes_kept(self):
        problem = exact_problem("ring", 8)
        problem.evaluate()
        good = problem.path.points()
        problem.path.set_nodes(good[1:-1] + math.nan)
        with pytest.raises(UserError, match="NaN or infinite at 7 of 7 nodes"):
            problem.evaluate()
        assert torch.equal(problem.path.points(), good)

    def test_measuring_refuses_it_too(self):
        problem = exact_problem("ring", 8)
        problem.score.model.score = lambda x: x / 0
        with pytest.raises(
            UserError, match=r"at 9 of 9 nodes, first at the point \[.*\], u = 0 of"
        ):
            problem.measure()

    def test_of_a_network_the_place_is_said(self):
        problem = exact_problem("ring", 8)
        problem.score.model.source = "weights"  # as a network has them
        right = problem.score.model.score
        problem.score.model.score = lambda x: right(x).where(x[:, 1:] < 0.5, math.nan)
        points = torch.stack([torch.linspace(-1, 1, 9), torch.linspace(0, 1, 9)], 1).double()
        with pytest.raises(UserError) as refused:
            problem.measure(points)
        assert "at 5 of 9 nodes, first at u = 0.5 of the path: check the model's weights" in str(
            refused.value
        )

    @pytest.mark.parametrize("alpha", [-0.1, math.nan, math.inf])
    def test_refuses_an_exponent_that_is_none(self, alpha):
        with pytest.raises(UserError, match=r"solver\.alpha"):
            exact_problem("ring", alpha=alpha)

    def test_counts_what_it_evaluates(self):
        problem = exact_problem("ring", 8)
        for calls in (1, 2, 3):
            problem.evaluate()
            assert problem.evaluations == 2 + 7 * calls
            assert problem.score.model.evaluations == problem.evaluations
        assert problem.latest.legs[0].noise_to_signal() == 0.0
        assert problem.evaluations == 2 + 21

    def test_state_goes_round(self):
        problem, other = exact_problem("ring", 8), exact_problem("ring", 8)
        problem.evaluate()
        other.load_state_dict(problem.state_dict())
        other.evaluate()
        assert other.evaluations == problem.evaluations + 7
        assert other.rng_step == 2

    def test_noise_to_signal_is_the_relative_noise(self):
        score = exact_score("ring")
        score.stochastic = True
        generator = torch.Generator().manual_seed(0)

        class Noisy:
            stochastic, curvature_bound = True, None

            def __call__(self, x, u, draw):
                exact = score(x, u)
                noise = torch.randn(exact.shape, generator=generator, dtype=exact.dtype)
                return exact + 0.3 * exact.norm() / exact.numel() ** 0.5 * noise

        problem = Problem(Path(*density("ring").ends, FLAT, 128), Noisy(), 0.3)
        problem.evaluate()
        # The noise also makes the estimate's denominator longer: 0.3/√1.09; 254 numbers, so ±10 %.
        assert problem.latest.legs[0].noise_to_signal() == pytest.approx(
            0.3 / math.sqrt(1.09), rel=0.15
        )


def test_slope_on_a_tilted_line_by_hand():
    # log p = g·x along a straight line: S = |x'| (1 − exp(−α g·Δ))/(α g·Δ), any N.
    ends = torch.tensor([[0.0, 0.0], [3.0, 4.0]], dtype=torch.float64)
    slope = torch.tensor([1.0, 0.5], dtype=torch.float64)
    problem = Slope(name="tilted", alpha=0.2, sigma=1.0, ends=ends, slope=slope)
    rate = 0.2 * 5.0
    for segments in (2, 4, 16):
        found = exact_problem(problem, segments).measure()
        assert found.length == pytest.approx(5 * (1 - math.exp(-rate)) / rate, rel=1e-9)
        expected = 5 * np.linspace(0, 1, segments + 1)
        np.testing.assert_allclose(found.log_density, expected, atol=1e-12)
