"""What optimizers share: a memory that a checkpoint holds, whole."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor

from geodesic_lightning.errors import UserError
from geodesic_lightning.functional.length import DensityLength
from geodesic_lightning.geometry.path import Path
from geodesic_lightning.problems.evaluation import LegEvaluation
from geodesic_lightning.problems.initial_value import InitialValueProblem
from geodesic_lightning.protocols import Functional

# Excess of length by too few segments that is as good as none, relative: a smaller tolerance is of the discrete path.
RESOLVED = 1e-4


class Steps(ABC):
    """Steps until it is finished, and remembers everything that its next step depends on.

    Attributes:
        report: scalars of the latest step by name.
    """

    def __init__(self) -> None:
        self.report: dict[str, float] = {}
        self._now: dict[str, Any] = {}

    @property
    @abstractmethod
    def finished(self) -> bool:
        """No step is left to do."""

    @property
    @abstractmethod
    def converged(self) -> bool:
        """Its own test of convergence was met."""

    @property
    @abstractmethod
    def evaluations_left(self) -> int | None:
        """The most score evaluations to come; a tolerance may end them sooner. None where it cannot say."""

    @property
    @abstractmethod
    def _like(self) -> Tensor:
        """A tensor where the memory's tensors are to be."""

    def prepare(self) -> None:
        """Put the path as the first step wants it; by default it stays as it is."""
        return

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values that a resumed run needs."""
        return {"optimizer": type(self).__name__, **self._now}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`; states of version 0.1 are read too.

        Raises:
            ValueError: the state is another optimizer's.
        """
        state = dict(self._of_former_version(state) if "param_groups" in state else state)
        state = self._missing(state) | state
        name = state.pop("optimizer", type(self).__name__)
        if name != type(self).__name__ or set(state) != set(self._now):
            raise ValueError(f"the state is of another optimizer, expected {type(self).__name__}'s")
        self._now = on_device(state, self._like)

    def _missing(self, state: dict[str, Any]) -> dict[str, Any]:
        """What a state of a former release has no word for; a state's own words go before these."""
        return {}

    def _of_former_version(self, state: dict[str, Any]) -> dict[str, Any]:
        """A state as 0.1 wrote it, in torch's form, in today's."""
        return state["state"].get(0, {})


class Optimizer(Steps):
    """Moves the nodes of one leg; one `step` for each evaluation of the path.

    Args:
        path: whose nodes move.
        segments: N of the solved path, at least 2.

    Attributes:
        tolerance: relative excess of length above which nothing has converged.
        bends_length: it bends by the density's length, and not by another functional.
        shortens: it is to end no longer than it began.

    Raises:
        UserError: segments is below 2, or there is no path between two ends.
    """

    tolerance = 1e-4

    def __init__(self, path: Path, segments: int) -> None:
        super().__init__()
        if isinstance(path, InitialValueProblem):
            raise UserError(
                "optimizer: solver=ivp shoots, and wants one of rk4, strang, picard; the others "
                "bend a path between two ends."
            )
        if segments < 2:
            raise UserError(f"solver.segments: got {segments}, expected at least 2.")
        self.path, self.segments, self.bends_length = path, segments, True
        self._now = {"begun": False}

    @abstractmethod
    def begin(self) -> None:
        """Put the path as the first evaluation wants it."""

    @abstractmethod
    def step(self, evaluation: LegEvaluation) -> None:
        """Move the nodes, knowing the evaluation of the path as it stands; or finish without moving them."""

    def check(self, alpha: float, functional: Functional) -> None:
        """Raise UserError where it cannot bend by this functional at this α; by default none is refused."""
        self.bends_length = isinstance(functional, DensityLength)

    @property
    def shortens(self) -> bool:
        return self.bends_length

    def resolves(self, evaluation: LegEvaluation) -> bool:
        """The path has segments enough for its length to be that of a geodesic, to the tolerance or to RESOLVED."""
        if not self.bends_length:
            return True
        most = max(self.tolerance, RESOLVED)
        return evaluation.excess_of_pieces < most and evaluation.is_resolved

    def prepare(self) -> None:
        """`begin`, once: nothing in a resumed run that had begun."""
        if not self._now["begun"]:
            self._now["begun"] = True
            self.begin()

    @property
    def _like(self) -> Tensor:
        return self.path.start


def on_device(value: Any, like: Tensor) -> Any:
    """The value with all tensors in it, in lists and dicts too, on the device of `like`."""
    if isinstance(value, Tensor):
        return value.to(like.device)
    if isinstance(value, dict):
        return {key: on_device(one, like) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(on_device(one, like) for one in value)
    return value
