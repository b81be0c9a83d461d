"""What is done once, with the solved path."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.seed import isolate_rng

from geodesic_lightning.models.parallel import alone

__all__ = ["Final"]


class Final(Callback, ABC):
    """Calls `write` at the end of `trainer.validate`, on one process, with the random state kept.

    Validation inside a fit (and its sanity check) is not the end of anything and is passed over. What
    cannot be written or shown is told when all callbacks have written (Solver.unshown).

    Attributes:
        shows: `write` wants the film, which several processes decode together before it is called.
    """

    shows = False

    @abstractmethod
    def write(self, trainer: Trainer, solver: Any) -> None:
        """Write what is to be kept of the solver's path."""

    def on_validation_end(self, trainer: Trainer, solver: Any) -> None:
        """After everything has been measured."""
        if trainer.state.fn != TrainerFn.VALIDATING:
            return
        if self.shows and trainer.world_size > 1:
            solver.frames()  # by all processes together; the one that writes then has them
        if trainer.is_global_zero:
            with isolate_rng(), alone(), solver.stages.at("write"):
                try:
                    self.write(trainer, solver)
                except Exception as error:
                    # The other callbacks still write; then the solver raises it.
                    solver.unshown.append(error)
