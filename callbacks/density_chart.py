"""How probable the path is, step by step."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.utilities.seed import isolate_rng

from geodesic_lightning.errors import UserError

from .final import Final
from .media import log_curves

__all__ = ["DensityChart"]


class DensityChart(Final):
    """ "density/path" in W&B: log density in nats over u, one chart a step, and one of the outcome.

    The path that solving began from is in each, to compare with. The densities are those the solver has
    anyway: nothing is evaluated for them.

    Args:
        every_n_steps: ≥ 1.
    """

    def __init__(self, every_n_steps: int = 1) -> None:
        if every_n_steps < 1:
            raise UserError(
                f"callbacks.density_chart.every_n_steps: got {every_n_steps}, expected at least 1."
            )
        self.every_n_steps = every_n_steps

    def on_train_batch_end(self, trainer: Trainer, solver: Any, *_: object) -> None:
        """The path that was scored in this step."""
        if trainer.is_global_zero and trainer.global_step % self.every_n_steps == 0:
            with isolate_rng(), solver.stages.at("write"):
                self.write(trainer, solver)

    def write(self, trainer: Trainer, solver: Any) -> None:
        """The curves that there are."""
        curves = solver.densities()
        if curves and solver.start is not None:
            curves = {"at first": (solver.start.u, solver.start.log_density), **curves}
        if curves:
            log_curves(trainer, "density/path", curves, "log density along the path", "u")
