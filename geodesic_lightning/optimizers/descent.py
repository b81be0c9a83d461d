"""Any optimizer of torch on the elastic string: it descends along −r, and nodes are put back on the manifold.

The gradient that the solver gives is −r (length.residual), the force of a string whose tension keeps its nodes
equally spaced. r has no potential, so an optimizer with a line search has nothing to search on.
"""

from typing import Any

import torch
from torch import Tensor
from torch.optim import LBFGS, SGD, Adam
from torch.optim import Optimizer as TorchOptimizer

from geodesic_lightning.errors import UserError
from geodesic_lightning.geometry.laplacian import Laplacian
from geodesic_lightning.geometry.path import Path
from geodesic_lightning.optimizers.base import Optimizer, on_device
from geodesic_lightning.optimizers.secant_steps import Known
from geodesic_lightning.problems.evaluation import LegEvaluation

METHODS = ("gradient_descent", "adam", "lbfgs")


class Descent(Optimizer):
    """Iterate a torch optimizer on the nodes of one level until η < tolerance or `iterations` are spent.

    Args:
        path: whose nodes move.
        segments: N, at least 2.
        method: gradient_descent, adam or lbfgs.
        lr: step size: of r for gradient_descent (stable below about 0.5) and lbfgs, in latent units for adam.
        iterations: the most steps.
        tolerance: predicted relative excess of length at which to stop, > 0.

    Attributes:
        report: level, iteration, residual_norm, predicted_excess, excess_of_pieces of the latest step.
    """

    def __init__(
        self,
        path: Path,
        segments: int,
        method: str = "gradient_descent",
        lr: float = 0.4,
        iterations: int = 500,
        tolerance: float = 1e-4,
    ) -> None:
        super().__init__(path, segments)
        if not tolerance > 0:
            raise UserError(
                f"optimizer.tolerance: got {tolerance}, expected a number above 0 (1e-4, say)."
            )
        if not lr > 0:
            raise UserError(f"optimizer.lr: got {lr}, expected a number above 0.")
        if method not in METHODS:
            raise UserError(
                f"optimizer.method: got {method!r}, expected one of {', '.join(METHODS)}."
            )
        self.lr, self.iterations, self.tolerance = lr, iterations, tolerance
        self._inner = _inner(method, path.nodes, lr)
        self._now |= {"steps_done": 0, "met": False, "known": None, "first": None}
        self._now |= {"shortest": None, "resolved": True}

    @property
    def converged(self) -> bool:
        return self._now["met"] and self._now["resolved"]

    @property
    def finished(self) -> bool:
        return self._now["met"] or self._now["steps_done"] >= self.iterations

    @property
    def evaluations_left(self) -> int:
        """The most score evaluations to come; the tolerance ends them sooner."""
        steps = 0 if self.finished else self.iterations - self._now["steps_done"]
        return steps * (self.segments - 1)

    def begin(self) -> None:
        """All segments at once."""
        self.path.refine(self.segments)

    def step(self, evaluation: LegEvaluation) -> None:
        """Step along −r, or finish without a step where the tolerance is met."""
        self._look(evaluation)
        if self._now["met"]:
            return
        self.path.nodes.grad = -self.path.chart(evaluation.residual.vector)
        self._inner.step(lambda: float(evaluation.action.length))
        self.path.set_nodes(self.path.points()[1:-1])
        self._now["steps_done"] += 1
        if self.finished:
            self._settle(evaluation)

    @torch.no_grad()
    def _look(self, evaluation: LegEvaluation) -> None:
        """Foretell the excess with the curvature that the moves have shown, and no more."""
        now, points, residual = self._now, evaluation.interior, evaluation.residual
        laplacian = Laplacian(len(points) + 1, residual.vector)
        known = Known.nothing(points) if now["known"] is None else Known.of(now["known"])
        known = known.after(points, residual)
        excess = float(known.secants.curvature.excess(residual, laplacian))
        length = float(evaluation.action.length)
        if now["steps_done"] == 0:
            now["first"] = length
        if now["shortest"] is None or length < now["shortest"][1]:
            now["shortest"] = points, length
        now["known"] = known.state()
        now["met"] = 0 <= excess < self.tolerance
        now["resolved"] = self.resolves(evaluation)
        self.report = {
            "level": len(points) + 1,
            "iteration": now["steps_done"],
            "residual_norm": float(laplacian.dual_norm(residual.vector)),
            "predicted_excess": excess,
            "excess_of_pieces": evaluation.excess_of_pieces,
        }

    def _settle(self, evaluation: LegEvaluation) -> None:
        """End with the shortest path that was seen, where the last one is longer than the first."""
        first = self._now["first"]
        longer = first is not None and float(evaluation.action.length) > first
        if longer and self.bends_length:
            self.path.set_nodes(self._now["shortest"][0])

    def state_dict(self) -> dict[str, Any]:
        """With the torch optimizer's own."""
        return super().state_dict() | {"inner": self._inner.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`; states of version 0.1 are read too."""
        former = "param_groups" in state
        inner = state if former else state.get("inner")
        super().load_state_dict({k: v for k, v in state.items() if former or k != "inner"})
        if not isinstance(inner, dict):
            raise ValueError("the state is of another optimizer, expected Descent's")
        groups = [{k: v for k, v in g.items() if k not in self._now} for g in inner["param_groups"]]
        self._inner.load_state_dict(on_device(inner | {"param_groups": groups}, self.path.start))

    def _missing(self, state: dict[str, Any]) -> dict[str, Any]:
        return {"known": None, "first": None, "shortest": None, "resolved": True}

    def _of_former_version(self, state: dict[str, Any]) -> dict[str, Any]:
        group = state["param_groups"][0]
        return {key: group[key] for key in self._now if key in group}


def _inner(method: str, nodes: Tensor, lr: float) -> TorchOptimizer:
    if method == "adam":
        return Adam([nodes], lr=lr)
    if method == "lbfgs":
        return LBFGS([nodes], lr=lr, max_iter=1, history_size=10)
    return SGD([nodes], lr=lr)
