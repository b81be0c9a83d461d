"""model=python: a file in the folder where the command runs, for every solver that exact densities have."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from geodesic_lightning import extrapolate, interpolate, mean, through
from geodesic_lightning.data.frames import points
from geodesic_lightning.errors import UserError
from geodesic_lightning.models.own import OwnModel
from geodesic_lightning.models.own.find import find

SOURCE = """
from pathlib import Path


def banana(x):
    stop = Path("stop")
    if stop.exists():
        left = stop.read_text()
        if not left:
            stop.unlink()
            raise KeyboardInterrupt
        stop.write_text(left[1:])
    return -(x[..., 0] ** 2) / 8 - (x[..., 1] - x[..., 0] ** 2 / 2 + 2) ** 2 / 0.18
"""
ENDS = ("data=points", "data.start=[-2.5,1.1]", "data.end=[2.5,1.1]")
STOPS = ("data=keyframe_points", "data.points=[[-2.5,1.1],[0,-2],[2.5,1.1]]")
PLAIN = ("logger=csv", "callbacks=log", "solver.frames=3")
names = itertools.count()


@pytest.fixture
def written(monkeypatch, tmp_path):
    """`written(source)` is the name of a new module in the folder where commands run."""

    def write(source: str = SOURCE) -> str:
        name = f"own_density_{next(names)}"
        (tmp_path / "place" / f"{name}.py").write_text(source)
        return name

    yield write
    for name in [name for name in sys.modules if name.startswith("own_density_")]:
        del sys.modules[name]


def said(folder: Path) -> dict:
    return json.loads((folder / "summary.json").read_text())


def test_a_run_draws_and_says_everything(geodesic, written):
    name = written()
    done = geodesic("model=python", f"model.target={name}.banana", *ENDS, "solver.frames=3")
    assert done.code == 0, done.err
    summary = said(done.folder)
    assert summary["converged"]
    assert summary["model"] == f"{name}.banana"
    assert summary["strength"] == pytest.approx(1.5)
    assert summary["length"] < 0.95 * summary["length_start"]
    assert {"picture.png", "strip.png", "report.html"} <= {f.name for f in done.folder.iterdir()}
    assert os.getcwd() not in sys.path


@pytest.mark.parametrize(
    "words",
    [
        ("solver=ivp", "solver.length=0.2", *ENDS),
        ("solver=mean", *STOPS),
        STOPS,
        ("solver=clip", "data=clip_points", "data.path=clip.csv"),
        ("solver=noise_diffusion", *ENDS),
    ],
    ids=["ivp", "mean", "keyframes", "clip", "noise_diffusion"],
)
@pytest.mark.slow
def test_with_every_solver(geodesic, written, words):
    name = written()
    rows = (f"{x / 4},{(x / 4) ** 2 / 2 - 2}" for x in range(-8, 9))
    Path("clip.csv").write_text("\n".join(rows))
    done = geodesic("model=python", f"model.target={name}.banana", *words, *PLAIN)
    assert done.code == 0, done.err
    assert 0 < said(done.folder)["length"] < 20


def test_a_run_that_was_stopped_ends_where_it_would_have_ended(geodesic, written):
    """Ctrl+C comes while somebody's density is asked for the tenth time."""
    name = written()
    drawn = ("~callbacks.curves", "~callbacks.picture", "~callbacks.table")
    words = ("model=python", f"model.target={name}.banana", *ENDS, *PLAIN, *drawn)
    often = "callbacks.checkpoint.every_n_seconds=0"
    whole = geodesic(*words, often, "hydra.run.dir=whole")
    Path("stop").write_text("." * 9)
    stopped = geodesic(*words, often, "hydra.run.dir=stopped")
    assert stopped.code == 130
    assert (stopped.folder / "checkpoints/last.ckpt").exists()
    assert not (stopped.folder / "summary.json").exists()
    resumed = geodesic("resume=stopped", "hydra.run.dir=resumed")
    assert whole.code == resumed.code == 0, resumed.err
    paths = [load_file(done.folder / "path.safetensors")["nodes"] for done in (whole, resumed)]
    assert torch.equal(*paths)


REFUSED = {
    "nowhere.banana": ("", "there is no module 'nowhere'"),
    "{}.apple": ("pear = len", "has no 'apple', expected one of pear"),
    "{}": ("", "is of type module, expected an object with log_density"),
    "{}.f": ("import not_there", "fails (ModuleNotFoundError: No module named 'not_there')"),
    "{}.g": ("def g(x:", "fails (SyntaxError: '(' was never closed"),
    "{}.h": ("raise SystemExit(0)", "fails (SystemExit: 0)"),
    "{}.wrong": ("def wrong(x): return x", "has the shape (2, 2) (float64), expected (2,)"),
    "a-b.c": ("", "expected a dotted name"),
}


@pytest.mark.parametrize("target", REFUSED)
def test_what_is_refused(geodesic, written, target):
    source, told = REFUSED[target]
    with pytest.raises(UserError) as refused:
        OwnModel(target.format(written(source))).encode(points([-2.5, 1.1], [2.5, 1.1]))
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_one_sentence_on_the_command_line(geodesic, written):
    broken, whole = written("import not_there"), written()
    for words, told in (
        ((f"model.target={broken}.f", *ENDS), "importing"),
        ((f"model.target={whole}.banana",), "expected points of the density"),
        (ENDS, "model.target is not set"),
    ):
        done = geodesic("model=python", *words, *PLAIN)
        assert done.code == 1
        assert told in done.err, done.err
        assert done.err.startswith("Error: ")
        assert done.err.count("\n") == 1
        assert not (done.folder / "summary.json").exists()


class TestFind:
    def test_what_is_installed_and_what_is_in_a_package(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "own_density_folder").mkdir()
        (tmp_path / "own_density_folder" / "inner.py").write_text("class A:\n    b = len\n")
        assert find("torch.distributions.Normal") is torch.distributions.Normal
        assert find("own_density_folder.inner.A.b") is len
        with pytest.raises(UserError, match=r"own_density_folder has no 'outer'"):
            find("own_density_folder.outer.A")

    @pytest.mark.slow
    def test_the_command_finds_it_from_any_folder(self, tmp_path):
        """`geodesic` is a script: the current folder is on nobody's path."""
        (tmp_path / "mine.py").write_text(SOURCE)
        script = "from geodesic_lightning.__main__ import main; main()"
        words = ("model=python", "model.target=mine.banana", *ENDS, *PLAIN, "hydra.run.dir=run")
        done = subprocess.run(
            [sys.executable, "-P", "-c", script, *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert said(tmp_path / "run")["converged"]


class TestPython:
    def test_points_in_place_of_pictures(self):
        def own(x):
            return -x.square().sum(-1) / 2

        settings = {"model": own, "frames": 3, "segments": 8}
        two = interpolate([-2.1, 1.0], torch.tensor([1.7, 1.4]), alpha=1.0, **settings)
        again = interpolate((-2.1, 1.0), [1.7, 1.4], alpha=1.0, **settings)
        assert two.frames.shape == (3, 3, 256, 256)
        torch.testing.assert_close(two.nodes, again.nodes, rtol=0, atol=1e-6)
        assert two.summary["model"].endswith("own")
        rows = torch.tensor([[-2.0, 1.0], [0.0, 1.5], [2.0, 1.0]])
        assert through(rows, **settings).nodes[8].tolist() == [0.0, 1.5]
        assert (
            len(mean(rows.tolist(), **settings | {"segments": 4}).summary["mean"]["distances"]) == 3
        )
        assert extrapolate([1.0, 0.5], length=0.2, **settings).nodes[0].tolist() == [1.0, 0.5]
        assert extrapolate([1.0, 0.5], [0.0, 1.0], length=0.2, **settings).length > 0

    def test_a_point_where_there_are_pictures(self):
        with pytest.raises(UserError, match=r"Got end = a\.png, expected a list"):
            interpolate([1.0, 1.0], "a.png", model=len)

    def test_what_is_no_model(self):
        with pytest.raises(UserError, match="is of type int, expected an object with log_density"):
            interpolate([1.0, 1.0], [1.0, 0.0], model=3)
