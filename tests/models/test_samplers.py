"""Samplers on a Gaussian, whose flow is known in closed form, and against diffusers' own.

Data N(m, c²): x_t is N(√ᾱ m, ᾱc² + σ²), ε(x, t) = σ(x − √ᾱ m)/(ᾱc² + σ²), and the flow keeps
(x − √ᾱ m)/√(ᾱc² + σ²).
"""

from __future__ import annotations

import diffusers
import numpy as np
import pytest
import tiny
import torch
from known import order
from scipy.integrate import quad

from geodesic_lightning.errors import UserError
from geodesic_lightning.models import grid, multistep
from geodesic_lightning.models import samplers as ode
from geodesic_lightning.models.diffusion import noise_schedule as levels
from geodesic_lightning.models.level import Level
from geodesic_lightning.models.scheduler import Scheduler

MEAN, WIDTH = 0.7, 0.4
KARRAS = {"sampler": "multistep", "grid": "karras"}
DIFFUSION = levels.of_scheduler(tiny.scheduler())
FLOW = levels.of_scheduler(diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0))
KINDS = {"diffusion": DIFFUSION, "flow": FLOW}


def standardised(x, level):
    return (x - level.signal * MEAN) / (level.signal**2 * WIDTH**2 + level.sigma**2) ** 0.5


def gaussian(which):
    """ε(x, t) at the timesteps of a table of levels."""

    def noise(x, t):
        level = which.at(t)
        return level.sigma * (x - level.signal * MEAN) / variance(level)

    return noise


def variance(level):
    return level.signal**2 * WIDTH**2 + level.sigma**2


def wavy(which):
    """A smooth ε that no sampler integrates exactly."""
    plain = gaussian(which)
    return lambda x, t: plain(x, t) + 0.2 * torch.sin(2 * x)


def points():
    return torch.linspace(-1, 2, 7, dtype=torch.float64)[:, None]


def ladder(which, steps, level=0.6, sampler="ddim"):
    return which.ladder(Scheduler(sampler, steps, level).timesteps(which))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("sampler", "rate"), [("ddim", 1), ("heun", 2), ("dpm_solver", 2), ("multistep", 3)]
)
@pytest.mark.parametrize("way", ["up", "down"])
def test_samplers_reach_the_closed_form_at_their_order(kind, sampler, rate, way):
    which, counts, errors = KINDS[kind], (25, 50, 100, 200), []
    for steps in counts:
        # From a first level that is the same for all, so that only the grid between is refined.
        inner = [100 + round(k * 480 / steps) for k in range(steps + 1)]
        rungs = [which.at(t) for t in inner]
        x = points()
        ends = rungs if way == "up" else rungs[::-1]
        start = standardised(x, ends[0])
        go = ode.climb if way == "up" else ode.descend
        found = standardised(go(sampler, gaussian(which), x, rungs), ends[-1])
        errors.append(float((found - start).abs().max()))
    # With the corrector errors of the third order go through zero at one of the counts.
    most = rate + (1 if sampler == "multistep" else 0.5)
    assert rate - 0.25 < order(counts, errors) < most
    assert errors[-1] < (0.03 if rate == 1 else 1e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sampler", ode.SAMPLERS)
def test_the_usual_steps_come_close_to_the_closed_form(kind, sampler):
    rungs, x = ladder(KINDS[kind], 50, sampler=sampler), points()
    noise = gaussian(KINDS[kind])
    up = ode.climb(sampler, noise, x, rungs)
    assert (standardised(up, rungs[-1]) - standardised(x, rungs[0])).abs().max() < 0.25
    assert (ode.descend(sampler, noise, up, rungs) - x).abs().max() < 0.2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sampler", ode.INVERTIBLE)
def test_fixed_points_are_undone_by_the_way_down(kind, sampler):
    rungs, x, noise = ladder(KINDS[kind], 20), points(), wavy(KINDS[kind])
    errors = [
        float(
            (ode.descend(sampler, noise, ode.climb(sampler, noise, x, rungs, k), rungs) - x).norm()
        )
        for k in (0, 2, 5, 40)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-10 * errors[0] if kind == "diffusion" else errors[-1] < 1e-3 * errors[0]


class Counted:
    def __init__(self, noise):
        self.noise, self.calls = noise, []

    def __call__(self, x, t):
        self.calls.append(t)
        return self.noise(x, t)


@pytest.mark.parametrize(
    ("sampler", "iterations", "up", "down"),
    [
        ("ddim", 0, 12, 12),
        ("ddim", 3, 48, 12),
        ("dpm_solver", 0, 12, 12),
        ("heun", 0, 24, 24),
        ("multistep", 0, 12, 12),
    ],
)
def test_passes(sampler, iterations, up, down):
    rungs, noise = ladder(DIFFUSION, 20), Counted(gaussian(DIFFUSION))
    x = ode.climb(sampler, noise, points(), rungs, iterations)
    assert len(noise.calls) == up
    noise.calls.clear()
    ode.descend(sampler, noise, x, rungs)
    assert len(noise.calls) == down


class TestMultistep:
    """ε̄ by its definition, and its order where the levels may stand anywhere."""

    @pytest.mark.parametrize("degree", [0, 1, 2, 3])
    @pytest.mark.parametrize(
        ("here", "there"), [(0.5, 0.9), (4.0, 0.03), (0.03, 3.0), (1.0, 1.001)]
    )
    def test_weights_integrate_polynomials_in_log_sigma(self, degree, here, there):
        ratios = [here * (there / here) ** s for s in (-0.9, -0.4, 0, 1)]
        found = multistep.weights(ratios, here, there)

        def power(ratio):
            return (np.log(ratio / here) / np.log(there / here)) ** degree

        exact = quad(power, here, there, epsabs=1e-13)[0] / (there - here)
        assert sum(found) == pytest.approx(1, abs=1e-12)
        assert float(np.dot(found, power(np.array(ratios)))) == pytest.approx(exact, abs=1e-9)

    @pytest.mark.parametrize("way", ["up", "down"])
    @pytest.mark.parametrize(
        ("steps_order", "corrector", "rate"),
        [(2, False, 2), (3, False, 3), (2, True, 3), (3, True, 4)],
    )
    def test_order(self, way, steps_order, corrector, rate):
        """Steps that grow from 1/n² on: the first one, by Euler's rule, is no hindrance."""
        counts, errors = (32, 64, 128, 256), []
        first, last = (0.05, 5.0) if way == "up" else (5.0, 0.05)
        for n in counts:
            rungs = [at(k, first * (last / first) ** (k / n) ** 2) for k in range(n + 1)]
            noise = lambda x, t, rungs=rungs: exact(x, rungs[t])  # noqa: E731
            end = multistep.walk(noise, points(), rungs, steps_order, corrector)
            gap = standardised(end, rungs[-1]) - standardised(points(), rungs[0])
            errors.append(float(gap.abs().max()))
        assert rate - 0.35 < order(counts, errors) < rate + 0.6

    @pytest.mark.parametrize("corrector", [False, True])
    def test_one_step_is_eulers(self, corrector):
        rungs, x = [DIFFUSION.at(301), DIFFUSION.at(401)], points()
        found = multistep.walk(gaussian(DIFFUSION), x, rungs, 3, corrector)
        euler = ode.advance(x, gaussian(DIFFUSION)(x, 301), *rungs)
        torch.testing.assert_close(found, euler, rtol=1e-12, atol=1e-12)

    def test_two_steps_by_hand(self):
        """The second evaluation corrects the first step, and both make the second one."""
        a, b, c = rungs = [DIFFUSION.at(t) for t in (101, 301, 401)]
        noise, x = wavy(DIFFUSION), points()
        first = noise(x, 101)
        second = noise(ode.advance(x, first, a, b), 301)

        def line(here, there):
            slope = (second - first) / np.log(b.ratio / a.ratio)
            # ∫ log(ς/ς_a) dς = ς (log(ς/ς_a) − 1)
            ends = [r * (np.log(r / a.ratio) - 1) for r in (here.ratio, there.ratio)]
            return first + slope * (ends[1] - ends[0]) / (there.ratio - here.ratio)

        middle = ode.advance(x, line(a, b), a, b)
        expected = ode.advance(middle, line(b, c), b, c)
        torch.testing.assert_close(multistep.walk(noise, x, rungs, 3), expected)

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("steps_order", [2, 3])
    def test_there_and_back(self, kind, steps_order):
        """Ten evaluations each way: closer on the path than Heun's ten on the even grid."""
        which, x = KINDS[kind], points()
        rungs = which.ladder(Scheduler(steps=16, **KARRAS).timesteps(which))
        assert len(rungs) == 11
        up = ode.climb("multistep", gaussian(which), x, rungs, 0, steps_order)
        back = ode.descend("multistep", gaussian(which), up, rungs, steps_order)
        goal = standardised(x, rungs[0])
        miss = (standardised(up, rungs[-1]) - goal).norm()
        assert miss < 0.01 * goal.norm()
        assert (back - x).norm() < 0.02 * x.norm()
        even = ladder(which, 8)
        heun = ode.climb("heun", gaussian(which), x, even)
        assert miss < 0.5 * (standardised(heun, even[-1]) - goal).norm()

    def test_out_of_no_noise_and_into_it(self):
        """From ς = 0 by the mean of the ε at both ends; back by the ε before."""
        rungs, x = FLOW.ladder([101, 201]), points()
        noise = wavy(FLOW)
        first = noise(x, 0)
        second = noise(ode.advance(x, first, *rungs[:2]), 101)
        middle = ode.advance(x, (first + second) / 2, *rungs[:2])
        expected = ode.advance(middle, second, *rungs[1:])
        torch.testing.assert_close(multistep.walk(noise, x, rungs, 2), expected)
        down = [FLOW.at(101), rungs[0]]
        last = ode.advance(x, noise(x, 101), *down)
        assert torch.equal(multistep.walk(noise, x, down, 3), last)


def at(k, ratio):
    """The level of ς, with k in place of a timestep."""
    signal = (1 + ratio**2) ** -0.5
    return Level(k, signal, ratio * signal)


def exact(x, level):
    return level.sigma * (x - level.signal * MEAN) / variance(level)


@pytest.mark.filterwarnings("ignore:__array_wrap__ must:DeprecationWarning")  # theirs
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # theirs
class TestAgainstDiffusers:
    def test_ddim(self):
        config, x, noise = tiny.scheduler().config, points(), wavy(DIFFUSION)
        rungs = ladder(DIFFUSION, 50)
        up = diffusers.DDIMInverseScheduler.from_config(config)
        up.set_timesteps(50)
        y = x
        for t in up.timesteps[:30]:
            y = up.step(noise(y, int(t)), t, y).prev_sample
        torch.testing.assert_close(ode.climb("ddim", noise, x, rungs), y, rtol=1e-5, atol=1e-5)
        down = diffusers.DDIMScheduler.from_config(config)
        down.set_timesteps(50)
        z = y
        for t in down.timesteps[-30:]:
            z = down.step(noise(z, int(t)), t, z).prev_sample
        torch.testing.assert_close(ode.descend("ddim", noise, y, rungs), z, rtol=1e-5, atol=1e-5)

    def test_dpm_solver(self):
        rungs, x, noise = ladder(DIFFUSION, 20), points(), wavy(DIFFUSION)
        theirs = diffusers.DPMSolverMultistepScheduler.from_config(
            tiny.scheduler().config, final_sigmas_type="sigma_min", lower_order_final=False
        )
        theirs.set_timesteps(timesteps=[level.t for level in rungs[:0:-1]])
        y = x
        for t in theirs.timesteps:
            y = theirs.step(noise(y, int(t)), t, y).prev_sample
        ours = ode.descend("dpm_solver", noise, x, rungs)
        torch.testing.assert_close(ours, y, rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize("steps_order", [2, 3])
    @pytest.mark.parametrize("way", ["down", "up"])
    def test_deis(self, steps_order, way):
        """The predictor is theirs; they have no grid of timesteps to give, so theirs is put in."""
        rungs, x, noise = ladder(DIFFUSION, 20), points(), wavy(DIFFUSION)
        rungs = rungs if way == "up" else rungs[::-1]
        theirs = diffusers.DEISMultistepScheduler.from_config(
            tiny.scheduler().config, solver_order=steps_order, lower_order_final=False
        )
        found = multistep.walk(noise, x, rungs, steps_order, corrector=False)
        torch.testing.assert_close(found, walked(theirs, noise, x, rungs), rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize("way", ["down", "up"])
    def test_unipc(self, way):
        """Of order 3 predictor and corrector are theirs, from the third step on: before, they round
        coefficients to 1/2. So the first two steps are short."""
        x = points()
        ratios = [0.05, 0.0501, 0.0502, 0.08, 0.15, 0.3, 0.5, 0.9, 1.5, 2.0]
        if way == "down":
            ratios = [2.0, 1.999, 1.998, 1.5, 0.9, 0.5, 0.3, 0.15, 0.08, 0.05]
        rungs = [at(k, ratio) for k, ratio in enumerate(ratios)]

        def noise(x, t):
            return exact(x, rungs[t]) + 0.2 * torch.sin(2 * x)

        theirs = diffusers.UniPCMultistepScheduler.from_config(
            tiny.scheduler().config, solver_order=3, predict_x0=False, lower_order_final=False
        )
        found = multistep.walk(noise, x, rungs, 3)
        torch.testing.assert_close(found, walked(theirs, noise, x, rungs), rtol=1e-5, atol=1e-5)

    def test_heun(self):
        """Theirs walks in x/√ᾱ and ends at σ = 0; ours is compared one step before."""
        rungs, x, noise = ladder(DIFFUSION, 20)[1:], points(), wavy(DIFFUSION)
        theirs = diffusers.HeunDiscreteScheduler.from_config(
            tiny.scheduler().config, timestep_spacing="linspace"
        )
        theirs.set_timesteps(timesteps=[level.t for level in rungs[::-1]])
        y = x / rungs[-1].signal
        for t in theirs.timesteps[:-1]:
            signal = DIFFUSION.at(int(t)).signal
            y = theirs.step(noise(signal * y, int(t)), t, y).prev_sample
        ours = ode.descend("heun", noise, x, rungs) / rungs[0].signal
        torch.testing.assert_close(ours, y, rtol=1e-5, atol=1e-5)

    def test_the_flow_by_euler(self):
        """x' = r x in their coordinates; v = ε − z."""
        rungs, x, noise = ladder(FLOW, 20), points(), wavy(FLOW)
        shares = [float(FLOW.shares[level.t]) for level in rungs[:0:-1]]
        radius = [((1 - s) ** 2 + s**2) ** 0.5 for s in shares]
        theirs = diffusers.FlowMatchEulerDiscreteScheduler(shift=1.0)
        theirs.set_timesteps(sigmas=shares)
        y = radius[0] * x
        for t, level, r in zip(theirs.timesteps, rungs[:0:-1], radius):
            eps = noise(y / r, level.t)
            data = (y / r - level.sigma * eps) / level.signal
            y = theirs.step(eps - data, t, y).prev_sample
        ours = ode.descend("ddim", noise, x, rungs)
        torch.testing.assert_close(ours, y.double(), rtol=1e-5, atol=1e-5)


def walked(theirs, noise, x, rungs):
    """Their scheduler over a grid of ours."""
    theirs.set_timesteps(len(rungs) - 1)
    theirs.timesteps = torch.tensor([level.t for level in rungs[:-1]])
    theirs.sigmas = torch.tensor([level.ratio for level in rungs], dtype=torch.float64)
    for t in theirs.timesteps:
        x = theirs.step(noise(x, int(t)), t, x).prev_sample
    return x


class TestScheduler:
    def test_the_usual_ladder(self):
        assert Scheduler("ddim", 50).timesteps(DIFFUSION) == list(range(1, 582, 20))

    @pytest.mark.parametrize("steps", [5, 10, 20, 37, 50, 100, 250, 1000])
    def test_the_noise_level_does_not_depend_on_the_steps(self, steps):
        found = Scheduler("ddim", steps).timesteps(DIFFUSION)
        assert found[-1] == 581
        assert found == sorted(set(found))
        assert len(found) <= Scheduler("ddim", steps).climb

    @pytest.mark.parametrize(("level", "last"), [(0.02, 1), (0.5, 481), (0.8, 781), (1.0, 981)])
    def test_noise_levels(self, level, last):
        assert Scheduler("ddim", 50, level).timesteps(DIFFUSION)[-1] == last

    def test_the_ladder_of_the_documentation(self):
        """The grid for ten steps at ρ = 7."""
        ten = Scheduler(steps=17, rho=7.0, **KARRAS).timesteps(DIFFUSION)
        assert ten == [2, 8, 21, 50, 101, 177, 273, 380, 485, 581]

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("rho", [1.0, 4.0, 7.0])
    @pytest.mark.parametrize("steps", [2, 5, 16, 50, 300, 1000])
    @pytest.mark.parametrize("level", [0.02, 0.4, 0.6, 1.0])
    def test_karras(self, kind, rho, steps, level):
        """As many distinct timesteps as asked for, if there are so many, up to the even grid's τ."""
        which = KINDS[kind]
        if round(steps * level) < 1:
            return
        chosen = Scheduler(steps=steps, noise_level=level, rho=rho, **KARRAS)
        found = chosen.timesteps(which)
        assert found == sorted(set(found))
        assert found[0] >= 1
        assert found[-1] == Scheduler("ddim", 50, level).timesteps(which)[-1]
        assert len(found) == min(chosen.climb, found[-1])

    def test_karras_is_even_in_a_power_of_sigma(self):
        ratios = np.linspace(0.03, 5, 100_000)  # so fine that rounding does not show
        found = grid.karras(ratios, 99_999, 12, 4.0)
        steps = np.diff(ratios[[0, *found]] ** 0.25)
        assert steps == pytest.approx(np.full(12, steps.mean()), rel=1e-2)

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"sampler": "multistep", "iterations": 1}, "one of the samplers ddim, heun"),
            ({"grid": "uneven"}, "got 'uneven', expected one of even, karras"),
            ({"rho": 0.5}, "rho: got 0.5, expected at least 1"),
            ({"order": 4}, "order: got 4, expected 2 or 3"),
            ({"sampler": "DDIMScheduler"}, "expected one of ddim, heun, dpm_solver"),
            ({"noise_level": 0.0}, "above 0"),
            ({"noise_level": 1.5}, "at most 1"),
            ({"steps": 0}, "1 to 1000"),
            ({"steps": 1, "noise_level": 0.1}, "more steps"),
            ({"iterations": -1}, "at least 0"),
            ({"sampler": "dpm_solver", "iterations": 2}, "one of the samplers ddim, heun"),
        ],
    )
    def test_refuses(self, options, said):
        with pytest.raises(UserError, match=said):
            Scheduler(**options)
