"""Keyframes: every leg a geodesic, one tangent where legs meet, and what that costs."""

from __future__ import annotations

import io
import math
from functools import cache, partial

import lightning as L
import pytest
import torch
from known import FLAT, exact_score
from PIL import Image

from geodesic_lightning.data.keyframes import keyframe_points, keyframes, shipped_keyframes
from geodesic_lightning.errors import UserError
from geodesic_lightning.geometry import spline
from geodesic_lightning.geometry.corner_rounding import rounded, turning_angles
from geodesic_lightning.geometry.manifold import Sphere
from geodesic_lightning.geometry.piecewise_path import PiecewisePath
from geodesic_lightning.models.exact import ExactModel, density
from geodesic_lightning.optimizers.descent import Descent
from geodesic_lightning.optimizers.semi_implicit import SemiImplicit
from geodesic_lightning.optimizers.solve import solve
from geodesic_lightning.problems.boundary_value import Problem, legs_length
from geodesic_lightning.score.condition import Condition, Piecewise, prompts
from geodesic_lightning.score.estimator import Score
from geodesic_lightning.score.fields import NoisePrediction
from geodesic_lightning.solvers.assemble import assemble
from geodesic_lightning.solvers.baselines import FixedSolver
from geodesic_lightning.solvers.bvp import BoundaryValueSolver
from geodesic_lightning.trainer.loop import Batches

pytestmark = [  # what Lightning says of a run without data
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*no `val_dataloader`.*"),
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning"),
]


def stops_of(name):
    if name == "mixture":
        return density(name).means[[0, 1, 4]]
    angle = torch.tensor([0.0, 120, 240], dtype=torch.float64) * math.pi / 180
    return torch.stack([angle.cos(), angle.sin()], -1)


CASES = {"mixture": False, "ring": True}


@cache
def solved(name, rounding=0.5, optimizer=SemiImplicit):
    chosen = density(name)
    chain = PiecewisePath(stops_of(name), chosen.manifold, 16, CASES[name], rounding)
    problem = Problem(chain, exact_score(name), chosen.alpha)
    return chain, problem, solve(problem, optimizer, 16)


@pytest.mark.parametrize("name", CASES)
class TestLegs:
    def test_each_is_the_geodesic_it_would_be_alone(self, name):
        """Legs share a batch and nothing else."""
        chain, problem, made = solved(name)
        assert made.converged
        alone = PiecewisePath(stops_of(name), chain.manifold, 16, CASES[name])
        sharp = made.sharp.split([16] * (len(chain.legs) - 1) + [17])
        spent = 0
        for leg, found in zip(alone.legs, sharp):
            one = Problem(leg, exact_score(name), problem.alpha)
            solve(one, SemiImplicit, 16)
            # Sums over another batch may run in another order.
            torch.testing.assert_close(leg.points()[:16], found[:16], rtol=0, atol=1e-10)
            spent += one.evaluations
        assert problem.evaluations == spent

    def test_all_legs_share_one_call(self, name, monkeypatch):
        chain = PiecewisePath(stops_of(name), density(name).manifold, 16, CASES[name])
        problem, sizes = Problem(chain, exact_score(name), 0.3), []
        ask = problem.score.model.noise_prediction
        monkeypatch.setattr(
            problem.score.model,
            "noise_prediction",
            lambda x, *at: sizes.append(len(x)) or ask(x, *at),
        )
        made = solve(problem, SemiImplicit, 16)
        assert made.converged
        assert len(sizes) <= 30  # calls, for all legs
        assert max(sizes) > 15  # more than one leg's nodes

    def test_keyframes_stay_where_they_are(self, name):
        chain, _, _ = solved(name)
        stops = stops_of(name)
        for leg, stop in zip(chain.legs, stops):
            assert torch.equal(leg.start, stop)
        torch.testing.assert_close(chain.at(chain.stops)[: len(stops)], stops)

    def test_one_tangent_at_every_keyframe(self, name):
        """Corners of tens of degrees before, none after."""
        chain, _, made = solved(name)
        sharp = PiecewisePath(stops_of(name), chain.manifold, 16, CASES[name])
        sharp.set_nodes(made.sharp[1:-1])
        assert min(sharp.angles) > math.radians(30)
        h = 1e-4
        inner = chain.stops if chain.closed else chain.stops[1:-1]
        for w in inner.tolist():
            before = torch.tensor([(w - h) % 1.0, w], dtype=torch.float64)
            after = torch.tensor([w % 1.0, (w + h) % 1.0], dtype=torch.float64)
            a, b = (chain.at(pair).diff(dim=0)[0] for pair in (before, after))
            assert math.degrees(float(torch.acos((a @ b / a.norm() / b.norm()).clamp(-1, 1)))) < 2
        assert max(chain.angles) < math.radians(2)

    def test_speed_is_continuous_across_keyframes(self, name):
        chain, _, _ = solved(name)
        u = torch.linspace(0, 1, 2001, dtype=torch.float64)
        steps = chain.at(chain.by_distance(u)).diff(dim=0).norm(dim=-1)
        assert steps.max() / steps.min() < 1.02

    def test_smoothness_costs_little_length(self, name):
        """What docs/keyframes.md says: about one per cent at rounding 0.5, less with less."""
        costs = []
        for rounding in (0.25, 0.5):
            chain, problem, made = solved(name, rounding)
            sharp = PiecewisePath(stops_of(name), chain.manifold, 16, CASES[name])
            sharp.set_nodes(made.sharp[1:-1])
            shortest = legs_length(Problem(sharp, problem.score, problem.alpha))
            costs.append(problem.measure().length / shortest - 1)
        assert -0.002 < costs[0] < costs[1] < 0.02

    def test_keyframes_stand_by_distance(self, name):
        chain, _, _ = solved(name)
        lengths = torch.tensor([_length(leg.points()) for leg in chain.legs])
        expected = torch.cat([torch.zeros(1), lengths.cumsum(0) / lengths.sum()])
        torch.testing.assert_close(
            torch.tensor(chain.keyframe_places).float(), expected, rtol=0, atol=5e-3
        )


def _length(points):
    return float((points[1:] - points[:-1]).norm(dim=-1).sum())


def test_other_optimizers_work_on_legs_too():
    optimizer = partial(Descent, method="gradient_descent", lr=0.4, iterations=400)
    chain, _, made = solved("mixture", 0.5, optimizer)
    assert made.converged
    assert max(chain.angles) < math.radians(2)


class TestRounding:
    @pytest.mark.parametrize("degrees", [20, 60])
    def test_costs_what_the_formula_says(self, degrees):
        """ΔS = (1/15)(h₋ sin²θ₋ + h₊ sin²θ₊) in flat space, for legs of 1 and 2."""
        turn = math.radians(degrees)
        corner = torch.tensor([1.0, 0.0]).double()
        far = corner + 2 * torch.tensor([math.cos(turn), math.sin(turn)]).double()
        u = torch.linspace(0, 1, 201, dtype=torch.float64)[:, None]
        legs = [u * corner, corner + u * (far - corner)]
        rounding = 0.4
        found = rounded(legs, FLAT, rounding)
        extra = sum(_length(points) for points in found) - 3
        reach = torch.tensor([0.4, 0.8]).double()
        tangents = torch.stack([corner, (far - corner) / 2])
        middle = (reach[:, None] * tangents).sum(0)
        middle = middle / middle.norm()
        sines = 1 - (tangents @ middle) ** 2
        assert extra == pytest.approx(float((reach * sines).sum()) / 15, rel=0.15)

    def test_leaves_the_rest_alone(self):
        u = torch.linspace(0, 1, 41, dtype=torch.float64)[:, None]
        legs = [u * torch.tensor([1.0, 0]), torch.tensor([1.0, 0]) + u * torch.tensor([0.0, 1])]
        found = rounded([leg.double() for leg in legs], FLAT, 0.25)
        assert torch.equal(found[0][:30], legs[0][:30].double())
        assert torch.equal(found[1][11:], legs[1][11:].double())
        assert not torch.equal(found[0][32:40], legs[0][32:40].double())
        assert turning_angles(found, False)[0] < 0.1

    def test_on_a_sphere_it_stays_there(self):
        ball = Sphere(3.0)
        stops = ball.projx(torch.randn(4, 6, generator=torch.Generator().manual_seed(1)).double())
        chain = PiecewisePath(stops, ball, 12, closed=True, rounding=0.6)
        chain.round()
        torch.testing.assert_close(chain.points().norm(dim=-1), torch.full((49,), 3.0).double())
        assert max(chain.angles) < math.radians(6)

    def test_none_keeps_the_corner(self):
        chain = PiecewisePath(stops_of("ring"), FLAT, 8, closed=True, rounding=0.0)
        before = chain.points()
        chain.round()
        assert torch.equal(chain.points(), before)

    def test_a_path_straight_back_keeps_its_cusp(self):
        stops = torch.tensor([[0.0, 0], [1, 0], [0, 0]]).double()
        chain = PiecewisePath(stops, FLAT, 8)
        before = chain.points()
        chain.round()
        torch.testing.assert_close(chain.points(), before)


def test_a_closed_spline_is_smooth_where_it_closes():
    angle = torch.linspace(0, 2 * math.pi, 13, dtype=torch.float64)
    points = torch.stack([angle.cos(), angle.sin()], -1)
    points[-1] = points[0]
    knots = spline.chord_knots(points)
    for order in (0, 1, 2):
        a, b = spline.evaluate(points, knots[[0, -1]], order, knots, closed=True)
        torch.testing.assert_close(a, b)


class TestCondition:
    def test_two_are_a_condition_as_before(self):
        model = ExactModel("ring")
        assert isinstance(prompts(model, ["a", "b"]), Condition)

    def test_more_pass_each_prompt_at_its_place(self):
        stops = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0))
        found = Piecewise(stops)
        u = torch.linspace(0, 1, 4)
        torch.testing.assert_close(found(u), stops)
        torch.testing.assert_close(found(u[:2].mean()[None])[0], (stops[0] + stops[1]) / 2)

    def test_constant_is_the_mean_of_all(self):
        stops = torch.randn(3, 3, 5, generator=torch.Generator().manual_seed(0))
        found = Piecewise(stops, "constant")(torch.tensor([0.0, 0.4, 1.0]))
        torch.testing.assert_close(found, stops.mean(0).expand(3, 3, 5))


def trainer(**options):
    return L.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, max_epochs=-1,
        enable_progress_bar=False, enable_model_summary=False, **options,
    )  # fmt: skip


def shell(solver, points=((1, 0), (-0.5, 0.8660254), (-0.5, -0.8660254)), closed=True):
    return assemble(
        ExactModel("ring"),
        keyframe_points(points, closed=closed),
        solver,
        partial(Score, field=NoisePrediction()),
        prompts,
    )


@pytest.mark.parametrize("closed", [False, True])
def test_through_the_shell(closed):
    solver = shell(partial(BoundaryValueSolver, optimizer=SemiImplicit, frames=9), closed=closed)
    assert {name.rsplit(".", 1)[1] for name, _ in solver.named_parameters()} == {"nodes"}
    run = trainer()
    run.fit(solver, train_dataloaders=Batches())
    run.validate(solver, dataloaders=[0], verbose=False)
    summary = solver.summary()
    assert summary["converged"]
    legs = 3 if closed else 2
    assert summary["segments"] == 16 * legs
    assert len(summary["keyframes"]["u"]) == legs + 1
    assert len(summary["keyframes"]["corners_degrees"]) == (3 if closed else 1)
    assert 0 < summary["keyframes"]["cost_of_rounding"] < 0.02
    assert summary["length"] < summary["length_start"]
    assert len(solver.frames()) == 9


def test_a_resumed_run_is_the_run_that_never_stopped(tmp_path):
    maker = partial(BoundaryValueSolver, optimizer=SemiImplicit)
    straight = shell(maker)
    trainer().fit(straight, train_dataloaders=Batches())
    first, second = shell(maker), shell(maker)
    begun = trainer(max_steps=4)
    begun.fit(first, train_dataloaders=Batches())
    begun.save_checkpoint(tmp_path / "half.ckpt")
    trainer().fit(second, train_dataloaders=Batches(), ckpt_path=tmp_path / "half.ckpt")
    assert torch.equal(second.path.points(), straight.path.points())
    assert second.problem.evaluations == straight.problem.evaluations


@pytest.mark.parametrize("way", ["lerp", "slerp"])
def test_fixed_ways_pass_keyframes_too(way):
    solver = shell(partial(FixedSolver, way=way))
    trainer().validate(solver, dataloaders=[0], verbose=False)
    assert solver.summary()["segments"] == 48


class TestData:
    def png(self, folder, name, colour):
        Image.new("RGB", (16, 16), colour).save(folder / name)
        return folder / name

    def test_images_with_prompts(self, tmp_path):
        files = [self.png(tmp_path, f"{c}.png", c) for c in ("red", "green", "blue")]
        found = keyframes(files, ["r", "", "b"], closed=True, rounding=0.2)
        assert found.prompts == ("r", "", "b")
        assert found.closed
        assert found.at(8).images.shape == (3, 3, 8, 8)

    def test_shipped_cats(self):
        found = shipped_keyframes(["pair_cat_start", "pair_ears_end", "pair_near_end"])
        assert len(found) == 3
        assert all("cat" in prompt for prompt in found.prompts)

    def test_a_loop_whose_ends_are_the_same_picture(self, tmp_path):
        files = [self.png(tmp_path, f"{i}.png", c) for i, c in enumerate(("red", "blue", "red"))]
        assert keyframes(files).at(8).images.shape[0] == 3
        with pytest.raises(UserError, match="same picture"):
            keyframes(files, closed=True).at(8)

    def test_refusals(self, tmp_path):
        files = [self.png(tmp_path, f"{c}.png", c) for c in ("red", "green")]
        for call, message in (
            (lambda: keyframes(files[:1]), "at least 2 files"),
            (lambda: keyframes(files, closed=True), "at least 3 files"),
            (lambda: keyframes(files, ["a"]), r"data\.prompts: got 1 for 2"),
            (lambda: keyframes(files, rounding=2.0), r"data\.rounding"),
            (lambda: shipped_keyframes(["cat"]), "expected one of eval_00_end"),
            (lambda: keyframe_points([[0, 1], [1]]), r"data\.points"),
            (lambda: keyframe_points([[0, 1], ["x", 1]]), r"data\.points"),
        ):
            with pytest.raises(UserError, match=message):
                call()

    def test_a_density_of_its_own_two_points_has_no_keyframes(self, tmp_path):
        files = [self.png(tmp_path, f"{c}.png", c) for c in ("red", "green", "blue")]
        with pytest.raises(UserError, match="keyframe_points"):
            assemble(
                ExactModel("ring"),
                keyframes(files),
                partial(BoundaryValueSolver, optimizer=SemiImplicit),
                partial(Score, field=NoisePrediction()),
                prompts,
            )


def test_state_is_small_and_plain():
    chain, _, _ = solved("ring")
    buffer = io.BytesIO()
    torch.save(chain.state_dict(), buffer)
    buffer.seek(0)
    loaded = torch.load(buffer, weights_only=True)
    other = PiecewisePath(stops_of("ring"), FLAT, 4, closed=True)
    other.load_state_dict(loaded)
    assert torch.equal(other.points(), chain.points())
