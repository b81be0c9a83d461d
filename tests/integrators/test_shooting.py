"""Shooting against what is known: closed forms, integrated geodesics, orders, solved paths."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest
import torch
from known import exact_problem, order, smooth_shots
from shooting import CALLS, segment_check, shoot

from geodesic_lightning.errors import UserError
from geodesic_lightning.geometry import spline
from geodesic_lightning.geometry.held_means import HeldMeans
from geodesic_lightning.geometry.manifold import Euclidean, Sphere
from geodesic_lightning.integrators import adaptive as march
from geodesic_lightning.integrators import picard
from geodesic_lightning.integrators.adaptive import advance, straight
from geodesic_lightning.integrators.geodesic_ode import (
    METHODS,
    PARAMETRIZATIONS,
    Medium,
    begin,
    kick,
    metric_speed,
    strang_step,
)
from geodesic_lightning.models.exact import density
from geodesic_lightning.optimizers.semi_implicit import SemiImplicit
from geodesic_lightning.optimizers.solve import solve

shots = cache(smooth_shots)
NAMES = [
    "constant_score",
    "mixture in 3-D",
    "slope on a sphere",
    "mixture on a sphere",
    "mixture on a shell",
]
SEGMENTS = (8, 16, 32, 64)
every = pytest.mark.parametrize("name", NAMES)
parametrizations = pytest.mark.parametrize("parametrization", PARAMETRIZATIONS)
methods = pytest.mark.parametrize("method", METHODS)
SHELL = HeldMeans(Sphere(2.0), (0.4,))
ORDER = {"rk4": 4, "strang": 2}


class Counted:
    """An exact score that counts its calls and evaluations."""

    def __init__(self, problem):
        self.problem, self.calls, self.evaluations = problem, 0, 0

    def __call__(self, x, u):
        self.calls, self.evaluations = self.calls + 1, self.evaluations + len(x)
        return self.problem.score(x)


def medium(problem, parametrization="euclidean", alpha=None):
    alpha = problem.alpha if alpha is None else alpha
    return Medium(Counted(problem), alpha, problem.manifold, parametrization)


def velocity(name, parametrization="euclidean"):
    """That of the known geodesic, (1, d): unit time takes it to the problem's end in any parametrization."""
    known = shots()[name]
    d = known.problem.dimension
    v = torch.from_numpy(np.ascontiguousarray(known.solution(0.0)[d : 2 * d]))[None]
    return v if parametrization == "euclidean" else v * known.length / v.norm()


def fly(name, parametrization, method, segments, limit=None):
    problem = shots()[name].problem
    field = medium(problem, parametrization)
    return shoot(
        problem.ends[:1], velocity(name, parametrization), field, segments, method, limit
    ), field


def rise(problem):
    return float(torch.diff(problem.log_density(problem.ends)))


# -- closed forms ----------------------------------------------------------------------------------


@parametrizations
@methods
def test_constant_score_in_the_plane(parametrization, method):
    # zeta(u) = log((1 - u) e^{c zeta_A} + u e^{c zeta_B})/c, y along g and x across it.
    problem = density("constant_score")
    c = -problem.alpha * float(problem.slope.norm())
    step = problem.ends[1] - problem.ends[0]
    growth = torch.exp(c * torch.complex(step[1], step[0])) - 1
    u = torch.linspace(0, 1, 4001, dtype=torch.float64)
    slopes = growth / (1 + u * growth) / c
    distance = float(torch.trapezoid(slopes.abs(), u))
    reach = distance if parametrization == "euclidean" else float(growth.abs()) / abs(c)
    ahead = torch.stack([slopes[0].imag, slopes[0].real])[None] / slopes[0].abs()
    end = shoot(problem.ends[:1], reach * ahead, medium(problem, parametrization), 256, method)[-1]
    torch.testing.assert_close(end.x[0], problem.ends[1], rtol=0, atol=3e-5)
    assert float(end.length) == pytest.approx(float(growth.abs()) / abs(c), rel=2e-5)
    assert float(end.log_density) == pytest.approx(rise(problem), abs=2e-5)


@parametrizations
@methods
@pytest.mark.parametrize(
    "manifold", [Euclidean(), Sphere(3.0), SHELL], ids=["flat", "sphere", "shell"]
)
def test_without_density_the_manifolds_own_geodesic(parametrization, method, manifold):
    problem = shots()["mixture on a sphere"].problem
    start = manifold.projx(torch.tensor([[1.0, 2.0, -1.0, 0.5]], dtype=torch.float64))
    v = manifold.proju(start, torch.tensor([[2.0, 0.3, 1.0, -0.4]], dtype=torch.float64))
    field = Medium(Counted(problem), 0.0, manifold, parametrization)
    found = torch.stack([s.x for s in shoot(start, v, field, 16, method)], 1)
    expected, _ = straight(start, v, 16, manifold)
    exact = method == "strang" or isinstance(manifold, Euclidean)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13 if exact else 1e-6)
    torch.testing.assert_close(manifold.expmap(start, v), expected[:, -1])


# -- orders ----------------------------------------------------------------------------------------


@every
@parametrizations
@methods
def test_order_of_place_log_density_and_length(name, parametrization, method):
    known = shots()[name]
    problem, errors = known.problem, []
    for segments in SEGMENTS:
        end = fly(name, parametrization, method, segments)[0][-1]
        errors.append(
            [
                float((end.x - problem.ends[1]).norm()),
                abs(float(end.log_density) - rise(problem)),
                abs(float(end.length) - known.length),
            ]
        )
    for kind in zip(*errors):
        if max(kind) > 1e-12:  # some cases are exact: only roundoff is left
            assert order(SEGMENTS, kind) > ORDER[method] - 0.5
    assert order(SEGMENTS, [e[0] for e in errors]) == pytest.approx(ORDER[method], abs=0.3)


@every
def test_calls_are_as_many_as_the_method_says(name):
    for method, calls in CALLS.items():
        field = fly(name, "euclidean", method, 16)[1]
        assert field.score.calls == field.score.evaluations == 16 * calls


@every
def test_metric_speed_is_conserved_to_the_order_of_the_method(name):
    problem, drifts = shots()[name].problem, []
    for segments in SEGMENTS:
        states = fly(name, "metric", "rk4", segments)[0]
        speed = torch.stack([metric_speed(s, problem.alpha) for s in states])
        drifts.append(float((speed / speed[0] - 1).abs().max()))
        assert float(states[-1].drift) == pytest.approx(float((speed[-1] / speed[0]).log()))
        # Against log p itself and not the integrated one, too.
        truth = problem.log_density(states[-1].x) - problem.log_density(problem.ends[:1])
        exact = states[-1].v.norm() * torch.exp(-problem.alpha * truth)
        assert float(exact / speed[0]) == pytest.approx(1, abs=20 * (8 / segments) ** 4 * 1e-3)
    assert order(SEGMENTS, drifts) == pytest.approx(4, abs=0.3)


@every
def test_strang_conserves_its_metric_speed_exactly(name):
    states = fly(name, "metric", "strang", 8)[0]
    assert float(states[-1].drift.abs()) < 1e-13


@every
@methods
def test_in_the_euclidean_parametrization_the_speed_is_kept(name, method):
    states = fly(name, "euclidean", method, 8)[0]
    for state in states:
        torch.testing.assert_close(state.v.norm(), states[0].v.norm(), rtol=1e-13, atol=0)
    assert float(states[-1].drift.abs()) < 1e-2  # what had to be put right


@every
@parametrizations
@methods
def test_back_from_the_end_with_the_velocity_reversed(name, parametrization, method):
    problem = shots()[name].problem
    states, field = fly(name, parametrization, method, 16)
    back = shoot(states[-1].x, -states[-1].v, field, 16, method)
    if parametrization == "metric":
        # Relative to the new start the speed p^(-alpha) is another, and so is what a unit of time
        # means; v carries it along, so that the way back takes the same time.
        assert float(back[-1].length) == pytest.approx(float(back[0].v.norm()), rel=1e-3)
    gaps = [float((a.x - b.x).norm()) for a, b in zip(states, reversed(back))]
    assert max(gaps) < (1e-12 if method == "strang" else 1e-3)
    assert float(states[-1].log_density + back[-1].log_density) == pytest.approx(0, abs=1e-3)
    torch.testing.assert_close(problem.ends[0], back[-1].x[0], rtol=0, atol=1e-3)


@methods
def test_backwards_is_forwards_with_the_other_velocity(method):
    problem = shots()["mixture on a sphere"].problem
    v = velocity("mixture on a sphere")
    field = medium(problem)
    there = shoot(problem.ends[:1], -v, field, 8, method)[-1]
    state = begin(problem.ends[:1], v)
    for k in range(8):
        h = torch.full((1,), -1 / 8, dtype=torch.float64)
        state = advance(state, k * h, h, field, METHODS[method], None)
    torch.testing.assert_close(state.x, there.x)
    torch.testing.assert_close(state.log_density, there.log_density)


# -- the kick --------------------------------------------------------------------------------------


@parametrizations
@pytest.mark.parametrize("seed", range(5))
def test_kick_is_the_flow_of_a_frozen_score(parametrization, seed):
    generator = torch.Generator().manual_seed(seed)
    v, score = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64)
    field = Medium(lambda x, u: x, 0.4, Euclidean(), parametrization)
    whole = torch.full((3,), 0.2, dtype=torch.float64)
    once, gain = kick(v, score, whole, field)
    # Two halves make a whole, and back is the inverse.
    half, first = kick(v, score, whole / 2, field)
    twice, second = kick(half, score, whole / 2, field)
    torch.testing.assert_close(once, twice)
    torch.testing.assert_close(gain, first + second)
    torch.testing.assert_close(kick(once, score, -whole, field)[0], v)
    # And it solves its equation: v' at the start.
    tiny = torch.full((3,), 1e-6, dtype=torch.float64)
    slope = (kick(v, score, tiny, field)[0] - kick(v, score, -tiny, field)[0]) / 2e-6
    square, along = (v * v).sum(-1, keepdim=True), (score * v).sum(-1, keepdim=True)
    share = 2 if parametrization == "metric" else 1
    torch.testing.assert_close(slope, 0.4 * (share * along * v - square * score), rtol=1e-6, atol=0)
    torch.testing.assert_close(
        kick(v, score, tiny, field)[1], along[:, 0] * 1e-6, rtol=1e-4, atol=0
    )


def test_kick_by_a_huge_score_turns_and_never_overflows():
    v = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, -2.0], [1.0, 1.0]])
    score = torch.tensor([[0.0, 1e6], [0.0, 1e6], [0.0, 1e6], [0.0, 0.0]])
    field = Medium(lambda x, u: x, 1.0, Euclidean())
    turned, gain = kick(v, score, torch.ones(4), field)
    assert torch.isfinite(turned).all()
    torch.testing.assert_close(turned.norm(dim=-1), v.norm(dim=-1))
    torch.testing.assert_close(turned[0], torch.tensor([0.0, -1.0]))  # straight down the score
    torch.testing.assert_close(turned[3], v[3])
    assert float(gain[3]) == 0


# -- fans and step control -------------------------------------------------------------------------


@parametrizations
@methods
@pytest.mark.parametrize("limit", [None, 0.05])
def test_a_fan_is_its_shots(parametrization, method, limit):
    known = shots()["mixture on a sphere"]
    problem, v = known.problem, velocity("mixture on a sphere", parametrization)
    aside = problem.manifold.proju(problem.ends[0], torch.randn(4, 4, dtype=torch.float64))
    fan = torch.cat([v, v + 0.5 * aside])
    start = problem.ends[:1].expand(5, -1)
    together = shoot(start, fan, medium(problem, parametrization), 8, method, limit)[-1]
    for k in range(5):
        alone = shoot(
            start[:1], fan[k : k + 1], medium(problem, parametrization), 8, method, limit
        )[-1]
        torch.testing.assert_close(together.x[k], alone.x[0], rtol=0, atol=1e-13)
        torch.testing.assert_close(together.length[k], alone.length[0], rtol=1e-13, atol=0)


@methods
def test_steps_turn_by_no_more_than_the_limit(method):
    name, limit = "mixture in 3-D", 0.02
    problem, turned = shots()[name].problem, []

    def watched(state, u, h, field):
        after = METHODS[method](state, u, h, field)
        turned.append(float(after.turning * h))
        return after

    state, field = begin(problem.ends[:1], velocity(name)), medium(problem)
    span = torch.full((1,), 1 / 8, dtype=torch.float64)
    for k in range(8):
        state = advance(state, k * span, span, field, watched, limit)
    assert len(turned) > 8
    assert max(turned) < 1.5 * limit  # the turning before the step controls it
    assert field.score.calls == CALLS[method] * len(turned) + 1
    fixed = fly(name, "euclidean", method, 8)[0][-1]
    errors = [float((s.x - problem.ends[1]).norm()) for s in (state, fixed)]
    assert errors[0] < errors[1] / 2


def test_a_field_that_turns_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(march, "MOST_PIECES", 20)
    field = Medium(lambda x, u: 1e9 * torch.ones_like(x), 1.0, Euclidean())
    state = begin(torch.zeros(1, 3), torch.tensor([[1.0, 0.0, 0.0]]))
    with pytest.raises(UserError, match=r"solver\.alpha"):
        advance(state, torch.zeros(1), torch.ones(1), field, spinning, 0.5)


def spinning(state, u, h, field):
    """A step after which the path turns as fast as before."""
    return replace(strang_step(state, u, h, field), turning=torch.full((1,), 1e9))


def test_a_score_that_is_not_finite_is_refused():
    field = Medium(lambda x, u: x / 0, 1.0, Euclidean())
    with pytest.raises(
        UserError, match=r"NaN or infinite at 1 of 1 nodes, first at u = 0 of the path: give"
    ):
        shoot(torch.ones(1, 3), torch.ones(1, 3), field, 4)


def test_where_a_shot_leaves_the_density_is_said():
    from geodesic_lightning import extrapolate

    def half_plane(x):
        return torch.log(1 - x[..., 0]) - x[..., 1] ** 2

    with pytest.raises(UserError) as refused:
        extrapolate([0.0, 0.5], [0.5, 0.25], model=half_plane, length=8, alpha=0.0, segments=8)
    told = str(refused.value)
    assert re.search(r"first at the point \[[\d.]+, [-\d.]+\], u = 0\.\d+ of the path", told)
    assert "weights" not in told


# -- against the boundary value problem ------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["constant_score", "gaussian", "mixture", "ring", "tube_2", "tube_64", "cloud_64"]
)
def test_a_solved_path_shoots_itself_over_four_segments(name):
    problem = exact_problem(name, 32)
    made = solve(problem, partial(SemiImplicit, tolerance=1e-6, iterations=60), 32)
    assert made.converged
    points = problem.path.points()
    knots = spline.chord_knots(points)
    ahead = spline.evaluate(points, knots, order=1, knots=knots)
    gaps = segment_check(points, ahead, medium(density(name)))
    assert len(gaps) == 29
    assert float(gaps.max()) < 0.03


# -- all nodes at once -----------------------------------------------------------------------------


def swept(name, segments, tolerance, shift=0.0, most=30):
    problem = shots()[name].problem
    field = medium(problem)
    sheet = picard.open_sheet(problem.ends[:1], velocity(name), segments, field)
    for _ in range(most):
        moving = picard.stale(sheet, tolerance)
        if not moving.any():
            break
        sheet = picard.sweep(picard.ask(sheet, moving, field), field, shift)
    return sheet, field


@every
def test_sweeps_are_of_order_four(name):
    problem, errors = shots()[name].problem, []
    for segments in SEGMENTS:
        sheet, _ = swept(name, segments, 1e-11)
        errors.append(float((sheet.x[0, -1] - problem.ends[1]).norm()))
    assert order(SEGMENTS, errors) > 3.5
    assert float(sheet.log_density[0, -1]) == pytest.approx(rise(problem), abs=1e-5)
    assert float(sheet.length) == pytest.approx(shots()[name].length, rel=1e-5)


@every
def test_a_handful_of_calls_does_what_runge_kutta_does_in_many(name):
    known = shots()[name]
    distance = float(velocity(name).norm())
    sheet, field = swept(name, 16, 1e-5)
    assert float((sheet.x[0, -1] - known.problem.ends[1]).norm()) < 1e-4 * distance
    assert field.score.calls <= 8  # 64 for RK4
    assert field.score.evaluations <= 96


@every
def test_the_shift_changes_the_way_and_not_the_answer(name):
    plain, shifted = (swept(name, 16, 1e-11, shift)[0] for shift in (0.0, 0.5))
    torch.testing.assert_close(plain.x, shifted.x, rtol=0, atol=3e-7)


@pytest.mark.parametrize("stiffness", [-4.0, 0.0, 3.0])
def test_kernel_solves_its_oscillator(stiffness):
    # y'' = stiffness y + f with f = 1, u, u², u³, exactly representable, against a fine reference.
    u = np.linspace(0, 1, 9)
    found = picard.kernel(8, stiffness, torch.zeros(1, dtype=torch.float64))
    for power in range(4):
        fine = np.linspace(0, 1, 20001)
        root = np.emath.sqrt(stiffness)
        for i in (3, 8):
            w = fine * u[i]
            weight = u[i] - w if stiffness == 0 else np.real(np.sinh(root * (u[i] - w)) / root)
            expected = np.trapezoid(weight * w**power, w)
            got = float(found.place[i] @ torch.from_numpy(u**power))
            assert got == pytest.approx(expected, abs=1e-8)
        assert float(found.integral[-1] @ torch.from_numpy(u**power)) == pytest.approx(
            1 / (power + 1)
        )


@pytest.mark.parametrize("ball", [Sphere(2.0), SHELL], ids=["sphere", "shell"])
def test_the_manifolds_own_geodesic_is_a_fixed_point_of_the_sweeps(ball):
    start = ball.projx(torch.tensor([[1.0, 1.0, 0.2, -0.5]], dtype=torch.float64))
    v = ball.proju(start, torch.tensor([[3.0, -1.0, 2.0, 4.0]], dtype=torch.float64)) * 3
    field = Medium(lambda x, u: torch.zeros_like(x), 0.5, ball)
    sheet = picard.open_sheet(start, v, 16, field)
    again = picard.sweep(picard.ask(sheet, picard.stale(sheet, 1e-6), field), field)
    torch.testing.assert_close(again.x, sheet.x, rtol=0, atol=1e-13)
    assert float(v.norm()) > math.pi * 2  # more than half the way round
