"""What runs leave in Weights & Biases, read with its own `leet inspect`; and that it never makes one wait."""

import csv
import json
import os
import re
import socket
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from geodesic_lightning.cli.app import CONF
from geodesic_lightning.solvers.scalars import FINAL, STEP
from geodesic_lightning.tracking.wandb_logger import FINISH_TIMEOUT

EXACT = ("model=exact", "model.density=gaussian")
PAIR = (*EXACT, "data=points", "data.start=[2.0,0.0]", "data.end=[0.0,1.0]")
STOPS = (*EXACT, "data=keyframe_points", "data.points=[[0.5,1],[1,1],[1,0.2],[0.6,0.6]]")
ALONE = ("callbacks=none", "logger=wandb")
SHORT = ("solver.frames=3", "solver.segments=4")
KEY = "a" * 40


def inspect(run: Path, *options: str) -> str:
    """What `wandb leet inspect` prints of a run's folder."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", *options, str(run)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def summary(folder: Path) -> dict:
    """Of the one W&B run in a run's folder."""
    (run,) = (folder / "wandb").glob("offline-run-*")
    return json.loads(inspect(run, "--summary"))


def records(folder: Path) -> dict[str, list[dict]]:
    """What is written in the one W&B run in a run's folder, by kind."""
    (run,) = (folder / "wandb").glob("offline-run-*")
    found: dict[str, list[dict]] = defaultdict(list)
    for one in map(json.loads, inspect(run).splitlines()):
        found[one["type"]].append(one.get(one["type"], {}))
    return found


def exit_code(written: dict[str, list[dict]]) -> int:
    """With which a run was closed; JSON leaves a zero out at times."""
    (closed,) = written["exit"]
    return closed.get("exit_code", 0)


# -- one vocabulary --------------------------------------------------------------------------------


def slow(*words: str):
    """A case for those who wait."""
    return pytest.param(words, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    "words",
    [
        (*PAIR, "solver=bvp"),
        slow(*PAIR, "solver=bvp", "optimizer=paper"),
        slow(*PAIR, "solver=bvp", "optimizer=adam", "optimizer.iterations=3"),
        slow(*STOPS, "solver=bvp"),
        (*PAIR, "solver=ivp"),
        slow(*PAIR, "solver=ivp", "optimizer=picard", "solver.length=0.5"),
        (*STOPS, "solver=mean", "solver.rounds=2"),
        (*STOPS, "solver=clip"),
        (*PAIR, "solver=slerp"),
        slow(*PAIR, "solver=lerp"),
    ],
    ids=lambda words: "-".join(words[3:]),
)
def test_every_solver_says_the_same(geodesic, words):
    run = geodesic(*words, "callbacks=none", "logger=default", "solver.segments=4")
    assert run.code == 0, run.err
    said = summary(run.folder)["summary"]
    wanted = {f"solve/{name}" for name in STEP} | {f"final/{name}" for name in FINAL}
    assert wanted <= set(said)
    assert all(isinstance(said[name], int | float) for name in wanted)
    assert said["solve/score_evaluations"] == said["final/score_evaluations"]
    # Panels have the evaluations as their axis: each point of a scalar has its own.
    with (run.folder / "metrics.csv").open() as file:
        rows = [{k: v for k, v in row.items() if v} for row in csv.DictReader(file)]
    solving = [row for row in rows if any(key.startswith("solve/") for key in row)]
    assert all("solve/score_evaluations" in row for row in solving)
    stepped = [row for row in solving if not any(key.startswith("final/") for key in row)]
    assert bool(stepped) == (not {"solver=clip", "solver=slerp", "solver=lerp"} & set(words))
    assert all({"solve/length", "solve/seconds"} <= set(row) for row in stepped)


def test_a_run_that_did_not_converge_says_why(geodesic):
    run = geodesic(*PAIR, "trainer.max_steps=1", "callbacks=none", "logger=wandb")
    said = summary(run.folder)["summary"]
    assert said["final/converged"] == 0
    assert said["not_converged"].endswith("; try trainer.max_steps=-1.")


def test_a_predicted_excess_is_one(geodesic):
    """Where the geodesic is known: by how much the great circle is longer, to second order.

    0.03 by 0.02: what an α this small leaves of higher order.
    """
    words = (*PAIR, "solver.alpha=0.05", "solver.segments=32", "logger=csv")
    circle = geodesic(*words, "callbacks=none", "solver=lerp", "hydra.run.dir=lerp")
    bent = geodesic(*words, "callbacks=none", "solver=bvp", "hydra.run.dir=bvp")
    lengths = [
        json.loads((r.folder / "summary.json").read_text())["length"] for r in (circle, bent)
    ]
    metrics = json.loads((circle.folder / "summary.json").read_text())["metrics"]
    excess = lengths[0] / lengths[1] - 1
    assert excess > 1e-4
    assert metrics["solve/predicted_excess"] == pytest.approx(excess, rel=0.1)


def test_wandb_is_imported_before_torch(tmp_path):
    """After it, making W&B's classes takes a second: tracking/wandb_library.py."""
    words = (
        "data.start=gone.png",
        "data.end=gone.png",
        "logger=default",
        f"hydra.run.dir={tmp_path}/run",
    )
    command = [sys.executable, "-X", "importtime", "-m", "geodesic_lightning", "data=pair", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert "gone.png" in done.stderr.splitlines()[-1]
    imported = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines()]
    assert imported.index("wandb.apis.public") < imported.index("torch")


# -- what a run shows ------------------------------------------------------------------------------


def test_a_run_shows_films_pictures_charts_and_its_frames(shown):
    whole = summary(shown)
    keys = {"video/path", "video/final", "image/strip", "image/curves", "image/picture"}
    assert keys | {"density/path_table", "table/frames"} <= set(whole["summary"])
    steps = json.loads((shown / "summary.json").read_text())["steps"]
    written = records(shown)
    history = [one["item"] for one in written["history"]]
    charts = [row for row in history if "density/path_table._type" in row]
    assert [row["trainer/global_step"] for row in charts] == [*range(1, steps + 1), steps]
    assert whole["config"]["solver"]["alpha"] == 0.3  # the whole configuration
    assert set(whole["config"]) >= {"solver", "model", "score", "data", "callbacks", "seed"}
    assert "solver.alpha=0.3" in whole["config"]["overrides"]
    assert {"solver=bvp", "model=exact", "data=points"} <= set(whole["tags"])
    (named,) = written["run"]
    assert named["display_name"].startswith("bvp points ")
    assert "solver.alpha=0.3" in named["display_name"]
    assert exit_code(written) == 0


def test_the_density_chart_is_of_the_path_that_was_measured(shown):
    (run,) = (shown / "wandb").glob("offline-run-*")
    tables = (run / "files" / "media" / "table" / "density").glob("*.table.json")
    last = max(tables, key=lambda file: int(file.name.split("_")[2]))
    table = json.loads(last.read_text())
    assert table["columns"] == ["step", "lineKey", "lineVal"]
    found = json.loads((shown / "summary.json").read_text())
    curves = {
        name: [v for _, key, v in table["data"] if key == name] for name in ("at first", "path")
    }
    assert curves["path"] == pytest.approx(found["log_density"])
    assert curves["at first"] == pytest.approx(found["log_density_start"])


def test_all_that_is_to_be_sent_is_in_the_run_folder(shown):
    (run,) = (shown / "wandb").glob("offline-run-*")
    (file,) = (run / "files" / "media" / "table" / "table").glob("frames_*.table.json")
    table = json.loads(file.read_text())
    assert table["columns"] == ["frame", "u", "image", "log density", "metric speed"]
    assert [row[1] for row in table["data"]] == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert [row[2] for row in table["data"]] == ["Image"] * 5
    contents = [e for one in records(shown)["artifact"] for e in one["manifest"]["contents"]]
    staged = {Path(entry["local_path"]) for entry in contents}
    assert sum(entry["path"].endswith(".png") for entry in contents) == 5
    assert all(path.is_file() and path.is_relative_to(shown.resolve()) for path in staged)


@pytest.mark.slow
def test_logging_changes_nothing(geodesic):
    nodes = []
    for words in (("callbacks=default", "logger=several"), ("callbacks=log", "logger=none")):
        run = geodesic(*PAIR, *SHORT, *words, f"hydra.run.dir={words[0][10:]}")
        assert run.code == 0, run.err
        nodes.append(load_file(run.folder / "path.safetensors")["nodes"])
    assert torch.equal(*nodes)


# -- many runs -------------------------------------------------------------------------------------


def test_the_jobs_of_a_sweep_are_grouped_and_each_is_closed(geodesic):
    sweep = ("solver.alpha=0.1,0.2,-1", "hydra.sweep.dir=outputs/sweeps/alpha")
    done = geodesic("-m", *PAIR, *ALONE, *sweep)
    assert done.code == 1  # α = -1 is no exponent
    for job in range(2):
        written = records(Path("outputs/sweeps/alpha") / str(job))
        (run,) = written["run"]
        assert run["run_group"] == "sweeps/alpha"
        config = run["config"]["update"]
        assert (config["sweep_id"], config["job"]) == ("sweeps/alpha", job)
        assert f"solver.alpha={[0.1, 0.2][job]}" in config["overrides"]
        assert exit_code(written) == 0


def test_a_run_that_fails_is_closed_as_failed(geodesic):
    file = Path("no folder")
    file.touch()
    run = geodesic(*PAIR, "callbacks=video", "logger=wandb", f"callbacks.video.folder={file}/no")
    assert run.code == 1
    assert exit_code(records(run.folder)) == 1


# -- loggers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("logger", "left"),
    [
        ("several", {"metrics.csv", "wandb", "tensorboard"}),
        ("[csv,tensorboard]", {"metrics.csv", "tensorboard"}),
        ("[]", set()),
    ],
)
def test_loggers_alone_and_together(geodesic, logger, left):
    run = geodesic(*PAIR, "callbacks=none", f"logger={logger}")
    assert run.code == 0, run.err
    known = {"metrics.csv", "wandb", "tensorboard"}
    assert {name for name in known if (run.folder / name).exists()} == left


def test_tensorboard_has_the_same_keys_and_the_pictures(geodesic):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = geodesic(*PAIR, *SHORT, "callbacks=video", "logger=tensorboard")
    assert run.code == 0, run.err
    found = EventAccumulator(str(run.folder / "tensorboard")).Reload()
    scalars = {f"solve/{name}" for name in STEP} | {f"final/{name}" for name in FINAL}
    assert scalars <= set(found.Tags()["scalars"])
    assert {"image/strip", "image/curves"} <= set(found.Tags()["images"])
    assert not (run.folder / "wandb").exists()


def test_tensorboard_that_is_not_installed_is_one_sentence(geodesic, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)  # what Python does for a missing one
    run = geodesic(*PAIR, "logger=tensorboard")
    assert run.code == 1
    assert run.err == (
        "Error: logger=tensorboard is not installed: pip install 'geodesic-lightning[tensorboard]'.\n"
    )


# -- online, offline -------------------------------------------------------------------------------


@pytest.fixture
def newcomer(tmp_path):
    """`newcomer(*words, **env)`: the command line in a process with an empty home."""
    homes = {name: str(tmp_path / name) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")}
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB", "HYDRA", "NETRC"))}

    def run(*words: str, **env: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "geodesic_lightning", *words, *PAIR, *ALONE],
            cwd=tmp_path,
            env=kept | homes | {"PYTHONPATH": str(CONF.parent)} | env,
            capture_output=True,
            text=True,
            timeout=600,  # ends what hangs, and asserts nothing
            check=False,
        )

    return run


@pytest.fixture
def closed_port():
    """An address where nobody answers: connections are refused at once."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def silent_port():
    """An address that takes connections and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_without_a_key_a_run_is_offline_and_says_how_to_send_it(geodesic, monkeypatch):
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", "none")
    run = geodesic(*PAIR, *ALONE)
    assert run.code == 0, run.err
    found = re.fullmatch(
        r"W&B: offline, no key found; to send the run: wandb sync (\S+)\n", run.out
    )
    assert found
    assert list(Path(found[1]).glob("run-*.wandb"))


@pytest.mark.slow
def test_with_a_key_and_no_network_a_run_is_soon_offline(newcomer, closed_port, tmp_path):
    words = ("-m", "solver.alpha=0.1,0.2", "logger.wandb.init_timeout=1", "hydra.sweep.dir=sweep")
    env = {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": closed_port}
    done = newcomer(*words, **env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f"W&B: offline, no answer from {closed_port} within 1 s; to send") == 2
    for job in "01":
        (run,) = (tmp_path / "sweep" / job / "wandb").glob(
            "*run-*"
        )  # nothing of the attempt is left
        assert run.name.startswith("offline-run-")


@pytest.mark.slow
def test_nobody_is_waited_for_longer_than_said(geodesic, monkeypatch):
    """By itself W&B waits 90 s for an answer, without end for uploads, and 20 s for its telemetry."""
    import wandb

    given, init = [], wandb.init

    def noticed(*args, **options):
        given.append(options["settings"])
        return init(*args, **options)

    monkeypatch.setattr(wandb, "init", noticed)
    run = geodesic(*PAIR, *ALONE, "logger.wandb.init_timeout=3")
    assert run.code == 0, run.err
    (settings,) = given
    assert settings.init_timeout == 3
    assert settings.finish_timeout == FINISH_TIMEOUT
    assert not wandb.env.error_reporting_enabled()


@pytest.mark.slow
def test_a_server_that_does_not_answer_holds_nobody_up(newcomer, silent_port):
    env = {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": silent_port}
    done = newcomer("hydra.run.dir=run", "logger.wandb.init_timeout=2", **env)
    assert done.returncode == 0, done.stderr
    assert "W&B: offline, no answer from" in done.stdout


@pytest.mark.slow
def test_online_or_nothing(newcomer, closed_port, tmp_path):
    env = {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": closed_port}
    words = ("logger.wandb.offline=false", "logger.wandb.init_timeout=1", "hydra.run.dir=run")
    done = newcomer(*words, **env)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: W&B: ")
    assert "or stay offline with logger.wandb.offline=true" in done.stderr
    assert not (tmp_path / "run" / "summary.json").exists()


def test_offline_when_asked_and_as_the_environment_says(geodesic, monkeypatch):
    run = geodesic(*PAIR, *ALONE, "logger.wandb.offline=true", "hydra.run.dir=asked")
    assert "W&B: offline, as asked; to send the run: wandb sync asked/wandb/" in run.out
    run = geodesic(*PAIR, *ALONE, "hydra.run.dir=environment")
    assert "W&B: offline, as WANDB_MODE=offline says; " in run.out
    monkeypatch.setenv("WANDB_MODE", "disabled")
    run = geodesic(*PAIR, *ALONE, "hydra.run.dir=disabled")
    assert run.code == 0, run.err
    assert "W&B" not in run.out
    assert not list(run.folder.glob("wandb/*run-*"))


def test_neither_online_nor_offline_is_refused(geodesic):
    run = geodesic(*PAIR, *ALONE, "logger.wandb.offline=maybe")
    assert run.code == 1
    assert "logger.wandb.offline: got 'maybe', expected true, false or auto." in run.err
