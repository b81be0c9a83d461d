"""The fast optimizer where the geodesic is known: how near, how many evaluations, how it ends."""

from __future__ import annotations

import copy
import io
import itertools
import math
from functools import cache, partial

import numpy as np
import pytest
import torch
from known import FLAT, exact_problem, random_mixture

from geodesic_lightning.errors import UserError
from geodesic_lightning.geometry.manifold import Sphere
from geodesic_lightning.models.exact import DENSITIES, density, reference
from geodesic_lightning.models.exact.curve_length import curve_length
from geodesic_lightning.optimizers import semi_implicit
from geodesic_lightning.optimizers.semi_implicit import SemiImplicit, levels
from geodesic_lightning.optimizers.solve import solve

every = pytest.mark.parametrize("name", [*DENSITIES])
smooth = [name for name in DENSITIES if name != "sphere_cloud"]
random = {
    f"random {seed}": random_mixture(
        seed, 3 + seed % 3, Sphere(1.0) if seed % 2 else FLAT, alpha=(0.3, 1.0, 2.0)[seed % 3]
    )
    for seed in range(12)
}


def standard(name):
    return random[name] if name in random else density(name)


def run(name, segments=16, dtype=torch.float64, bound=True, alpha=None, **options):
    problem = exact_problem(standard(name), segments, alpha, dtype)
    if not bound:
        problem.score.curvature_bound = None
    return problem, solve(problem, partial(SemiImplicit, **options), segments)


def length(name, problem):
    return curve_length(standard(name), problem.path.points().double())


def excess(name, problem):
    """The exact length of the spline through the nodes, against the known geodesic's."""
    return length(name, problem) / reference(name).length - 1


@cache
def converged_length(name):
    """Of the discrete geodesic of 16 segments, solved to the last digits."""
    problem, made = run(name, mode="fast", tolerance=1e-13, iterations=400)
    assert made.converged
    return length(name, problem)


class Noisy:
    """An exact score under noise of a given part of its size, drawn anew at each call."""

    stochastic = True

    def __init__(self, name, level, seed):
        self.density, self.level, self.seed = standard(name), level, seed
        self.curvature_bound = 1 / self.density.sigma**2

    def __call__(self, x, u, draw):
        exact = self.density.score(x)
        if draw is None:
            return exact
        generator = torch.Generator().manual_seed(1000 * self.seed + draw)
        noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
        return exact + self.level * exact.norm() / exact.numel() ** 0.5 * noise


def run_noisy(name, level, seed, **options):
    problem = exact_problem(standard(name), score=Noisy(name, level, seed))
    return problem, solve(problem, partial(SemiImplicit, **options), 16)


class TestExactProblems:
    @every
    def test_reaches_the_known_geodesic_within_the_budget(self, name):
        problem, made = run(name)
        assert made.converged
        assert problem.evaluations <= 130
        assert problem.evaluations == problem.score.model.evaluations
        # Sixteen segments of the roughest density do not resolve it: its own discrete geodesic
        # is a few 1e-4 too long.
        assert -1e-6 < excess(name, problem) < (5e-3 if name == "sphere_cloud" else 1e-3)

    @every
    def test_a_curvature_bound_is_not_needed(self, name):
        problem, made = run(name, bound=False)
        assert made.converged
        assert problem.evaluations <= (160 if name == "sphere_cloud" else 130)
        assert excess(name, problem) < (5e-3 if name == "sphere_cloud" else 1e-3)

    @every
    def test_float32_reaches_the_tolerance_too(self, name):
        problem, made = run(name, dtype=torch.float32)
        assert problem.path.nodes.dtype == torch.float32
        assert made.converged
        assert problem.evaluations <= 130
        assert excess(name, problem) < (5e-3 if name == "sphere_cloud" else 1e-3)

    @pytest.mark.parametrize("segments", [2, 3, 5, 7, 10, 16, 17, 32, 50])
    @pytest.mark.parametrize("name", ["gaussian", "ring", "tube_64"])
    def test_any_number_of_segments(self, name, segments):
        problem, made = run(name, segments)
        assert problem.path.segments == segments
        assert made.converged or segments < 10  # fewer do not resolve it to 1e-4
        assert made.report["predicted_excess"] < 1e-4
        if segments >= 5:  # the order is two in the nodes, four in the length
            assert excess(name, problem) < 1e-4 + 60 * segments**-4
        steps = (problem.path.points()[1:] - problem.path.points()[:-1]).norm(dim=-1)
        assert (steps / steps.mean() - 1).abs().max() < 0.05

    @pytest.mark.parametrize("segments", [32, 64])
    def test_more_segments_cost_only_a_few_sweeps_more(self, segments):
        coarse, fine = run("tube_64")[0], run("tube_64", segments)[0]
        doublings = round(math.log2(segments / 16))
        assert fine.evaluations <= coarse.evaluations + 3 * 2 * segments * min(doublings, 1)
        assert fine.rng_step <= coarse.rng_step + 3 * doublings


class TestTolerance:
    @pytest.mark.parametrize("name", [*DENSITIES, *random])
    @pytest.mark.parametrize("tolerance", [1e-2, 1e-3, 1e-4, 1e-5])
    def test_is_the_most_that_is_left_of_the_excess(self, name, tolerance):
        problem, made = run(name, tolerance=tolerance, iterations=60)
        assert made.converged
        # Two: a direction much softer than the shift, as near a conjugate point, is underrated
        # until Anderson's history has seen it; a first evaluation may already end the level.
        assert length(name, problem) / converged_length(name) - 1 < 2 * tolerance

    @pytest.mark.parametrize("name", ["ring", "tube_1024", "cloud_64"])
    def test_a_smaller_one_costs_more(self, name):
        spent = [run(name, tolerance=t)[0].evaluations for t in (1e-2, 1e-4, 1e-6)]
        assert spent == sorted(spent)

    def test_too_few_iterations_do_not_pretend(self):
        problem, made = run("mixture", iterations=1, coarse_iterations=1, tolerance=1e-8)
        assert made.finished
        assert not made.converged
        assert made.report["predicted_excess"] > 1e-8
        assert problem.evaluations == 2 + 2 * (3 + 7 + 15)

    @pytest.mark.parametrize("tolerance", [0, -1e-3, math.nan])
    def test_has_to_be_a_number_above_zero(self, tolerance):
        with pytest.raises(UserError, match=r"optimizer\.tolerance"):
            run("ring", tolerance=tolerance)


class TestSafeMode:
    @pytest.mark.parametrize("name", [*DENSITIES, *random])
    def test_the_length_never_grows(self, name, monkeypatch):
        # One level, from the straight start: refining is no step. What grows at the very end is
        # the discrete path's own error, N^-4 = 1e-6 at 32 segments.
        monkeypatch.setattr(semi_implicit, "levels", lambda segments: [segments])
        problem = exact_problem(standard(name), 32)
        made = SemiImplicit(problem.path, 32, mode="safe", tolerance=1e-6, iterations=60)
        lengths = []
        while not made.finished:
            made.prepare()
            made.step(problem.evaluate().legs[0])
            lengths.append(length(name, problem))
        assert made.converged
        assert (np.diff(lengths) < 1e-6 * lengths[-1]).all()

    @every
    def test_reaches_the_same_geodesic(self, name):
        problem, made = run(name, mode="safe", iterations=60)
        assert made.converged
        assert excess(name, problem) < (5e-3 if name == "sphere_cloud" else 1e-3)

    def test_is_the_fast_mode_without_memory_at_the_full_shift(self):
        safe = run("ring", mode="safe")[0].path.points()
        problem = exact_problem("ring")
        problem.score.curvature_bound *= 2  # the fast mode halves it
        solve(problem, partial(SemiImplicit, mode="fast", memory=0), 16)
        assert torch.equal(safe, problem.path.points())


class TestNoisyMode:
    # Noise of a relative size ν leaves an excess of order ν²; expected are 0.1 to 2 %.
    @pytest.mark.parametrize("name", smooth)
    @pytest.mark.parametrize(("level", "most"), [(0.1, 1e-3), (0.3, 2e-3), (1.0, 2e-2)])
    @pytest.mark.parametrize("seed", range(2))
    def test_averages_the_noise_away(self, name, level, most, seed):
        problem, made = run_noisy(name, level, seed, mode="noisy")
        assert made.finished
        assert not made.converged  # what is random meets no tolerance
        assert excess(name, problem) < most
        assert problem.evaluations == 2 + 16 * 3 + 24 * 15  # 408 and the ends

    def test_the_roughest_is_solved_up_to_thirty_per_cent(self):
        problem, _ = run_noisy("sphere_cloud", 0.3, 0, mode="noisy")
        assert excess("sphere_cloud", problem) < 5e-3

    @pytest.mark.parametrize("name", ["ring", "tube_64", "sphere_cloud"])
    @pytest.mark.parametrize("level", [0.05, 0.3, 1.0])
    def test_auto_finds_noise_by_one_batch_more(self, name, level):
        problem, made = run_noisy(name, level, 0)
        assert made.parts[0].noisy
        assert problem.evaluations == 2 + 16 * 3 + 24 * 15 + 3

    @pytest.mark.parametrize("name", ["ring", "tube_64", "sphere_cloud"])
    def test_auto_stays_fast_at_one_per_cent(self, name):
        problem, made = run_noisy(name, 0.01, 0)
        assert not made.parts[0].noisy
        assert excess(name, problem) < (5e-3 if name == "sphere_cloud" else 1e-3)

    def test_a_sure_score_is_not_evaluated_twice(self):
        problem, made = run("ring")
        assert not made.parts[0].noisy
        assert problem.evaluations == run("ring", mode="fast")[0].evaluations

    def test_the_answer_is_the_mean_of_the_later_half(self):
        problem = exact_problem("ring", score=Noisy("ring", 0.5, 0))
        made = SemiImplicit(problem.path, 16, mode="noisy")
        seen = []
        while not made.finished:
            made.prepare()
            made.step(problem.evaluate().legs[0])
            latest = problem.latest.legs[0]
            if len(latest.points) == 17:
                seen.append(latest.points)
        assert len(seen) == 24
        torch.testing.assert_close(problem.path.points(), torch.stack(seen[12:]).mean(0))


class TestStates:
    @pytest.mark.parametrize("name", ["ring", "sphere_cloud"])
    def test_without_density_the_start_is_the_answer(self, name):
        problem, made = run(name, alpha=0.0)
        assert made.converged
        # One look at each level suffices. Resampling puts nodes at equal distances to 1e-6.
        assert problem.evaluations == 2 + 3 + 7 + 15
        away = (problem.path.points() - problem.path.baseline(16)).norm(dim=-1).max()
        assert away < 1e-5 * standard(name).ends.norm(dim=-1).max()

    @pytest.mark.parametrize("mode", ["fast", "safe", "noisy"])
    @pytest.mark.parametrize("steps", [1, 4, 8])
    @pytest.mark.parametrize("bound", [True, False])
    def test_a_resumed_run_is_the_run_that_never_stopped(self, mode, steps, bound):
        def make():
            problem = exact_problem("tube_64", score=Noisy("tube_64", 0.05, 0))
            problem.score.curvature_bound = 25.0 if bound else None
            options = {"mode": mode, "tolerance": 1e-6, "iterations": 12}
            return problem, SemiImplicit(problem.path, 16, **options)

        def step(problem, made):
            made.prepare()
            made.step(problem.evaluate().legs[0])

        problem, made = make()
        for _ in range(steps):
            step(problem, made)
        file = io.BytesIO()
        path = problem.path.state_dict()
        torch.save([path, made.state_dict(), problem.state_dict()], file)
        other, resumed = make()
        file.seek(0)
        path, state, counts = torch.load(file, weights_only=True)
        other.path.load_state_dict(path)
        resumed.load_state_dict(state)
        other.load_state_dict(counts)
        for each in ((problem, made), (other, resumed)):
            while not each[1].finished:
                step(*each)
        assert torch.equal(problem.path.points(), other.path.points())
        assert problem.evaluations == other.evaluations
        assert made.report == resumed.report

    def test_the_same_run_twice_is_the_same_to_the_last_bit(self):
        assert torch.equal(*(run("cloud_64")[0].path.points() for _ in range(2)))

    @pytest.mark.parametrize("when", [0, 2, 6])
    def test_nodes_are_kept_when_the_score_breaks(self, when):
        problem = exact_problem("ring")
        exact, calls, good = problem.score.model.score, [], []

        def broken(x):
            calls.append(len(x))
            return exact(x) * (math.nan if len(calls) > when + 1 else 1)

        problem.score.model.score = broken
        with pytest.raises(UserError, match="NaN or infinite"):
            solve(problem, lambda *a, **k: _Watched(good, *a, **k), 16)
        points = problem.path.points()
        assert torch.isfinite(points).all()
        if good:
            assert torch.equal(points, good[-1])

    def test_reports_every_decision(self):
        problem = exact_problem("ring")
        made = SemiImplicit(problem.path, 16)
        reports = []
        while not made.finished:
            made.prepare()
            made.step(problem.evaluate().legs[0])
            reports.append(copy.copy(made.report))
        keys = {"level", "iteration", "residual_norm", "predicted_excess", "shift"}
        keys.add("excess_of_pieces")
        assert all(set(report) == keys for report in reports)
        assert all(math.isfinite(value) for report in reports for value in report.values())
        assert sorted({report["level"] for report in reports}) == [4, 8, 16]
        assert reports[-1]["predicted_excess"] < 1e-4
        for level in (4, 8, 16):
            count = [r["iteration"] for r in reports if r["level"] == level]
            assert count == list(range(len(count)))

    def test_a_step_is_capped_at_the_trusted_part_of_the_path(self):
        problem = exact_problem("mixture", alpha=30.0)
        made = SemiImplicit(problem.path, 16, trust=0.05)
        for _ in range(3):
            made.prepare()
            made.step(problem.evaluate().legs[0])
            latest = problem.latest.legs[0]
            before, after = latest.points, problem.path.points()
            if len(before) == len(after):
                most = 0.05 * 4 * float(latest.residual.spacing)
                assert (after - before).norm(dim=-1).max() <= most * (1 + 1e-9)

    @pytest.mark.parametrize("name", ["sphere_cloud", "random 1"])
    def test_nodes_stay_on_the_sphere_and_ends_where_they_were(self, name):
        problem, _ = run(name)
        points = problem.path.points()
        torch.testing.assert_close(problem.manifold.projx(points), points, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(points[[0, -1]], standard(name).ends, rtol=1e-12, atol=1e-12)


class _Watched(SemiImplicit):
    """Keeps the points of every evaluation that went well."""

    def __init__(self, good, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.good = good

    def step(self, evaluation):
        super().step(evaluation)
        self.good.append(evaluation.points)


@pytest.mark.parametrize("segments", range(2, 70))
def test_levels_rise_to_the_segments_asked_for(segments):
    found = levels(segments)
    assert found[-1] == segments
    assert all(fine in (2 * coarse, 2 * coarse - 1) for coarse, fine in itertools.pairwise(found))
    assert found[0] >= 4 or found == [segments]
    assert found[0] <= 7


def test_sixteen_segments_begin_at_four():
    assert levels(16) == [4, 8, 16]


def test_refuses_what_it_cannot_do():
    problem = exact_problem("ring")
    with pytest.raises(UserError, match=r"solver\.segments.*at least 2"):
        SemiImplicit(problem.path, 1)
    with pytest.raises(UserError, match=r"optimizer\.mode.*auto, fast, safe, noisy"):
        SemiImplicit(problem.path, 16, mode="quick")
