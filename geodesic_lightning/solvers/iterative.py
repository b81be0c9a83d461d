"""What solvers that step share: an optimizer that says when it is finished, timed and logged."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch import optim as torch_optim

from geodesic_lightning.optimizers.base import Optimizer
from geodesic_lightning.optimizers.batched import Batched
from geodesic_lightning.optimizers.frechet_mean import FrechetMean
from geodesic_lightning.optimizers.integrator import Integrator
from geodesic_lightning.optimizers.picard import PicardSweeps
from geodesic_lightning.solvers.base import Solver

PathSteps = Optimizer | Integrator | PicardSweeps | Batched | FrechetMean


class Stepper(torch_optim.Optimizer):
    """What Lightning sees of a path's optimizer: it counts the steps, and saves and loads their memory.

    Args:
        nodes: of all paths that move.
        inner: the optimizer itself.
    """

    def __init__(self, nodes: list[Tensor], inner: PathSteps) -> None:
        super().__init__(nodes, {})
        self.inner = inner

    def step(self, closure: Callable[[], Any]) -> None:  # type: ignore[override]
        """Hand the optimizer what `closure` evaluates."""
        self.inner.step(closure())

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's."""
        return self.inner.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.inner.load_state_dict(state_dict)


class IterativeSolver(Solver):
    """A solver with a `fit`, each step of which is one of its optimizer's.

    A subclass defines `make_optimizer`, `evaluate`, `scalars` and `latest_densities`, and may add to
    `on_fit_start` and `on_fit_end`. Only scores are known, so there is no loss to differentiate:
    steps are taken by hand (Lightning's manual optimization).
    """

    verbs = ("fit", "validate")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.automatic_optimization = False
        self._optimizer: PathSteps | None = None

    @abstractmethod
    def make_optimizer(self) -> Any:
        """A fresh optimizer of the problem's paths."""

    @abstractmethod
    def evaluate(self) -> Any:
        """What the optimizer's next step wants to know."""

    @abstractmethod
    def latest_densities(self) -> dict[str, tuple[Tensor, Tensor]]:
        """As `densities`, of the step just done."""

    @abstractmethod
    def scalars(self) -> dict[str, float]:
        """What the solver says of the step just done, beside its optimizer's report."""

    def densities(self) -> dict[str, tuple[Tensor, Tensor]]:
        return super().densities() or self.latest_densities()

    def configure_optimizers(self) -> Stepper:
        self._optimizer = self.make_optimizer()
        return Stepper(list(self.parameters()), self.optimizer)

    def on_train_start(self) -> None:
        self.optimizer.prepare()
        if self.finished:  # as a run is that was stopped after its last step
            self.trainer.should_stop = True

    def training_step(self, batch: object, index: int) -> None:
        self.optimizers().step(closure=self.evaluate)  # type: ignore[union-attr]

    def on_train_batch_end(self, outputs: object, batch: object, index: int) -> None:
        own = {name: float(value) for name, value in self.optimizer.report.items()}
        self.report = self.scalars() | own | {"seconds": self.seconds["solve"]}
        scalars = {f"solve/{name}": value for name, value in self.report.items()}
        self.log_dict(scalars, on_step=True, on_epoch=False, batch_size=1)
        if self.finished:
            self.trainer.should_stop = True

    @property
    def optimizer(self) -> PathSteps:
        """The path's optimizer, once there is one.

        Raises:
            RuntimeError: before `fit`.
        """
        if self._optimizer is None:
            raise RuntimeError("there is no optimizer before trainer.fit")
        return self._optimizer

    @property
    def stepped(self) -> bool:
        """An optimizer is at work, or has been."""
        return self._optimizer is not None

    @property
    def evaluations_left(self) -> int | None:
        """The most score evaluations to come, where the optimizer knows."""
        return self.optimizer.evaluations_left if self.stepped else None

    @property
    def finished(self) -> bool:
        return self.stepped and self.optimizer.finished

    @property
    def converged(self) -> bool:
        return self.stepped and self.optimizer.converged

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["problem"] = self._problem_state()
        checkpoint["seed"] = self.context.get("seed")

    def _problem_state(self) -> dict[str, Any]:
        return self.problem.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        count_former_steps(checkpoint)
        self.problem.load_state_dict(checkpoint["problem"])

    def summary(self) -> dict[str, Any]:
        return super().summary() | {
            "steps": self.trainer.global_step,
            "last_step": self.optimizer.report if self.stepped else {},
        }


def count_former_steps(checkpoint: dict[str, Any]) -> None:
    """Let Lightning go on counting steps in a checkpoint of version 0.1, where it took them by itself."""
    loop = checkpoint.get("loops", {}).get("fit_loop", {})
    progress = loop.get("epoch_loop.manual_optimization.optim_step_progress")
    if progress is not None and not progress["total"]["completed"]:
        for part in progress.values():
            part.update({key: checkpoint["global_step"] for key in part})
