"""Samplers on a Gaussian, whose flow is known in closed form, and against diffusers' own.

Data N(m, c²): x_t is N(√ᾱ m, ᾱc² + σ²), ε(x, t) = σ(x − √ᾱ m)/(ᾱc² + σ²), and the flow keeps
(x − √ᾱ m)/√(ᾱc² + σ²).
"""

from __future__ import annotations

import diffusers
import pytest
import tiny
import torch
from known import order

from geodesic_lightning.errors import UserError
from geodesic_lightning.models import samplers as ode
from geodesic_lightning.models.diffusion import noise_schedule as levels
from geodesic_lightning.models.scheduler import Scheduler

MEAN, WIDTH = 0.7, 0.4
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
@pytest.mark.parametrize(("sampler", "rate"), [("ddim", 1), ("heun", 2), ("dpm_solver", 2)])
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
    assert rate - 0.25 < order(counts, errors) < rate + 0.5
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
    [("ddim", 0, 12, 12), ("ddim", 3, 48, 12), ("dpm_solver", 0, 12, 12), ("heun", 0, 24, 24)],
)
def test_passes(sampler, iterations, up, down):
    rungs, noise = ladder(DIFFUSION, 20), Counted(gaussian(DIFFUSION))
    x = ode.climb(sampler, noise, points(), rungs, iterations)
    assert len(noise.calls) == up
    noise.calls.clear()
    ode.descend(sampler, noise, x, rungs)
    assert len(noise.calls) == down


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

    @pytest.mark.parametrize(
        ("options", "said"),
        [
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
