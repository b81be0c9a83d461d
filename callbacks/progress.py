"""One line that moves while the path is being solved."""

from __future__ import annotations

import sys
from typing import Any

from lightning.pytorch import Callback, Trainer
from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

__all__ = ["Progress"]


class Progress(Callback):
    """Step, level, length, evaluations and the most time left; silent where nobody sees it.

    Time left is the evaluations that the solver spends at most times the seconds of one so far: a bound,
    for its tolerance ends it sooner. Where neither the solver nor the trainer has a limit, the bar
    pulses. Lightning's own bar is to be off (`enable_progress_bar=False`).

    Args:
        console: where to draw; standard output if not given.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console
        self._bar: RichProgress | None = None
        self._task = TaskID(0)
        self._before = 0.0

    def on_train_start(self, trainer: Trainer, solver: Any) -> None:
        """Draw the line, if anybody can see it."""
        console = self._console or Console(file=sys.stdout)
        if not (trainer.is_global_zero and console.is_terminal):
            return
        # A resumed run has evaluations of before, whose seconds nobody counted.
        self._before = float(getattr(solver.problem, "evaluations", 0))
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
        text, done = line(trainer.global_step, report), float(trainer.global_step)
        total = None
        if left is not None and "score_evaluations" in report:
            done, total = report["score_evaluations"], report["score_evaluations"] + left
            text += time_left(left, report, self._before)
        self._bar.update(self._task, completed=done, total=total, description=text)

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


def time_left(left: float, report: dict[str, float], before: float = 0.0) -> str:
    """At most so long, for `left` evaluations, by the seconds of those after the first `before`."""
    spent = report["score_evaluations"] - before
    if spent <= 0 or "seconds" not in report:
        return ""
    seconds = round(left * report["seconds"] / spent)
    hours, minutes = divmod(seconds // 60, 60)
    clock = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f" · at most {clock}:{seconds % 60:02d} left"
