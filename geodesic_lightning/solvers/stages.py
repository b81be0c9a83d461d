"""What a run spends where: seconds and network passes by stage, from one ledger.

One stage is at work at any time, and a stage within another takes its part out of it. So the seconds
of all stages add up to the time since the ledger began, and the passes to those of the model.

    start     of a command: composing what was typed
    load      libraries and networks
    encode    images to latents at the path's noise level, prompts
    log       loggers begin
    solve     steps of the solver
    measure   the path that solving starts from, and the path that it found
    retime    a rough film, for the places that the frames are to show
    decode    the film
    show      films while solving, and those that the path is compared with
    metrics   measures of the film
    write     files, charts and tables
    rest      what belongs to none of these
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geodesic_lightning.protocols import Model


class Stages:
    """The ledger of a run.

    Args:
        present: the stage that begins.
        began: when it did, a time.perf_counter(); now if not given.
    """

    def __init__(self, present: str = "load", began: float | None = None) -> None:
        self.present = present
        self._since = time.perf_counter() if began is None else began
        self._seconds: dict[str, float] = {}
        self._passes: dict[str, int] = {}
        self._model: Model | None = None
        self._counted = 0

    def watch(self, model: Model) -> None:
        """Count this model's passes from now on."""
        self._settle()
        self._model, self._counted = model, model.evaluations

    def enter(self, stage: str) -> None:
        """From now on `stage` is at work."""
        self._settle()
        self.present = stage

    @contextmanager
    def at(self, stage: str) -> Iterator[None]:
        """`stage` is at work within, the former one again after it."""
        former = self.present
        self.enter(stage)
        try:
            yield
        finally:
            self.enter(former)

    @property
    def seconds(self) -> dict[str, float]:
        """By stage, in the order in which they began; until now."""
        self._settle()
        return dict(self._seconds)

    @property
    def passes(self) -> dict[str, int]:
        """Evaluations of single latents by stage; stages without any are left out."""
        self._settle()
        return dict(self._passes)

    def so_far(self, stage: str) -> tuple[float, int]:
        """Seconds and passes of a stage until now; nothing is settled, so that another thread may ask."""
        seconds, passes = self._seconds.get(stage, 0.0), self._passes.get(stage, 0)
        if self.present == stage:
            seconds += time.perf_counter() - self._since
            passes += self._model.evaluations - self._counted if self._model is not None else 0
        return seconds, passes

    def _settle(self) -> None:
        """What was spent since the last time belongs to the present stage."""
        now = time.perf_counter()
        self._seconds[self.present] = self._seconds.get(self.present, 0.0) + now - self._since
        self._since = now
        if self._model is not None and (new := self._model.evaluations - self._counted):
            self._passes[self.present] = self._passes.get(self.present, 0) + new
            self._counted += new
