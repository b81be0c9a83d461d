"""Runs that are killed, and go on: the nodes of the run that was never stopped, whatever stops it."""

import contextlib
import functools
import itertools
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from geodesic_lightning.cli.app import CONF
from geodesic_lightning.cli.resume import with_former
from geodesic_lightning.trainer.checkpoint_io import LatestCheckpoint, replace

resource = pytest.importorskip(
    "resource", reason="Windows has neither signals that kill nor a limit of a file's size"
)

# Nothing is drawn: these runs are many.
PLAIN = ("callbacks=log", "~callbacks.curves", "~callbacks.picture", "~callbacks.table")
EXACT = ("model=exact", "model.density=mixture", "logger=csv", *PLAIN)
PAPER = (*EXACT, "optimizer=paper", "optimizer.end_early=false", "optimizer.iterations=12")
OFTEN = "callbacks.checkpoint.every_n_seconds=0"
KINDS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
PRELOADED = [
    f"geodesic_lightning.{name}"
    for name in (
        *("callbacks", "cli.app", "data.frames", "metrics", "models.exact", "models.samplers"),
        *("models.scheduler", "score.condition"),
        *("optimizers.paper", "optimizers.semi_implicit", "optimizers.integrator"),
        *("solvers.assemble", "solvers.bvp", "solvers.ivp", "solvers.frechet_mean"),
    )
]


def command(place: Path, words: tuple[str, ...], kill: int | None, moment: int) -> None:
    """The command line in a process of its own, which is sent `kill` at that moment, if at all.

    Moments are counted, not timed, so that a busy machine kills where a quiet one does: before and
    after each score and each checkpoint, and around a file's way to the disk and its renaming.
    """
    os.chdir(place)
    # A shell's background jobs, and what they start, ignore Ctrl+C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with open("said", "a") as said, contextlib.redirect_stdout(said):
        os.dup2(said.fileno(), 2)
        sys.argv = ["geodesic", *words]
        from geodesic_lightning.cli.app import main
        from geodesic_lightning.score.estimator import Score

        count = itertools.count()

        def passing() -> None:
            if next(count) == moment and kill is not None:
                os.kill(os.getpid(), kill)

        def between(call):
            @functools.wraps(call)
            def noticed(*args, **options):
                passing()
                result = call(*args, **options)
                passing()
                return result

            return noticed

        os.fsync, os.replace = between(os.fsync), between(os.replace)
        Score.__call__ = between(Score.__call__)
        LatestCheckpoint.save_checkpoint = between(LatestCheckpoint.save_checkpoint)
        try:
            main()
        finally:
            Path("moments").write_text(str(next(count)))


@pytest.fixture(scope="module")
def server():
    """Processes that need not import torch again: real ones, which signals kill."""
    assert all(find_spec(name) for name in PRELOADED)  # a missing one would be passed over
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    first = context.Process(target=abs, args=(0,))  # pays for the imports
    first.start()
    first.join()
    return context


class Runs:
    """Runs `words` in `place`, to the end or until it is killed."""

    def __init__(self, server, place: Path, *words: str) -> None:
        self.server, self.place, self.words, self.count = server, place, words, 0

    def __call__(self, kill: int | None = None, moment: int = 0, former: Path | None = None):
        """The folder of one run, and its exit code; killed at a moment (command), if at all."""
        folder = self.place / f"run-{self.count}"
        self.count += 1
        words = self.words if former is None else (f"resume={former.name}",)
        words = (*words, f"hydra.run.dir={folder.name}")
        process = self.server.Process(target=command, args=(self.place, words, kill, moment))
        process.start()
        process.join()
        return folder, process.exitcode

    @property
    def moments(self) -> int:
        """How many the last run had that came to an end."""
        return int((self.place / "moments").read_text())


def nodes(folder: Path) -> torch.Tensor:
    return load_file(folder / "path.safetensors")["nodes"]


def summary(folder: Path) -> dict:
    return json.loads((folder / "summary.json").read_text())


def set_out(folder: Path) -> bool:
    """Far enough for its settings to be known."""
    file = folder / ".hydra" / "overrides.yaml"
    return file.exists() and file.stat().st_size > 0


SOLVERS = {
    "bvp": PAPER,
    "ivp": (*EXACT, "solver=ivp", "solver.segments=100"),
    "mean": (
        *(*EXACT, "solver=mean", "solver.tolerance=1e-6"),
        *("data=keyframe_points", "data.points=[[2,0],[0,2],[-2,0]]"),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("solver", SOLVERS)
def test_killed_again_and_again_it_ends_with_the_nodes_of_the_run_that_never_stopped(
    server, tmp_path, solver
):
    runs = Runs(server, tmp_path, *SOLVERS[solver], OFTEN)
    whole, code = runs()
    assert code == 0
    # Each goes on from where the one before was killed, after at most an eighth of all moments: so
    # none of six comes to its end.
    chosen, moments, former, killed = random.Random(solver), runs.moments, None, 0
    for kill in range(6):
        folder, code = runs(KINDS[kill % 3], chosen.randrange(moments // 8), former)
        killed += code != 0
        former = folder if set_out(folder) else former
    assert killed == 6
    assert former is not None
    rest, code = runs(former=former)
    assert code == 0, (tmp_path / "said").read_text()
    assert torch.equal(nodes(rest), nodes(whole))
    for name in (
        "steps",
        "score_evaluations",
        "length",
        "length_start",
        "converged",
        "not_converged",
    ):
        assert summary(rest)[name] == summary(whole)[name]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["embedded", "exact"])
def test_killed_at_ten_random_moments_each_run_goes_on_to_the_same_end(server, tmp_path, model):
    words = (
        PAPER if model == "exact" else ("callbacks=log", "logger=csv", "optimizer.tolerance=1e-5")
    )
    runs = Runs(server, tmp_path, *words)  # as shipped: a checkpoint every ten seconds
    whole, code = runs()
    assert code == 0
    chosen, moments = random.Random(model), runs.moments
    for kill in range(10):
        folder, code = runs(KINDS[kill % 3], chosen.randrange(moments))
        former = folder if set_out(folder) else None
        rest, again = runs(former=former)
        assert (code != 0, again) == (True, 0), (tmp_path / "said").read_text()
        assert torch.equal(nodes(rest), nodes(whole))


def started(place: Path, *words: str) -> subprocess.Popen:
    env = {**os.environ, "PYTHONPATH": str(CONF.parent)}
    return subprocess.Popen(
        [sys.executable, "-m", "geodesic_lightning", *words],
        cwd=place,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(file: Path, process: subprocess.Popen) -> None:
    """Until the file is there; the limit only ends what hangs."""
    for _ in range(6000):
        if file.exists() or process.poll() is not None:
            return
        time.sleep(0.05)
    raise AssertionError(f"no {file} after five minutes")


@pytest.mark.slow
def test_sigterm_says_how_to_go_on_and_closes_wandb(tmp_path):
    long = (*PAPER, "optimizer.iterations=100000", "logger=wandb", "hydra.run.dir=run")
    process = started(tmp_path, *long)
    wait_for(tmp_path / "run" / "checkpoints" / "last.ckpt", process)
    process.terminate()
    _, said = process.communicate(timeout=300)
    assert process.returncode == 143
    last = said.strip().splitlines()[-1]
    assert last.startswith("Interrupted after ")
    assert last.endswith(f"; go on with resume={tmp_path / 'run'}.")
    assert "Traceback" not in said
    assert exit_code_in(next((tmp_path / "run").glob("wandb/offline-run-*"))) == 1


def exit_code_in(folder: Path) -> int | None:
    """What an offline W&B run was finished with, as W&B itself reads it."""
    inspect = [sys.executable, "-m", "wandb", "leet", "inspect", "--summary", "--json", str(folder)]
    done = subprocess.run(inspect, capture_output=True, text=True, check=True)
    return json.loads(done.stdout).get("exit_code")


# -- settings --------------------------------------------------------------------------------------


def test_a_resumed_run_takes_its_settings_and_yields_to_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run" / ".hydra").mkdir(parents=True)
    was = "- model=exact\n- model.density=ring\n- solver.alpha=1\n- resume=older\n- sweep.resume=true\n"
    (tmp_path / "run" / ".hydra" / "overrides.yaml").write_text(was)
    kept = ["model=exact", "model.density=ring", "solver.alpha=1", "hydra.mode=RUN"]
    assert with_former(["resume=run"], "run") == [*kept, "resume=run"]
    assert with_former(["resume='run'", "solver.alpha=2", "model=embedded"], "run") == [
        *("hydra.mode=RUN", "resume='run'", "solver.alpha=2", "model=embedded")
    ]
    assert with_former(["resume=nowhere"], "nowhere") == ["resume=nowhere"]
    assert with_former(["solver=ivp", "--help"], None) == ["solver=ivp", "--help"]


def test_a_run_that_was_stopped_after_its_last_step_takes_no_other(geodesic):
    usual = (*EXACT, "optimizer.tolerance=1e-5")
    whole = geodesic(*usual, "hydra.run.dir=whole")
    again = geodesic("resume=whole", "hydra.run.dir=again")
    assert whole.code == again.code == 0, again.err
    assert torch.equal(nodes(again.folder), nodes(whole.folder))
    both = [summary(run.folder) for run in (whole, again)]
    assert both[0]["steps"] == both[1]["steps"]
    assert both[0]["score_evaluations"] == both[1]["score_evaluations"]


def test_a_run_that_is_stopped_keeps_its_last_whole_step(geodesic, monkeypatch):
    """Not only the one at which the file was last due, here the first."""
    from geodesic_lightning.score.estimator import Score

    call, calls = Score.__call__, itertools.count()

    def interrupted(self, *args, **options):
        if next(calls) == 8:
            raise KeyboardInterrupt
        return call(self, *args, **options)

    monkeypatch.setattr(Score, "__call__", interrupted)
    stopped = geodesic(*PAPER, "callbacks.checkpoint.every_n_seconds=1000")
    assert stopped.code == 130
    kept = torch.load(stopped.folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert kept["global_step"] > 1
    assert f"Interrupted after {kept['global_step']} steps" in stopped.err


def test_a_run_that_was_stopped_before_its_first_step_begins_again(geodesic):
    first = geodesic(*EXACT, "hydra.run.dir=first")
    for file in ("checkpoints/last.ckpt", "summary.json"):
        (first.folder / file).unlink()
    again = geodesic("resume=first", "hydra.run.dir=again")
    assert again.code == 0, again.err
    assert torch.equal(nodes(again.folder), nodes(first.folder))


# Where Hydra keeps its notes, and what is resumed of a run whose files are in `stopped`.
PLACES = {
    "nowhere": (("hydra.output_subdir=null",), "stopped"),
    "under another name": (("hydra.output_subdir=.cfg",), "stopped"),
    "in another folder": (("hydra.run.dir=notes", "folder=stopped"), "stopped"),
    "beside the checkpoint's folder": ((), "stopped/checkpoints/last.ckpt"),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_run_knows_its_settings_wherever_hydra_keeps_its_notes(geodesic, place):
    notes, resumed = PLACES[place]
    told = (*EXACT, "solver.strength=3", "solver.segments=8", "optimizer.tolerance=1e-6")
    whole = geodesic(*told, "hydra.run.dir=whole")
    where = notes if "folder=stopped" in notes else ("hydra.run.dir=stopped", *notes)
    stopped = geodesic(*told, *where, "trainer.max_steps=3")
    rest = geodesic(f"resume={resumed}", "trainer.max_steps=-1", "folder=rest")
    assert [run.code for run in (whole, stopped, rest)] == [0, 0, 0], rest.err
    found, left = Path("rest"), Path("stopped")
    assert summary(left)["steps"] == 3 < summary(found)["steps"]
    assert len(nodes(found)) == 7
    assert summary(found)["strength"] == 3
    assert torch.equal(nodes(found), nodes(whole.folder))


def test_a_run_whose_settings_are_not_known_is_not_resumed_by_others(geodesic):
    former = geodesic(*EXACT, "trainer.max_steps=3", "hydra.run.dir=former").folder
    (former.parent / "last.ckpt").write_bytes((former / "checkpoints" / "last.ckpt").read_bytes())
    (former / "settings.yaml").unlink()
    (former / ".hydra" / "overrides.yaml").write_text("")  # as a kill leaves it
    for resumed in ("former", "last.ckpt"):
        done = geodesic(f"resume={resumed}", "hydra.run.dir=again")
        assert done.code == 1
        assert "the settings of the run in" in done.err.splitlines()[-1]
        assert "Traceback" not in done.err
        assert not done.folder.exists()


def test_nothing_to_resume_is_told(geodesic):
    (Path.cwd() / "empty" / ".hydra").mkdir(parents=True)
    done = geodesic("resume=empty")
    assert done.code == 1
    assert "expected the folder of a run" in done.err


# -- the file --------------------------------------------------------------------------------------


def test_every_checkpoint_is_written_whole_or_not_at_all(tmp_path):
    file = tmp_path / "last.ckpt"
    replace(file, b"former")

    with limited(2), pytest.raises(OSError, match="too large"):
        replace(file, b"later and larger")
    assert file.read_bytes() == b"former"
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


@contextlib.contextmanager
def limited(size: int):
    """No file may grow beyond so many bytes: what a full disk does, to this process alone."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_costs_neither_the_run_nor_the_former_checkpoint(geodesic, monkeypatch, caplog):
    from geodesic_lightning.callbacks import checkpoint as module

    usual = (*PAPER[:-1], "optimizer.iterations=4", "logger=none", OFTEN)
    whole = geodesic(*usual, "hydra.run.dir=whole")
    sizes = []

    class Filling(LatestCheckpoint):
        """The disk is full from the fifth checkpoint to the last but one."""

        def flush(self):
            with limited(1000 if 5 <= len(sizes) < 15 else 10**8):
                super().flush()
            sizes.append(len(file.read_bytes()))

    file = whole.folder.parent / "full" / "checkpoints" / "last.ckpt"
    with monkeypatch.context() as patched:
        patched.setattr(module, "LatestCheckpoint", Filling)
        full = geodesic(*usual, "hydra.run.dir=full")
    assert full.code == 0, full.err
    assert (
        full.err.count("cannot be written (File too large): going on; the former one is kept.") == 1
    )
    assert len(sizes) >= 16
    assert len(set(sizes[4:15])) == 1  # the former one, untouched
    assert torch.equal(nodes(full.folder), nodes(whole.folder))
    again = geodesic("resume=full", "hydra.run.dir=again")
    assert torch.equal(nodes(again.folder), nodes(whole.folder))


def test_checkpoints_are_as_far_apart_as_asked(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("geodesic_lightning.trainer.checkpoint_io.time.monotonic", lambda: now[0])
    writer, file, written = LatestCheckpoint(10), tmp_path / "last.ckpt", []
    for second in range(25):
        now[0] = float(second)
        writer.save_checkpoint({"step": second}, file)
        written.append(writer.load_checkpoint(file)["step"])
    assert sorted(set(written)) == [0, 10, 20]
    writer.flush()
    assert writer.load_checkpoint(file)["step"] == 24


def test_no_code_is_loaded_from_a_checkpoint(tmp_path):
    torch.save({"state_dict": Path("x")}, tmp_path / "last.ckpt")
    with pytest.raises(Exception, match=r"weights_only|Unsupported"):
        LatestCheckpoint().load_checkpoint(tmp_path / "last.ckpt")


def test_seconds_of_checkpoints_out_of_range(geodesic):
    done = geodesic(*EXACT, "callbacks.checkpoint.every_n_seconds=-1")
    assert done.code == 1
    assert "callbacks.checkpoint.every_n_seconds: got -1" in done.err


def test_what_a_run_took_without_being_told_it_keeps(tmp_path, monkeypatch):
    """Sampler, manifold and α of a run of then, whatever is the default now; what is said now has the last word."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run" / ".hydra").mkdir(parents=True)
    (tmp_path / "run" / ".hydra" / "overrides.yaml").write_text("- data=pair_cat\n")
    chosen = "hydra:\n  runtime:\n    choices:\n      model: embedded\n      scheduler: heun\n"
    (tmp_path / "run" / ".hydra" / "hydra.yaml").write_text(chosen)
    nodes = {"nodes": torch.zeros(1, 2), "ends": torch.zeros(2, 2)}
    save_file(nodes, tmp_path / "run" / "path.safetensors", {"alpha": "0.002"})
    kept = ["scheduler=heun", "solver.alpha=0.002"]
    assert with_former(["resume=run"], "run")[:3] == [*kept, "data=pair_cat"]
    for now in ("solver.strength=1", "solver.alpha=0.1", "solver=slerp"):
        assert with_former(["resume=run", now], "run")[0] == "scheduler=heun"
        assert "solver.alpha=0.002" not in with_former(["resume=run", now], "run")
    assert "scheduler=heun" not in with_former(["resume=run", "scheduler=ddim"], "run")
