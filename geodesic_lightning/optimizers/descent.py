"""Any optimizer of torch on the elastic string: it descends along −r, and nodes are put back on the manifold.

The gradient that the solver gives is −r (length.residual), the force of a string whose tension keeps its nodes
equally spaced. r has no potential, so an optimizer with a line search has nothing to search on.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.optim import LBFGS, SGD, Adam, Optimizer

from geodesic_lightning.errors import UserError
from geodesic_lightning.geometry.laplacian import Laplacian
from geodesic_lightning.problems.boundary_value import Problem


class Descent(Optimizer):
    """Iterate a torch optimizer on the nodes of one level until η < tolerance or `iterations` are spent.

    Args:
        parameters: the path's nodes, alone.
        problem: the geodesic problem that `closure` evaluates.
        segments: N, at least 2.
        method: gradient_descent, adam or lbfgs.
        lr: step size: of r for gradient_descent (stable below about 0.5) and lbfgs, in latent units for adam.
        iterations: the most steps.
        tolerance: predicted relative excess of length at which to stop, > 0.
    """

    any_functional = True  # of the residual nothing is asked but that it is brought to 0
    METHODS = ("gradient_descent", "adam", "lbfgs")

    def __init__(
        self,
        parameters,
        problem: Problem,
        segments: int,
        method: str = "gradient_descent",
        lr: float = 0.4,
        iterations: int = 500,
        tolerance: float = 1e-4,
    ) -> None:
        if segments < 2:
            raise UserError(f"solver.segments: got {segments}, expected at least 2.")
        if not tolerance > 0:
            raise UserError(
                f"optimizer.tolerance: got {tolerance}, expected a number above 0 (1e-4, say)."
            )
        if not lr > 0:
            raise UserError(f"optimizer.lr: got {lr}, expected a number above 0.")
        if method not in self.METHODS:
            raise UserError(
                f"optimizer.method: got {method!r}, expected one of {', '.join(self.METHODS)}."
            )
        self.segments = segments
        self.inner = {
            "gradient_descent": lambda p: SGD(p, lr=lr),
            "adam": lambda p: Adam(p, lr=lr),
            "lbfgs": lambda p: LBFGS(p, lr=lr, max_iter=1, history_size=10),
        }[method](parameters)
        super().__init__(self.inner.param_groups, self.inner.defaults)
        self.inner.param_groups, self.inner.state = self.param_groups, self.state
        self.problem, self.iterations, self.tolerance = problem, iterations, tolerance
        self.report: dict[str, float] = {}
        self.param_groups[0].update(begun=False, steps_done=0, met=False)

    def load_state_dict(self, state_dict: dict) -> None:
        """Load, and let the inner optimizer see what was loaded."""
        super().load_state_dict(state_dict)
        self.inner.param_groups, self.inner.state = self.param_groups, self.state

    @property
    def converged(self) -> bool:
        return self.param_groups[0]["met"]

    @property
    def finished(self) -> bool:
        return self.converged or self.param_groups[0]["steps_done"] >= self.iterations

    @property
    def evaluations_left(self) -> int:
        """The most score evaluations to come; the tolerance ends them sooner."""
        steps = 0 if self.finished else self.iterations - self.param_groups[0]["steps_done"]
        return steps * (self.segments - 1)

    def step(self, closure: Callable[[], Tensor]) -> Tensor:  # type: ignore[override]
        """Evaluate by `closure` and step, or finish without a step where the path has converged."""
        group = self.param_groups[0]
        if not group["begun"]:
            group["begun"] = True
            self.problem.path.refine(self.segments)
        first: list[Tensor] = []

        def once() -> Tensor:
            if not first:
                first.append(closure())
                self._look()
            return first[0]

        once()
        if not self.converged:
            self.inner.step(once)
            self.problem.path.place(self.problem.path.points()[1:-1])
            group["steps_done"] += 1
        return first[0]

    @torch.no_grad()
    def _look(self) -> None:
        residual, group = self.problem.latest.residual, self.param_groups[0]
        laplacian = Laplacian(len(residual.vector) + 1, residual.vector)
        bound = self.problem.score.curvature_bound or 0.0
        shift = 0.5 * residual.weight * bound
        excess = predicted_excess(
            residual.vector, laplacian.solve(residual.vector, shift), residual.spacing
        )
        group["met"] = 0 <= float(excess) < self.tolerance
        self.report = {
            "level": len(residual.vector) + 1,
            "iteration": group["steps_done"],
            "residual_norm": float(laplacian.dual_norm(residual.vector)),
            "predicted_excess": float(excess),
        }


def predicted_excess(residual: Tensor, step: Tensor, spacing: Tensor) -> Tensor:
    """η = Σ r·F/(2Nℓ²): by how much, relatively, the step F would shorten the path."""
    return (residual * step).sum() / (2 * (len(residual) + 1) * spacing**2)
