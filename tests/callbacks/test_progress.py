"""The progress line: how much is left at most, and silence where nobody looks."""

import os
import re
import select
import sys
import threading
import time
from functools import partial
from types import SimpleNamespace

import pytest
from known import exact_problem
from rich.console import Console

from geodesic_lightning.callbacks.progress import Progress, showing, time_left
from geodesic_lightning.optimizers.descent import Descent
from geodesic_lightning.optimizers.paper import Paper
from geodesic_lightning.optimizers.semi_implicit import SemiImplicit
from geodesic_lightning.solvers.stages import Stages


@pytest.mark.parametrize(
    ("make", "spends_all"),
    [
        (SemiImplicit, False),
        (partial(SemiImplicit, tolerance=1e-30, coarse_tolerance=1e-30, iterations=3), True),
        (partial(SemiImplicit, mode="noisy"), True),
        (partial(Paper, iterations=4, lr=1e-3), False),
        (partial(Paper, iterations=4, lr=1e-3, end_early=False), True),
        (partial(Descent, iterations=9, tolerance=1e-30), True),
        (partial(Descent, tolerance=1e-2), False),
    ],
)
def test_what_is_left_at_most_is_never_exceeded(make, spends_all):
    problem = exact_problem("gaussian", segments=8)
    optimizer = make(problem.path, segments=8)
    optimizer.prepare()
    promised = [2 + optimizer.evaluations_left]  # the two ends are scored as well
    while not optimizer.finished:
        optimizer.step(problem.evaluate().legs[0])
        promised.append(problem.evaluations + optimizer.evaluations_left)
    assert optimizer.evaluations_left == 0
    assert all(promise >= problem.evaluations for promise in promised)
    if spends_all:  # the promise is kept to the letter where no tolerance ends it
        assert set(promised) == {problem.evaluations}


@pytest.mark.parametrize(
    ("left", "said"),
    [(0, "0:00"), (300, "0:30"), (1200, "2:00"), (72_000, "2:00:00"), (37_250, "1:02:05")],
)
def test_time_left_in_words(left, said):
    report = {"score_evaluations": 150.0, "seconds": 10.0}  # 100 since a resumed run began
    assert time_left(left, report, before=50.0) == f" · at most {said} left"


def test_no_time_is_said_before_anything_is_known():
    assert time_left(9, {"score_evaluations": 5.0, "seconds": 1.0}, before=5.0) == ""
    assert time_left(9, {"score_evaluations": 5.0}) == ""


@pytest.mark.skipif(not hasattr(os, "forkpty"), reason="needs a terminal of its own")
@pytest.mark.slow
@pytest.mark.parametrize("solver", ["bvp", "ivp", "mean"])
def test_on_a_terminal_the_line_says_the_time_left_and_is_gone(solver, tmp_path):
    data = "data=keyframe_points" if solver == "mean" else "data=points"
    given = (
        ["data.points=[[0.5,1],[1,1],[1,0.2]]"]
        if solver == "mean"
        else ["data.start=[2.0,0.0]", "data.end=[0.0,1.0]"]
    )
    words = [
        *("-m", "geodesic_lightning", "model=exact", "model.density=gaussian", f"solver={solver}"),
        *(data, *given, "callbacks=log", "logger=none", f"hydra.run.dir={tmp_path}/run"),
    ]
    said = on_a_terminal([sys.executable, *words])
    assert re.search(r"step [1-9]", said)
    assert "evaluations" in said
    # The centre of a mean moves until it rests: nobody knows how often.
    assert bool(re.search(r"at most \d+:\d\d left", said)) == (solver != "mean")
    assert "left" not in said.rstrip().splitlines()[-1]  # the table has the last word


def on_a_terminal(command: list[str], limit: float = 300.0) -> str:
    """What a command says to a terminal 200 columns wide."""
    child, terminal = os.forkpty()
    if child == 0:
        os.environ |= {"COLUMNS": "200", "TERM": "xterm"}
        os.execv(command[0], command)
    said, end = b"", time.monotonic() + limit
    while time.monotonic() < end and select.select([terminal], [], [], end - time.monotonic())[0]:
        try:
            said += os.read(terminal, 65536)
        except OSError:  # the other side has closed
            break
    os.close(terminal)
    assert os.waitpid(child, 0)[1] == 0, said.decode()
    return said.decode()


class Log:
    """A stream that is no terminal, and a wait until it has so many lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.written = threading.Condition()

    def write(self, text: str) -> None:
        with self.written:
            self.lines += text.splitlines() if text.strip() else []
            self.written.notify()

    def flush(self) -> None:
        pass

    def wait(self, count: int) -> None:
        with self.written:
            assert self.written.wait_for(lambda: len(self.lines) >= count, timeout=60)


def test_a_log_gets_lines_while_something_takes_long():
    log = Log()
    told = Progress(Console(file=log), every_n_seconds=0.01)
    with told.during(lambda: "loading the model"):
        log.wait(2)
    with told.during(lambda: "encoding"):
        log.wait(len(log.lines) + 1)
    assert log.lines[0] == "0:00 loading the model"
    assert log.lines[-1] == "0:00 encoding"
    assert not [one for one in threading.enumerate() if one.name == "progress" and not one.daemon]


def test_nothing_is_said_of_what_is_quick():
    log = Log()
    with Progress(Console(file=log)).during(lambda: "loading"):
        pass
    assert log.lines == []


def test_nothing_more_on_a_terminal():
    log = Log()
    told = Progress(Console(file=log, force_terminal=True), every_n_seconds=0.01)
    with told.during(lambda: "loading"):
        assert not [one for one in threading.enumerate() if one.name == "progress"]
    assert log.lines == []


def test_how_far_a_film_is():
    class Model:
        evaluations = 100

    model, stages = Model(), Stages("decode", began=time.perf_counter() - 20)
    stages.watch(model)
    solver = SimpleNamespace(
        stages=stages, frame_count=4, decoder=SimpleNamespace(cost=lambda frames: 10 * frames)
    )
    assert showing(solver) == "decoding and writing"
    model.evaluations += 10
    assert showing(solver) == "decoding: 10 of 40 passes · about 1:00 left"
    assert stages.passes == {"decode": 10}  # asking has settled nothing
    model.evaluations += 30
    assert showing(solver) == "decoding and writing"
    stages.enter("rest")
    assert stages.so_far("decode")[1] == 40


def test_what_a_run_is_at(geodesic, monkeypatch):
    said = []

    def say(self, trainer, solver, *_):
        said.append(self.stage(trainer, solver))

    for hook in ("on_train_batch_end", "on_validation_batch_start", "on_validation_batch_end"):
        monkeypatch.setattr(Progress, hook, say)
    words = ("model=exact", "model.density=gaussian", "callbacks=log", "solver.segments=8")
    run = geodesic(*words, "callbacks.progress.every_n_seconds=1e-3")
    assert run.code == 0, run.err
    assert re.fullmatch(r"solving: step \d+ · .*evaluations · at most 0:\d\d left", said[-3])
    assert said[-2:] == ["measuring", "decoding and writing"]
    assert re.search(r"^0:\d\d (loading|encoding|solving|measuring)", run.out, re.M)
