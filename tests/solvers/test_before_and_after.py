"""Both sides of "length 3.2 → 2.9" are one quantity, whatever the solver: the start's is known for straight lines."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from geodesic_lightning import extrapolate, interpolate, mean, through
from geodesic_lightning.models.exact import ExactModel, density
from geodesic_lightning.report import run_page, summary_rows

ALPHA = 0.3
STOPS = torch.tensor([[2.0, 0.0], [0.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
GIVEN = STOPS.tolist()


def straight(*points: torch.Tensor, unit: torch.Tensor) -> float:
    """Length of straight lines through the points where p(unit) = 1: by the midpoints of 20,000 pieces."""
    gaussian, total = density("gaussian"), 0.0
    u = (torch.arange(20_000, dtype=torch.float64)[:, None] + 0.5) / 20_000
    for a, b in pairwise(points):
        rise = gaussian.log_density(torch.lerp(a, b, u)) - gaussian.log_density(unit[None])
        total += float((b - a).norm() * torch.exp(-ALPHA * rise).mean())
    return total


def solved(kind: str):
    settings = {"model": ExactModel("gaussian"), "alpha": ALPHA, "frames": 3}
    if kind == "bvp":
        return interpolate(*GIVEN[:2], **settings)
    if kind == "keyframes":
        return through(GIVEN, **settings)
    if kind == "loop":
        return through(GIVEN, closed=True, rounding=0, **settings)
    if kind == "mean":
        return mean(GIVEN, **settings)
    return extrapolate(*GIVEN[:2], length=0.5, **settings)


def first(kind: str) -> float:
    a, b, c = STOPS
    centre = STOPS.mean(0)
    return {
        "bvp": lambda: straight(a, b, unit=a),
        "keyframes": lambda: straight(a, b, c, unit=a),
        "loop": lambda: straight(a, b, c, a, unit=a),
        "mean": lambda: sum(straight(x, centre, unit=a) for x in STOPS),
        "ivp": lambda: straight(a, (a + b) / 2, unit=a),
    }[kind]()


@pytest.mark.parametrize("kind", ["bvp", "keyframes", "loop", "mean", "ivp"])
def test_the_length_before_is_that_of_the_path_solving_began_from(kind):
    solution = solved(kind)
    before, after = first(kind), solution.summary["length"]
    assert solution.summary["length_start"] == pytest.approx(before, rel=1e-4)
    for said in (summary_rows.rows, run_page.rows):
        told, _, _ = dict(said(solution.summary))["length"].partition(" ± ")
        assert told == f"{before:.4g} → {after:.4g}"
    # What is logged at each step ends at what is said of the outcome, but for the trapezoid rule.
    if kind != "keyframes":  # whose corners are rounded after the last step
        assert solution.history[-1]["length"] == pytest.approx(after, rel=0.02)


def test_the_length_after_is_of_all_that_the_length_before_is_of():
    """Of a mean: the sum of its distances, each by a solve of its own, in the first image's unit."""
    solution, gaussian = solved("mean"), density("gaussian")
    centre = solution.nodes[-1].double()
    rises = gaussian.log_density(STOPS) - gaussian.log_density(STOPS[:1])
    total = 0.0
    for stop, rise in zip(STOPS, rises.tolist()):
        leg = interpolate(
            stop.tolist(), centre.tolist(), model=ExactModel("gaussian"), alpha=ALPHA, frames=2
        )
        total += leg.length * math.exp(-ALPHA * rise)
    assert solution.summary["length"] == pytest.approx(total, rel=1e-3)


@pytest.mark.parametrize("solver", ["lerp", "clip"])
def test_what_was_not_solved_has_no_length_before(geodesic, tmp_path, solver):
    np.save(tmp_path / "clip.npy", np.linspace(*GIVEN[:2], 9))
    ends = ("data=points", "data.start=[2,0]", "data.end=[0,1]")
    film = ("data=clip_points", f"data.path={tmp_path}/clip.npy")
    run = geodesic(
        *("model=exact", "model.density=gaussian", f"solver={solver}"),
        *(film if solver == "clip" else ends),
        *("callbacks=log", "logger=csv", "solver.frames=3"),
    )
    assert run.code == 0, run.err
    assert "→" not in run.out


@pytest.mark.parametrize("solver", ["bvp", "mean"])
def test_logs_say_the_length_before_as_well(geodesic, solver):
    points = "[" + ",".join(f"[{x},{y}]" for x, y in GIVEN) + "]"
    run = geodesic(
        *("model=exact", "model.density=gaussian", f"solver={solver}", "solver.alpha=0.3"),
        *("data=keyframe_points", f"data.points={points}", "callbacks=none", "solver.frames=3"),
    )
    summary = json.loads((run.folder / "summary.json").read_text())
    assert summary["metrics"]["final/length"] == pytest.approx(summary["length"], rel=1e-6)
    assert summary["metrics"]["final/length_start"] == pytest.approx(
        first("keyframes" if solver == "bvp" else "mean"), rel=1e-4
    )
