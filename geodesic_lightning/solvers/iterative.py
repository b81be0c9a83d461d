"""What solvers that step share: an optimizer that says when it is finished, timed and logged."""

import time

from torch import Tensor
from torch.optim import Optimizer

from geodesic_lightning.solvers.base import Solver


class SteppingSolver(Solver):
    """A solver with a `fit`. Its optimizer has `finished`, `converged` and `report`.

    A subclass defines `configure_optimizers`, `training_step`, `scalars` and `latest_densities`, and
    may add to `on_fit_start` and `on_fit_end`.
    """

    verbs = ("fit", "validate")

    def latest_densities(self) -> dict[str, tuple[Tensor, Tensor]]:
        """As `densities`, of the step just done."""
        raise NotImplementedError

    def densities(self) -> dict[str, tuple[Tensor, Tensor]]:
        return super().densities() or self.latest_densities()

    def scalars(self) -> dict[str, float]:
        """What the solver says of the step just done, beside its optimizer's report."""
        raise NotImplementedError

    def on_fit_start(self) -> None:
        self._began, self._decoded = time.perf_counter(), self.seconds["decode"]

    def on_train_start(self) -> None:
        if self.finished:  # as a run is that was stopped after its last step
            self.trainer.should_stop = True

    def on_fit_end(self) -> None:
        self.seconds["solve"] += self._elapsed()

    def _elapsed(self) -> float:
        """Seconds of this fit, without those that showing took."""
        shown = self.seconds["decode"] - self._decoded
        return time.perf_counter() - self._began - shown

    def on_train_batch_end(self, outputs, batch, index: int) -> None:
        own = {name: float(value) for name, value in self.optimizer.report.items()}
        self.report = self.scalars() | own | {"seconds": self.seconds["solve"] + self._elapsed()}
        scalars = {f"solve/{name}": value for name, value in self.report.items()}
        self.log_dict(scalars, on_step=True, on_epoch=False, batch_size=1)
        if self.finished:
            self.trainer.should_stop = True

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer itself, without Lightning's wrapping."""
        found = self.optimizers(use_pl_optimizer=False)
        return found[0] if isinstance(found, list) else found

    @property
    def stepped(self) -> bool:
        """An optimizer is at work, or has been."""
        return self._trainer is not None and bool(self.trainer.optimizers)

    @property
    def evaluations_left(self) -> int | None:
        """The most score evaluations to come, where the optimizer knows."""
        return getattr(self.optimizer, "evaluations_left", None) if self.stepped else None

    @property
    def finished(self) -> bool:
        return self.stepped and self.optimizer.finished

    @property
    def converged(self) -> bool:
        return self.stepped and self.optimizer.converged

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["problem"] = self.problem.state_dict()

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        self.problem.load_state_dict(checkpoint["problem"])

    def summary(self) -> dict:
        return super().summary() | {
            "steps": self.trainer.global_step,
            "last_step": self.optimizer.report if self.stepped else {},
        }
