"""Clips, keyframes and the mean on the command line, on an exact density; the shipped clips, slowly."""

from __future__ import annotations

import json

import numpy as np
import pytest

from geodesic_lightning.models.exact import reference

RING = ["model=exact", "model.density=ring"]
TRIANGLE = "data.points=[[1,0],[-0.5,0.8660254],[-0.5,-0.8660254]]"


def summary(outcome):
    assert outcome.code == 0, outcome.err
    return json.loads((outcome.folder / "summary.json").read_text(encoding="utf-8"))


def test_keyframes(geodesic):
    options = ["data=keyframe_points", TRIANGLE, "data.closed=true", "retime=metric_length"]
    done = geodesic(*RING, *options, "solver.frames=5", "solver.segments=8", "callbacks=video")
    said = summary(done)
    assert said["converged"]
    assert said["keyframes"]["u"] == pytest.approx([0, 1 / 3, 2 / 3, 1], abs=1e-3)
    assert len(list((done.folder / "frames").glob("*.png"))) == 5


def test_mean(geodesic):
    options = ["solver=mean", "data=keyframe_points", TRIANGLE, "solver.segments=4"]
    done = geodesic(*RING, *options, "solver.frames=4", "callbacks=video")
    assert np.ptp(summary(done)["mean"]["distances"]) < 0.05
    assert (done.folder / "mean.png").exists()


def test_clip(geodesic, tmp_path):
    np.save(tmp_path / "points.npy", reference("ring").nodes[::16].numpy())
    options = ["solver=clip", "data=clip_points", f"data.path={tmp_path / 'points.npy'}"]
    done = geodesic(*RING, *options, "callbacks=log")
    assert summary(done)["clip"]["verdict"] == "near"
    assert "near a geodesic" in (done.folder / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["solver=clip", "data=clip", "data.path=no.mp4"], "no.mp4 does not exist"),
        (["data=keyframes", "data.images=[a.png]"], "at least 2 files"),
        (["data=clip_even"], "got a clip, expected two images"),
        (
            [*RING, "solver=mean", "data=keyframe_points", "data.points=[[0,1]]"],
            "at least 2 points",
        ),
    ],
)
def test_errors_are_one_sentence(geodesic, overrides, said):
    done = geodesic(*overrides, "callbacks=none")
    assert done.code == 1
    assert said in done.err
    assert len(done.err.strip().splitlines()) == 1


@pytest.mark.slow
def test_shipped_clips_are_told_apart(geodesic):
    """The same drawings at another pace keep their length; the unlikely cat costs length and density."""
    said = {}
    for name in ("even", "uneven", "detour"):
        options = ["solver=clip", f"data=clip_{name}", "callbacks=log", f"hydra.run.dir={name}"]
        said[name] = summary(geodesic(*options))["clip"]
    assert said["uneven"]["pace_spread"] > 2 * said["even"]["pace_spread"]
    assert said["uneven"]["length"] == pytest.approx(said["even"]["length"], rel=0.2)
    assert said["detour"]["length"] > 1.15 * said["even"]["length"]
    lowest = said["detour"]["least_probable"]
    assert abs(lowest["frame"] / 24 - 0.6) < 0.15
    assert lowest["below"] > said["even"]["least_probable"]["below"] + 10
