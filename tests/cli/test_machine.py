"""Machines as they are: seeds, devices, schedulers' variables, terminals that know few letters."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys

import pytest
from safetensors.torch import load_file

from geodesic_lightning.cli.compose import CONF
from geodesic_lightning.cli.machine import SEEDS, at_home, process_count, settled_seed
from geodesic_lightning.errors import UserError

EXACT = ("model=exact", "callbacks=none", "logger=none", "solver.segments=4")


def test_seeds():
    assert settled_seed(0) == 0
    assert settled_seed(SEEDS + 3) == 3
    drawn = {settled_seed(-1) for _ in range(20)}
    assert len(drawn) == 20
    assert all(0 <= seed < SEEDS for seed in drawn)
    assert settled_seed(-1, former=7) == 7
    with pytest.raises(UserError, match=r"seed: got -2, expected .* -1 for a random one"):
        settled_seed(-2)


def test_a_random_seed_is_recorded_and_any_large_one_works(geodesic):
    random = geodesic(*EXACT, "seed=-1", "hydra.run.dir=random")
    large = geodesic(*EXACT, "seed=4294967296", "hydra.run.dir=large")
    assert random.code == large.code == 0, random.err + large.err
    said = [
        json.loads((run.folder / "summary.json").read_text())["seed"] for run in (random, large)
    ]
    assert 0 <= said[0] < SEEDS
    assert said[1] == 0


def test_a_random_seed_is_resumed(geodesic):
    noisy = (
        *EXACT,
        "score=contrast",
        "score.timestep_range=[-100,100]",
        "seed=-1",
        "callbacks=log",
    )
    whole = geodesic(*noisy, "hydra.run.dir=whole")
    seed = json.loads((whole.folder / "summary.json").read_text())["seed"]
    begun = geodesic(*noisy, "trainer.max_steps=2", "hydra.run.dir=begun")
    drawn = json.loads((begun.folder / "summary.json").read_text())["seed"]
    assert drawn != seed
    rest = geodesic("resume=begun", "trainer.max_steps=-1", "hydra.run.dir=rest")
    assert json.loads((rest.folder / "summary.json").read_text())["seed"] == drawn
    same = geodesic(*noisy[:-2], f"seed={drawn}", "callbacks=log", "hydra.run.dir=same")
    nodes = [load_file(run.folder / "path.safetensors")["nodes"] for run in (rest, same)]
    assert nodes[0].equal(nodes[1])


@pytest.mark.parametrize(
    ("devices", "count"), [(1, 1), ("1", 1), (3, 3), ("2", 2), (-1, 1), ("-1", 1), ("auto", 1)]
)
def test_devices_on_a_cpu(devices, count):
    assert process_count(devices, "cpu") == count


@pytest.mark.parametrize("devices", [0, -2, "many", [0, 1], [], None, 1.5])
def test_devices_that_there_are_not(devices, geodesic):
    with pytest.raises(UserError, match=r"trainer\.devices: got"):
        process_count(devices, "cpu")


@pytest.mark.parametrize("words", [["trainer.devices=[0,1]"], ["trainer.devices=0"]])
def test_devices_are_refused_in_one_sentence(words, geodesic):
    run = geodesic(*EXACT, "trainer.accelerator=cpu", *words)
    assert run.code == 1
    assert "trainer.devices: got" in run.err
    assert "Traceback" not in run.err


def test_in_an_allocation_and_on_a_terminal_that_knows_few_letters(tmp_path):
    """One process of a job of four stays one process; the terminal loses letters and no run."""
    job = ("JOB_ID=1", "NTASKS=4", "JOB_NAME=s", "PROCID=0", "LOCALID=0", "NODEID=0")
    surroundings = dict(f"SLURM_{variable}".split("=") for variable in job) | {
        "PYTHONIOENCODING": "cp1252",
        "PYTHONPATH": str(CONF.parent),
    }
    words = ("model=exact", "logger=none", "solver.frames=3", f"hydra.run.dir={tmp_path}/run")
    done = subprocess.run(
        [sys.executable, "-m", "geodesic_lightning", *words],
        env=os.environ | surroundings,
        capture_output=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr.decode("cp1252")
    assert (tmp_path / "run" / "summary.json").exists()
    assert b"?" in done.stdout  # the arrow of the table's lengths


def test_the_home_folder_in_paths(geodesic, monkeypatch, tmp_path):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    words = [
        "hydra.run.dir=~/a",
        'resume="~/b"',
        "data.start=~",
        "a~b=1",
        "data.prompt=x ~/y",
        "~data",
    ]
    assert at_home(words) == [
        *(f"hydra.run.dir={tmp_path}/a", f'resume="{tmp_path}/b"', f"data.start={tmp_path}"),
        *("a~b=1", "data.prompt=x ~/y", "~data"),
    ]
    run = geodesic(*EXACT, "callbacks=log", "hydra.run.dir=~/first", "trainer.max_steps=2")
    assert run.code == 0, run.err
    again = geodesic("resume=~/first", "trainer.max_steps=-1", 'hydra.run.dir="~/second"')
    assert again.code == 0, again.err
    assert {p.name for p in tmp_path.iterdir()} >= {"first", "second"}
    assert not list(run.folder.parent.glob("~*"))


def test_what_cannot_be_shown_costs_nothing_else(geodesic, monkeypatch):
    """A strip that Pillow takes for an attack is told; the film, the path and the figures are there."""
    from PIL import Image

    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 66_000)
    words = ("model=exact", "model.density=ring", "solver.frames=3", "logger=tensorboard")
    run = geodesic(*words, "debug=false")
    assert run.code == 1
    assert "not all could be shown: DecompressionBombError" in run.err
    assert "Traceback" not in run.err
    left = {p.name for p in run.folder.iterdir()}
    assert left >= {"summary.json", "video.mp4", "frames", "strip.png", "path.safetensors"}
    assert json.loads((run.folder / "summary.json").read_text())["converged"]


@pytest.mark.parametrize("logger", ["csv", "tensorboard"])
@pytest.mark.parametrize("again", [False, True], ids=["once", "again and again"])
def test_a_folder_deleted_meanwhile_is_said(geodesic, monkeypatch, logger, again):
    if logger == "tensorboard":
        pytest.importorskip("tensorboard")
    from geodesic_lightning.score.estimator import Score

    call, calls = Score.__call__, itertools.count()

    def deleting(self, *args, **options):
        if next(calls) == 3 or again:
            shutil.rmtree("run", ignore_errors=True)
        return call(self, *args, **options)

    monkeypatch.setattr(Score, "__call__", deleting)
    words = ("model=exact", "model.density=gaussian", "solver.segments=4", "solver.frames=3")
    outcome = geodesic(*words, f"logger={logger}", "callbacks=log")
    assert outcome.code == 1
    assert "Traceback" not in outcome.err
    assert "run was deleted while the run wrote to it: .hydra, " in outcome.err.splitlines()[-1]
    assert (outcome.folder / "path.safetensors").exists()
