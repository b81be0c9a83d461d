"""The exact densities: score against autograd, curvature bound, closed forms, references, verbs."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from dataclasses import replace
from functools import partial

import pytest
import torch

from geodesic_lightning.data.frames import Frames
from geodesic_lightning.geometry.manifold import Euclidean, Sphere
from geodesic_lightning.models.exact import DENSITIES, ExactModel, density, reference
from geodesic_lightning.models.exact.closed_forms import closed_form, constant_score
from geodesic_lightning.models.exact.curve_length import curve_length, resample
from geodesic_lightning.models.exact.families import Mixture
from geodesic_lightning.models.exact.make_references import make, solve, straight
from geodesic_lightning.models.exact.picture import draw
from geodesic_lightning.models.exact.references import NODES, NUMBERS

SEEDS = range(5)
every = pytest.mark.parametrize("name", DENSITIES)
seeds = pytest.mark.parametrize("seed", SEEDS)
STANDARD = Frames(None, ("a cat", "another cat"))


def points_around(problem, seed, count=6):
    """Points on the straight line, on the guide, near both, and far away: (4 count, d)."""
    generator = torch.Generator().manual_seed(seed)
    line = straight(problem, count - 1)
    curve = line if problem.guide is None else resample(problem, problem.guide, count)
    noise = torch.randn(3, *line.shape, generator=generator, dtype=torch.float64)
    near = problem.sigma * noise
    return torch.cat((line, line + near[0], curve + near[1], 4 * noise[2]))


def line_of(problem, count=17):
    return straight(problem, count - 1)


@every
class TestDensities:
    def test_record(self, name):
        problem = density(name)
        assert problem.name == name
        assert problem.ends.shape == (2, problem.dimension)
        assert problem.ends.dtype == torch.float64
        assert problem.alpha > 0
        assert problem.sigma > 0
        torch.testing.assert_close(problem.manifold.projx(problem.ends), problem.ends)

    def test_every_call_makes_the_same_density(self, name):
        first, second = density(name), density(name)
        assert torch.equal(first.ends, second.ends)
        assert torch.equal(first.score(first.ends), second.score(second.ends))

    @seeds
    def test_score_is_the_gradient_of_log_p(self, name, seed):
        problem = density(name)
        x = points_around(problem, seed).requires_grad_()
        (gradient,) = torch.autograd.grad(problem.log_density(x).sum(), x)
        score = problem.score(x.detach())
        assert problem.log_density(x).shape == (len(x),)
        torch.testing.assert_close(score, gradient, rtol=1e-9, atol=1e-9 / problem.sigma)

    @seeds
    def test_curvature_is_at_most_one_over_sigma_squared(self, name, seed):
        problem = density(name)
        x = points_around(problem, seed)
        generator = torch.Generator().manual_seed(seed)
        v = torch.randn(x.shape, generator=generator, dtype=torch.float64)
        v = v / v.norm(dim=-1, keepdim=True)
        _, product = torch.autograd.functional.jvp(problem.score, x, v)
        curvature = -(v * product).sum(-1)
        assert (curvature <= (1 + 1e-9) / problem.sigma**2).all()
        toward = problem.score(x)
        toward = toward / toward.norm(dim=-1, keepdim=True)
        _, product = torch.autograd.functional.jvp(problem.score, x, toward)
        assert (-(toward * product).sum(-1) <= (1 + 1e-9) / problem.sigma**2).all()

    def test_float32_agrees_with_float64(self, name):
        problem = density(name)
        x = line_of(problem)
        score = problem.score(x.float())
        assert score.dtype == torch.float32
        size = problem.score(x).norm(dim=-1).max()
        assert (score - problem.score(x)).norm(dim=-1).max() <= 2e-4 * size
        assert problem.log_density(x.float()).dtype == torch.float32
        difference = problem.log_density(x.float()) - problem.log_density(x)
        assert difference.abs().max() <= 1e-5 * (100 + problem.log_density(x).abs().max())

    def test_log_p_along_a_path_is_the_integral_of_the_score(self, name):
        problem = density(name)
        a, b = problem.ends
        u = torch.linspace(0, 1, 2001, dtype=torch.float64)[:, None]
        x = a + u * (b - a)
        slope = problem.score(x) @ (b - a)
        rise = torch.trapezoid(slope, dx=1 / 2000)
        gain = problem.log_density(b[None]) - problem.log_density(a[None])
        torch.testing.assert_close(rise, gain[0], rtol=1e-5, atol=1e-5)


def test_mixture_is_normalised_and_so_is_the_ring():
    axis = torch.linspace(-5, 5, 601, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).reshape(-1, 2)
    for name in ("gaussian", "mixture", "ring", "tube_2"):
        mass = density(name).log_density(grid).exp().sum() * (axis[1] - axis[0]) ** 2
        assert float(mass) == pytest.approx(1, abs=1e-5)


def test_ring_is_smooth_at_its_centre():
    ring = density("ring")
    x = torch.tensor([[0.0, 0.0], [1e-9, 0.0], [2.2e-6, 0.0], [2.3e-6, 0.0]], dtype=torch.float64)
    score = ring.score(x)
    assert torch.equal(score[0], torch.zeros(2, dtype=torch.float64))
    slope = -1 / ring.sigma**2 + 0.5 / ring.sigma**4
    torch.testing.assert_close(score[1:, 0], slope * x[1:, 0], rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", ["", "rings", "Ring"])
def test_an_unknown_density_lists_the_names(name):
    with pytest.raises(ValueError, match="constant_score, gaussian, mixture, ring") as caught:
        density(name)
    assert all(valid in str(caught.value) for valid in DENSITIES)


class TestLength:
    def test_constant_density_on_the_sphere_has_slerp_for_a_geodesic(self):
        problem = replace(density("sphere_cloud"), alpha=0.0)
        assert isinstance(problem.manifold, Sphere)
        slerp = straight(problem, 32)
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(slerp.shape, generator=generator, dtype=torch.float64)
        bent = problem.manifold.projx(slerp + torch.sin(slerp.cumsum(0) / 9) + 0.1 * noise)
        bent[[0, -1]] = problem.ends
        found = solve(problem, bent, segments=(32,))
        distance = problem.manifold.dist(problem.ends[0], problem.ends[1])
        assert found.lengths[-1] == pytest.approx(float(distance), rel=1e-9)
        assert (found.nodes - slerp).norm(dim=-1).max() < 1e-4 * problem.manifold.radius
        assert curve_length(problem, slerp) == pytest.approx(float(distance), rel=1e-9)

    def test_constant_density_in_flat_space_has_the_straight_line(self):
        problem = replace(density("tube_2"), alpha=0.0)
        found = solve(problem, problem.guide, segments=(16, 32))
        torch.testing.assert_close(found.nodes, straight(problem, 32), rtol=0, atol=1e-6)
        assert found.lengths[-1] == pytest.approx(2.0, rel=1e-9)

    def test_length_is_relative_to_the_start(self):
        problem = density("constant_score")
        there, back = line_of(problem), line_of(problem).flip(0)
        gain = problem.log_density(problem.ends)
        ratio = math.exp(problem.alpha * float(gain[1] - gain[0]))
        assert curve_length(problem, back) == pytest.approx(
            ratio * curve_length(problem, there), rel=1e-9
        )

    @pytest.mark.parametrize("name", ["constant_score", "gaussian"])
    def test_closed_forms_have_the_length_they_say(self, name):
        problem = density(name)
        points, length = closed_form(problem)
        assert curve_length(problem, points) == pytest.approx(length, rel=1e-10)
        torch.testing.assert_close(points[[0, -1]], problem.ends, rtol=1e-12, atol=1e-12)

    @pytest.mark.parametrize("name", ["constant_score", "gaussian"])
    def test_closed_forms_solve_the_geodesic_equation(self, name):
        problem = density(name)
        nodes = resample(problem, closed_form(problem)[0], 401)
        spacing = (nodes[1:] - nodes[:-1]).norm(dim=-1).mean()
        v = nodes[2:] - nodes[:-2]
        v = v / v.norm(dim=-1, keepdim=True)
        curvature = (nodes[2:] - 2 * nodes[1:-1] + nodes[:-2]) / spacing**2
        residual = curvature + problem.alpha * problem.score(nodes[1:-1])
        residual = residual - (residual * v).sum(-1, keepdim=True) * v
        assert residual.norm(dim=-1).max() < 1e-3 * curvature.norm(dim=-1).max()

    def test_closed_form_turns_with_the_plane(self):
        problem = density("constant_score")
        angle = 0.7
        turn = torch.tensor(
            [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]],
            dtype=torch.float64,
        )
        turned = replace(problem, ends=problem.ends @ turn.T, slope=turn @ problem.slope)
        u = torch.linspace(0, 1, 9, dtype=torch.float64)
        points, length = constant_score(problem, u)
        others, same = constant_score(turned, u)
        torch.testing.assert_close(others, points @ turn.T)
        assert same == pytest.approx(length, rel=1e-12)

    def test_closed_form_refuses_ends_too_far_apart(self):
        problem = density("constant_score")
        with pytest.raises(ValueError, match="less than pi"):
            constant_score(replace(problem, ends=2 * problem.ends), torch.zeros(1))

    def test_gaussian_closed_form_refuses_a_monotone_radius(self):
        problem = density("gaussian")
        ends = torch.tensor([[1.0, 0.0], [2.0, 0.01]], dtype=torch.float64)
        with pytest.raises(ValueError, match="monotone"):
            closed_form(replace(problem, ends=ends))

    def test_the_error_falls_with_the_fourth_power_of_the_segments(self):
        problem = density("constant_score")
        exact = closed_form(problem)[1]
        errors = [s - exact for s in solve(problem, line_of(problem), (16, 32, 64)).lengths]
        orders = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
        assert all(3.5 < order < 5 for order in orders)


@every
class TestReferences:
    def test_is_the_shortest_known_curve(self, name):
        problem, known = density(name), reference(name)
        assert known.alpha == problem.alpha
        assert known.error_estimate < 1e-7
        assert known.length_from_straight_start == pytest.approx(known.length, rel=1e-6)
        assert 1.1 < known.length_start / known.length < 4
        start = curve_length(problem, straight(problem, 256))
        assert start == pytest.approx(known.length_start, rel=1e-9)
        found = json.loads(NUMBERS.read_text())[name]["starts"]
        assert min(found.values()) >= known.length * (1 - 1e-9)
        assert max(found.values()) <= known.length * (1 + 1e-6)

    def test_nodes_have_that_length(self, name):
        problem, known = density(name), reference(name)
        assert known.nodes.shape == (33 if problem.dimension == 1024 else 257, problem.dimension)
        nodes = problem.manifold.projx(known.nodes)
        tolerance = 1e-4 if problem.dimension == 1024 else 1e-6
        assert curve_length(problem, nodes) == pytest.approx(known.length, rel=tolerance)
        steps = problem.manifold.dist(nodes[1:], nodes[:-1])
        assert (steps / steps.mean() - 1).abs().max() < 1e-2
        torch.testing.assert_close(nodes[[0, -1]], problem.ends, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["constant_score", "ring"])
def test_references_can_be_made_again(name):
    record, nodes = make(density(name))
    known = reference(name)
    assert record["length"] == pytest.approx(known.length, rel=1e-9)
    assert record["length_from_straight_start"] == pytest.approx(known.length, rel=1e-7)
    torch.testing.assert_close(nodes.double(), known.nodes, rtol=1e-4, atol=1e-4)


def test_references_are_small():
    assert NUMBERS.stat().st_size + NODES.stat().st_size < 1_000_000


@every
class TestModel:
    def test_verbs(self, name):
        model = ExactModel(name)
        ends = model.encode(STANDARD)
        assert torch.equal(ends, model.density.ends)
        assert model.latent_shape == (ends.shape[1],)
        assert torch.equal(model.invert(ends, model.embed(["a", "b"])), ends)
        assert torch.equal(model.denoise(ends, model.embed(["a", "b"])), ends)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_noise_prediction_is_minus_sigma_score_and_is_counted(self, name, dtype):
        model = ExactModel(name, batch_size=3)
        x = line_of(model.density, 7).to(dtype)
        noise = model.noise_prediction(x, 581, model.embed(["a cat"]))
        assert noise.dtype == dtype
        assert model.evaluations == 7
        # Batches of three sum in another order: rounding of float32, with scores of order 10.
        tolerance = 1e-4 if dtype == torch.float32 else 1e-12
        expected = model.density.score(x)
        torch.testing.assert_close(-noise / model.sigma, expected, rtol=tolerance, atol=tolerance)
        noise = model.noise_prediction(x, torch.full((7,), 3), model.embed(["a cat"] * 7))
        assert model.evaluations == 14
        torch.testing.assert_close(-noise / model.sigma, expected, rtol=tolerance, atol=tolerance)

    def test_contrast_is_half_sigma_times_the_score(self, name):
        model = ExactModel(name)
        x = line_of(model.density, 5)
        positive = model.noise_prediction(x, 0, model.embed(["a cat"]))
        flat = model.embed(["blurry"], negative=True)
        contrast = (model.noise_prediction(x, 0, flat) - positive) / 2
        torch.testing.assert_close(contrast, model.sigma / 2 * model.score(x))

    def test_decode_draws_every_point(self, name):
        model = ExactModel(name)
        path = model.manifold.geodesic(*model.density.ends, torch.linspace(0, 1, 3))
        frames = model.decode(path.float())
        assert frames.shape == (3, 3, 256, 256)
        assert frames.dtype == torch.float32
        assert frames.min() >= 0
        assert frames.max() <= 1
        assert (frames.std(dim=(1, 2, 3)) > 0.1).all()
        assert not torch.equal(frames[0], frames[1])
        assert torch.equal(frames, model.decode(path.float()))


@pytest.mark.parametrize("name", ["constant_score", "ring", "sphere_cloud"])
def test_judge_measures_against_the_reference(name):
    model = ExactModel(name)
    known = model.reference
    nodes = known.nodes[:: (len(known.nodes) - 1) // 32].float()
    said = model.judge(nodes, model.alpha, model.manifold)
    assert said["length_reference"] == known.length
    assert abs(said["length_reference_error"]) < 1e-4
    start = model.judge(straight(model.density, 256), model.alpha, model.manifold)
    assert start["length_exact"] == pytest.approx(known.length_start, rel=1e-6)
    assert start["length_reference_error"] == pytest.approx(
        known.length_start / known.length - 1, rel=1e-6
    )
    assert model.judge(nodes, 2 * model.alpha, model.manifold)["length_reference_error"] is None
    other = Euclidean() if model.manifold != Euclidean() else Sphere(1.0)
    assert model.judge(nodes, model.alpha, other)["length_reference_error"] is None


@pytest.mark.parametrize("name", ["ring", "tube_64", "sphere_cloud"])
def test_picture_shows_path_and_reference(name):
    model = ExactModel(name)
    path = line_of(model.density)
    at_alpha = partial(model.picture, path, manifold=model.manifold)
    both, alone = at_alpha(model.alpha), draw(model.density, path, None)
    for still in (alone, both):
        assert still.shape == (3, 512, 512)
        assert still.std() > 0.1
        assert still.min() >= 0
        assert still.max() <= 1
    assert not torch.equal(alone, both)
    # The reference is of one alpha: of another it would be no geodesic.
    assert torch.equal(alone, at_alpha(2 * model.alpha))


def test_decode_takes_a_single_point():
    assert ExactModel("tube_64").decode(density("tube_64").ends[:1]).shape == (1, 3, 256, 256)


def test_embed():
    model = ExactModel("ring")
    assert model.embed(["a cat", ""]).flatten().tolist() == [1, 1]
    assert model.embed(["a cat"] * 2, negative=True).shape == (2, 1, 1)
    assert not model.embed(["a cat"] * 2, negative=True).any()


def test_encode_takes_points_and_brings_them_to_the_manifold():
    model = ExactModel("ring")
    points = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    frames = Frames(None, ("", ""), points=points)
    assert torch.equal(model.encode(frames), points.double())
    assert model.reference is None
    model.encode(STANDARD)
    assert model.reference is not None
    sphere = ExactModel("sphere_cloud")
    ends = sphere.encode(Frames(None, ("", ""), points=3 * density("sphere_cloud").ends))
    torch.testing.assert_close(ends, density("sphere_cloud").ends)
    assert sphere.reference.name == "sphere_cloud"


def test_encode_refuses_another_dimension():
    with pytest.raises(ValueError, match=r"expected \(n, 64\)"):
        ExactModel("tube_64").encode(Frames(None, ("", ""), points=torch.zeros(2, 3)))


def test_model_refuses_what_it_cannot_use():
    with pytest.raises(ValueError, match="expected one of"):
        ExactModel("donut")
    with pytest.raises(ValueError, match="at least 1"):
        ExactModel("ring", batch_size=0)


def test_a_density_of_ones_own_has_no_reference():
    own = replace(density("gaussian"), name="mine")
    assert isinstance(own, Mixture)
    assert ExactModel(own).reference is None
    assert ExactModel(own).name == "mine"


def test_exact_densities_load_nothing_heavy():
    code = (
        "import sys, geodesic_lightning.models.exact; "
        "heavy = {'diffusers', 'hydra', 'wandb', 'lightning', 'matplotlib', 'transformers'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in DENSITIES if name not in ("ring", "mixture")])
def test_all_references_can_be_made_again(name):
    record, _ = make(density(name))
    assert record["length"] == pytest.approx(reference(name).length, rel=1e-8)
