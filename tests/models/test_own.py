"""A density of one's own: known geodesics, scores by hand, curvature by its eigenvalues, and what is refused."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from geodesic_lightning.data.frames import Frames, points
from geodesic_lightning.data.keyframes import keyframe_points
from geodesic_lightning.distance.pairs import between
from geodesic_lightning.errors import UserError
from geodesic_lightning.functional.strength import Strength
from geodesic_lightning.geometry.choose_manifold import automatic
from geodesic_lightning.geometry.path import Path
from geodesic_lightning.models.exact import ExactModel, density
from geodesic_lightning.models.exact.curve_length import curve_length
from geodesic_lightning.models.exact.make_references import solve as run_out
from geodesic_lightning.models.exact.make_references import straight
from geodesic_lightning.models.own import OwnModel, Target
from geodesic_lightning.models.own.curvature import PLACES, estimated, largest_eigenvalue
from geodesic_lightning.optimizers.semi_implicit import SemiImplicit
from geodesic_lightning.optimizers.solve import solve
from geodesic_lightning.problems.boundary_value import Problem
from geodesic_lightning.score.condition import Condition
from geodesic_lightning.score.estimator import Score
from geodesic_lightning.score.fields import NoisePrediction


def banana(x):
    """A round density, bent: y follows x²/2."""
    return -(x[..., 0] ** 2) / 8 - (x[..., 1] - x[..., 0] ** 2 / 2 + 2) ** 2 / 0.18


def banana_score(x):
    off = (x[..., 1] - x[..., 0] ** 2 / 2 + 2) / 0.09
    return torch.stack([-x[..., 0] / 4 + off * x[..., 0], -off], -1)


class Funnel:
    """Neal's: exp(v/2) is the width of all others."""

    def log_density(self, x):
        v, rest = x[..., 0], x[..., 1:]
        return -(v**2) / 18 - rest.shape[-1] * v / 2 - rest.square().sum(-1) * torch.exp(-v) / 2

    def hand(self, x):
        v, rest = x[..., :1], x[..., 1:]
        narrow = torch.exp(-v)
        along = -v / 9 - rest.shape[-1] / 2 + rest.square().sum(-1, keepdim=True) * narrow / 2
        return torch.cat([along, -rest * narrow], -1)


def round_one(x):
    """The exact problem `gaussian` without its constant."""
    return -x.square().sum(-1) / 2


def solved(model, ends, bending, segments=16, **options):
    """The problem between the ends, bent."""
    latents = model.encode(points(*ends.tolist()))
    prompts = model.embed(["", ""])
    score = Score(model, Condition(prompts[0], prompts[1]), NoisePrediction())
    problem = Problem(Path(latents[0], latents[-1], model.manifold, segments), score, bending)
    made = solve(problem, lambda path, **k: SemiImplicit(path, **k, **options), segments)
    assert made.converged
    return problem


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


ENDS = {
    "banana": torch.tensor([[-2.5, 1.1], [2.5, 1.1]], dtype=torch.float64),
    "funnel": torch.tensor([[-2.0, -1.0, 0.2], [1.0, 1.0, 2.0]], dtype=torch.float64),
}
DENSITIES = {"banana": banana, "funnel": Funnel()}


class TestGeodesics:
    def test_a_gaussian_has_the_nodes_of_the_exact_one(self):
        exact = density("gaussian")
        known = solved(ExactModel("gaussian"), exact.ends, exact.alpha, tolerance=1e-12)
        own = solved(OwnModel(round_one), exact.ends, exact.alpha, tolerance=1e-12)
        torch.testing.assert_close(own.path.points(), known.path.points(), rtol=0, atol=1e-9)
        assert own.measure().length == pytest.approx(known.measure().length, rel=1e-9)
        assert OwnModel(round_one).alpha is None

    @pytest.mark.parametrize("name", DENSITIES)
    def test_the_length_is_that_of_a_dense_solution(self, name):
        """Sixteen pieces, to a tolerance of 1e-6, against 64 pieces by L-BFGS on log p itself."""
        model = OwnModel(DENSITIES[name])
        found = solved(model, ENDS[name], Strength(), tolerance=1e-6)
        dense = replace(model.density, alpha=found.alpha)
        known = run_out(dense, straight(dense, 32), segments=(16, 32, 64), iterations=150)
        assert known.lengths[-1] == pytest.approx(known.lengths[-2], rel=1e-5)
        own = curve_length(dense, found.path.points())
        assert own == pytest.approx(known.lengths[-1], rel=2e-4)
        assert own > known.lengths[-1] * (1 - 1e-6)
        assert found.measure().length == pytest.approx(known.lengths[-1], rel=1e-3)
        assert own < 0.97 * curve_length(dense, straight(dense, 64))

    @pytest.mark.parametrize("scale", [1e-3, 1e4])
    def test_a_strength_means_the_same_in_every_unit(self, scale):
        """log p(x/s) between ends s·x: the nodes are s times as far, and everything else is the same."""
        plain = solved(OwnModel(banana), ENDS["banana"], Strength(2.0))
        scaled = solved(
            OwnModel(lambda x: banana(x / scale)), scale * ENDS["banana"], Strength(2.0)
        )
        nodes = plain.path.points()
        torch.testing.assert_close(scaled.path.points() / scale, nodes, rtol=0, atol=1e-5)
        assert scaled.alpha == pytest.approx(plain.alpha, rel=1e-9)
        assert scaled.strength == pytest.approx(2.0)
        assert scaled.evaluations == plain.evaluations
        heat = solved(OwnModel(lambda x: 7 * banana(x)), ENDS["banana"], Strength(2.0))
        torch.testing.assert_close(heat.path.points(), nodes, rtol=0, atol=1e-5)

    def test_ends_on_either_side_of_a_mode_are_joined_straight(self):
        ends = torch.tensor([[1.0, 0.3], [-1.0, -0.3]])
        found = solved(OwnModel(round_one), ends, Strength())
        assert found.alpha == found.strength == 0
        torch.testing.assert_close(found.path.points(), found.path.baseline(16))

    def test_distances(self):
        frames = keyframe_points([[-2.5, 1.1], [0, -2], [2.5, 1.1]])

        def score(model, condition):
            return Score(model, condition, NoisePrediction())

        found = between(OwnModel(banana), frames, score, automatic, SemiImplicit, None, 8, 1.5)
        matrix = found.distances.matrix
        assert all(found.converged)
        torch.testing.assert_close(matrix, matrix.T)
        torch.testing.assert_close(matrix[0, 1], matrix[1, 2], rtol=1e-3, atol=0)


class TestScore:
    @pytest.mark.parametrize("seed", range(20))
    def test_autograd_is_the_formula_by_hand(self, seed):
        dimension = 2 + seed % 4
        for own, hand, x in (
            (banana, banana_score, random(9, 2, seed=seed)),
            (Funnel(), Funnel().hand, random(9, dimension, seed=seed)),
        ):
            model = OwnModel(own, batch_size=4)
            model.encode(Frames(None, ("", ""), points=x[:2]))
            torch.testing.assert_close(model.score(x), hand(x), rtol=1e-12, atol=1e-12)
            torch.testing.assert_close(model.log_density(x), Target.of(own).log_density(x))
            noise = model.noise_prediction(x, 0, model.embed([""]))
            torch.testing.assert_close(-noise / model.sigma, hand(x), rtol=1e-12, atol=1e-12)

    def test_it_is_ordinary_tensors_for_whoever_wrote_it(self):
        """In inference mode too, where it may use autograd itself; and x stays as it was."""
        seen = []

        class Own:
            def log_density(self, x):
                seen.append((x.is_inference(), x.dtype))
                return -x.square().sum(-1)

            def score(self, x):
                with torch.enable_grad():
                    x.requires_grad_()
                    (found,) = torch.autograd.grad(self.log_density(x).sum(), x)
                return found

        model = OwnModel(Own())
        model.encode(points([1, 0], [0, 1]))
        with torch.inference_mode():
            x = random(3, 2)
            torch.testing.assert_close(model.score(x.float()), -2 * x.float())
        assert not x.requires_grad
        assert set(seen) == {(False, torch.float64)}

    def test_a_module_is_asked_in_its_own_precision_and_left_as_it_was(self):
        torch.manual_seed(0)
        module = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1), nn.Flatten(0)).train()
        model = OwnModel(module)
        found = model.encode(points([1, 1, 0], [1, -1, 0]))
        assert found.dtype == torch.float64
        assert model.score(found).dtype == model.log_density(found).dtype == torch.float64
        assert not model.log_density(found).requires_grad
        assert module.training
        assert all(weight.requires_grad and weight.grad is None for weight in module.parameters())

    def test_torch_s_distributions_are_densities(self):
        normal = torch.distributions.MultivariateNormal(
            torch.zeros(3).double(), 4 * torch.eye(3).double()
        )
        model = OwnModel(normal)
        x = model.encode(points([1, 1, 0], [1, -1, 0]))
        torch.testing.assert_close(model.score(x), -x / 4)


class TestCurvature:
    @pytest.mark.parametrize("seed", range(10))
    def test_of_a_quadratic_it_is_the_eigenvalue(self, seed):
        """In up to as many dimensions as products; in more it is below it, and of its size."""
        for dimension in (2, 3, 4, 20):
            root = random(dimension, dimension, seed=seed)
            hessian = root @ root.T - 0.1 * torch.eye(dimension, dtype=torch.float64)
            eigenvalues = torch.linalg.eigvalsh(hessian)
            truth, slack = float(eigenvalues[-1]), 1e-6 * float(eigenvalues.abs().max())
            x = random(3, dimension, seed=seed + 1)
            found, scores = largest_eigenvalue(lambda x, h=hessian: -x @ h, x, 1e-6)
            torch.testing.assert_close(scores, -x @ hessian)
            assert (found <= truth + slack).all()
            assert (found >= (truth if dimension <= 4 else 0.6 * truth) - slack).all()

    def test_where_every_direction_is_the_same(self):
        found, _ = largest_eigenvalue(lambda x: -3 * x, random(5, 12), 1e-6)
        torch.testing.assert_close(found, torch.full((5,), 3.0).double(), rtol=1e-6, atol=0)

    def test_it_is_counted_and_a_known_one_costs_nothing(self):
        model = OwnModel(round_one)
        model.encode(points([2, 0], [0, 1]))
        assert model.evaluations == PLACES * 3
        assert model.sigma == pytest.approx(1.0, rel=1e-5)

        class Known(Funnel):
            curvature, dimension = 4, 3

        known = OwnModel(Known)
        known.encode(points([2, 0, 1], [0, 1, 1]))
        assert (known.evaluations, known.sigma) == (0, 0.5)

    def test_a_slope_and_a_hole_have_a_finite_one(self):
        line = torch.tensor([[0.0, 0.0], [2.0, 0.0]], dtype=torch.float64)
        slope = estimated(lambda x: torch.ones_like(x), line, torch.float64)
        assert slope == pytest.approx(math.sqrt(2) / 2)

        def hole(x):
            return torch.where((x[:, :1] - 1).abs() < 0.2, torch.nan, -x)

        assert estimated(hole, line, torch.float64) == pytest.approx(1.0, rel=1e-5)
        flat = estimated(torch.zeros_like, line, torch.float64)
        assert 0 < flat < 1e-3


class TestPictures:
    @pytest.mark.parametrize("dimension", [2, 3, 5])
    def test_path_over_density(self, dimension):
        model = OwnModel(Funnel)
        ends = random(2, dimension, seed=dimension)
        path = straight(replace(_encoded(model, ends).density), 8)
        still, frames = model.picture(path, 1.0, model.manifold), model.decode(path)
        assert still.shape == (3, 512, 512)
        assert frames.shape == (9, 3, 256, 256)
        assert still.std() > 0.1
        assert not torch.equal(frames[0], frames[1])

    def test_a_density_that_is_zero_or_nothing_somewhere(self):
        """Both are as dark as can be; the rest is as without them."""

        def rising(x):
            return x[..., 0] - x[..., 1] ** 2 / 2

        def box(x):
            inside = torch.where(x[..., 0] < 1.2, rising(x), -torch.inf)
            return torch.where(x[..., 1] < -0.4, torch.nan, inside)

        ends = torch.tensor([[-1.0, 0.5], [1.0, 0.5]], dtype=torch.float64)
        pictures = []
        for own in (box, rising):
            model = _encoded(OwnModel(own), ends)
            pictures.append(model.decode(straight(model.density, 4))[0])
        cut, whole = pictures
        assert cut.isfinite().all()
        assert float((cut - whole).abs()[:, 100:128, 40:100].max()) < 0.02
        assert cut[:, -20:].mean() < 0.1 < whole[:, -20:].mean()
        assert cut[:, 60:100, -6:].mean() < 0.1 < whole[:, 60:100, -6:].mean()


def _encoded(model, ends):
    model.encode(points(*ends.tolist()))
    return model


class Three(Funnel):
    dimension = 3


class Bent(Funnel):
    curvature = -1.0


class Asks:
    def __init__(self, width):
        self.width = width


class WrongScore(Funnel):
    def score(self, x):
        return x.sum(-1)


REFUSED = {
    "no density": (3, "is of type int, expected an object with log_density"),
    "a sum": (lambda x: x.sum(), r"has the shape \(\) \(float64\), expected \(2,\)"),
    "a vector": (lambda x: x, r"has the shape \(2, 2\)"),
    "numpy": (lambda x: x.detach().numpy().sum(-1), "is a ndarray, expected a tensor"),
    "whole numbers": (lambda x: x.sum(-1).long(), r"\(int64\)"),
    "detached": (lambda x: -x.detach().square().sum(-1), "no gradient leads from"),
    "of other things": (lambda x: -torch.ones(len(x)).requires_grad_(), "no gradient leads from"),
    "NaN": (lambda x: x[..., 0].log(), r"is not finite at the given point \[-1.0, 1.0\]"),
    "raises": (lambda x: 1 / 0, "fails at points of shape.*ZeroDivisionError: division by zero"),
    "dimension": (Three, "Got points of 2 numbers, expected 3"),
    "curvature": (Bent, r"curvature is -1.0, expected a number above 0"),
    "needs": (Asks, "expected a class that takes no arguments"),
    "score": (WrongScore, r"the score of WrongScore has the shape \(2,\)"),
}


class TestRefused:
    @pytest.mark.parametrize("name", REFUSED)
    def test_in_one_sentence(self, name):
        target, told = REFUSED[name]
        with pytest.raises(UserError, match=told) as refused:
            OwnModel(target).encode(points([-1, 1], [1, 1]))
        assert str(refused.value).endswith(".")
        assert "\n" not in str(refused.value)

    def test_what_is_not_finite_on_the_way(self):
        """log p of a negative number has a finite gradient, which leads nowhere."""

        def hole(x):
            square = x.square().sum(-1)
            return torch.log(square - 0.5) - square

        ends = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])
        with pytest.raises(UserError) as refused:
            solved(OwnModel(hole), ends, Strength())
        told = str(refused.value)
        assert told.startswith(
            "The score is NaN or infinite at 3 of 3 nodes, first at the point [-0.5, 0], u = 0.25 of the path: "
            "see where the density TestRefused.test_what_is_not_finite_on_the_way.<locals>.hole is positive"
        )
        assert "weights" not in told

    def test_frames_that_are_no_points(self):
        with pytest.raises(UserError, match="got pictures or prompts, expected points"):
            OwnModel(banana).encode(Frames(None, ("", "")))
        with pytest.raises(UserError, match="draws no points by itself"):
            OwnModel(banana).sample(torch.zeros(2, 1, 1), [0, 1])
        with pytest.raises(UserError, match="on a line there is one way only"):
            OwnModel(round_one).encode(points([0], [1]))
        with pytest.raises(UserError, match="at least 1"):
            OwnModel(banana, batch_size=0)
