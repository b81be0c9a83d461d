"""One line that moves while the path is being solved; in a log, a line every half a minute."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lightning.pytorch import Callback, Trainer
from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

from geodesic_lightning.errors import UserError

__all__ = ["Progress"]


class Progress(Callback):
    """Step, level, length, evaluations and the most time left, on a terminal; a log gets lines (`during`).

    Time left is the evaluations that the solver spends at most times the seconds of one so far: a bound,
    for its tolerance ends it sooner. Where neither the solver nor the trainer has a limit, the bar
    pulses. Lightning's own bar is to be off (`enable_progress_bar=False`).

    Args:
        console: where to draw; standard output if not given.
        every_n_seconds: at least so often a log gets a line.

    Raises:
        UserError: every_n_seconds is not above 0.
    """

    def __init__(self, console: Console | None = None, every_n_seconds: float = 30) -> None:
        if not every_n_seconds > 0:
            raise UserError(
                f"callbacks.progress.every_n_seconds: got {every_n_seconds}, expected a number above 0."
            )
        self._console = console
        self._every = every_n_seconds
        self._began = self._said = time.monotonic()
        self._bar: RichProgress | None = None
        self._task = TaskID(0)
        self._before = 0.0

    def on_train_start(self, trainer: Trainer, solver: Any) -> None:
        """Draw the line, if anybody can see it."""
        # A resumed run has evaluations of before, whose seconds nobody counted.
        self._before = float(getattr(solver.problem, "evaluations", 0))
        console = self._console or Console(file=sys.stdout)
        if not (trainer.is_global_zero and console.is_terminal):
            return
        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            console=console,
            refresh_per_second=5,
            transient=True,
        )
        total = trainer.max_steps if trainer.max_steps > 0 else None
        self._task = self._bar.add_task(line(trainer.global_step, solver.report), total=total)
        self._bar.start()

    def on_train_batch_start(self, trainer: Trainer, solver: Any, *_: object) -> None:
        """Move on; by now the solver has reported the step before."""
        if self._bar is None:
            return
        report, left = solver.report, getattr(solver, "evaluations_left", None)
        done, total = float(trainer.global_step), None
        if left is not None and "score_evaluations" in report:
            done, total = report["score_evaluations"], report["score_evaluations"] + left
        text = self._words(trainer, solver)
        self._bar.update(self._task, completed=done, total=total, description=text)

    @contextmanager
    def during(self, words: Callable[[], str]) -> Iterator[None]:
        """Inside, standard output gets `words()` every so often, unless it is a terminal."""
        console = self._console or Console(file=sys.stdout)
        over = threading.Event()

        def tell() -> None:
            while not over.wait(max(0.0, self._said + self._every - time.monotonic())):
                self._said = time.monotonic()
                print(f"{clock(self._said - self._began)} {words()}", file=console.file, flush=True)

        # A thread: a single step, or a film's decoding, may take longer than that.
        teller = threading.Thread(target=tell, name="progress", daemon=True)
        if not console.is_terminal:
            teller.start()
        try:
            yield
        finally:
            over.set()
            if teller.is_alive():
                teller.join()

    def stage(self, trainer: Trainer, solver: Any) -> str:
        """What a run is at, in words."""
        if trainer.state.fn == "fit":
            return f"solving: {self._words(trainer, solver)}"
        return "measuring" if solver.measurement is None else showing(solver)

    def _words(self, trainer: Trainer, solver: Any) -> str:
        report, left = solver.report, getattr(solver, "evaluations_left", None)
        text = line(trainer.global_step, report)
        if left is not None and "score_evaluations" in report:
            text += time_left(left, report, self._before)
        return text

    def on_train_end(self, trainer: Trainer, solver: Any) -> None:
        """Clear the line."""
        self._stop()

    def on_exception(self, trainer: Trainer, solver: Any, exception: BaseException) -> None:
        """Give the terminal back before the error is told."""
        self._stop()

    def teardown(self, trainer: Trainer, solver: Any, stage: str) -> None:
        """In case the end was none of the above."""
        self._stop()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def line(step: int, report: dict[str, float]) -> str:
    """What the line says of a solver's report; unknown figures are left out."""
    parts = [f"step {step}"]
    if "level" in report:
        parts.append(f"level {report['level']:.0f}")
    if "length" in report:
        parts.append(f"length {report['length']:.4g}")
    if "score_evaluations" in report:
        parts.append(f"{report['score_evaluations']:,.0f} evaluations")
    return " · ".join(parts)


def showing(solver: Any) -> str:
    """How far the film is, by passes of the network, where it takes any that are known beforehand."""
    seconds, passes = solver.stages.so_far("decode")
    total = solver.decoder.cost(solver.frame_count)
    if not 0 < passes < total:
        return "decoding and writing"
    left = clock(seconds * (total - passes) / passes)
    return f"decoding: {passes:,} of {total:,} passes · about {left} left"


def time_left(left: float, report: dict[str, float], before: float = 0.0) -> str:
    """At most so long, for `left` evaluations, by the seconds of those after the first `before`."""
    spent = report["score_evaluations"] - before
    if spent <= 0 or "seconds" not in report:
        return ""
    return f" · at most {clock(left * report['seconds'] / spent)} left"


def clock(seconds: float) -> str:
    """2:05 or 1:02:05."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
