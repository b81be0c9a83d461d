"""The one run loop, of the command line and of the Python interface: a solver's verbs under a Trainer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

    from geodesic_lightning.solvers.base import Solver


class Batches:
    """A path has no data: an endless supply of empty batches; the solver says when it is finished."""

    def __iter__(self) -> Iterator[int]:
        while True:
            yield 0


class Unshown(Exception):
    """The run is done and has a summary, but something of it could not be written or shown: the cause."""

    def __init__(self, summary: dict[str, Any]) -> None:
        super().__init__("the run is done")
        self.summary = summary


def run(trainer: Trainer, solver: Solver, resume: str | None = None) -> dict[str, Any]:
    """Fit, where there is something to solve, and validate; returns the solver's summary.

    Args:
        resume: a checkpoint to go on from.

    Raises:
        KeyboardInterrupt: it was stopped so, and Lightning has tidied up.
        Unshown: the path was measured, and a callback failed.
    """
    if "fit" in solver.verbs:
        with interruptible():
            # Checkpoints hold tensors and plain values: nothing in them is run.
            trainer.fit(solver, train_dataloaders=Batches(), ckpt_path=resume)
    try:
        with interruptible():
            trainer.validate(solver, dataloaders=[0], verbose=False)
    except Exception as error:
        if error in solver.unshown:
            raise Unshown(solver.summary()) from error
        raise
    return solver.summary()


@contextmanager
def interruptible() -> Iterator[None]:
    """Inside, KeyboardInterrupt stays what it is.

    Lightning makes it a SystemExit, which no `except KeyboardInterrupt` sees; outside of the main thread a
    ValueError, since it would ignore further signals there.
    """
    try:
        yield
    except (SystemExit, ValueError) as leaving:
        if isinstance(leaving.__context__, KeyboardInterrupt):
            raise leaving.__context__ from None
        raise
