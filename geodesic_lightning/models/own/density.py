"""Somebody's log p as a Density: asked where it lives, checked every time, its score by autograd.

    score(x) = ∂/∂x Σ_i log p(x_i)

x are ordinary tensors for it, whatever mode the program computes in: it may use autograd itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from geodesic_lightning.caller.surroundings import callers_dtype
from geodesic_lightning.errors import UserError
from geodesic_lightning.models.exact.density import Density
from geodesic_lightning.models.own.find import told
from geodesic_lightning.models.own.target import Target

__all__ = ["OwnDensity"]


@dataclass(frozen=True, eq=False, kw_only=True)
class OwnDensity(Density):
    """A Target between its ends. sigma is 1/√λ of its curvature bound λ, known or estimated."""

    target: Target

    def log_density(self, x: Tensor) -> Tensor:
        """log p in nats at x (n, d), shape (n,); differentiable where x asks for it and the target's is."""
        with ordinary(torch.is_grad_enabled() and x.requires_grad):
            return self._log_density(self._there(x)).to(x)

    def score(self, x: Tensor) -> Tensor:
        """grad log p at x (n, d), shape (n, d); NaN where log p is not finite, whatever autograd says."""
        if self.target.score is not None:
            with ordinary(False):
                given = self._asked("score", self.target.score, self._there(x), x.shape)
            return given.detach().to(x)
        with ordinary(True):
            there = self._there(x).detach().requires_grad_()
            values = self._log_density(there)
            found = None
            if values.requires_grad:
                (found,) = torch.autograd.grad(values.sum(), there, allow_unused=True)
        if found is None:
            raise UserError(
                f"model.target: no gradient leads from the log density of {self.target.name} back to x: "
                "compute it by torch from x alone, without detach() or .item(), or give it a score(x)."
            )
        return found.where(values.detach().isfinite()[:, None], torch.nan).to(x)

    def _there(self, x: Tensor) -> Tensor:
        """x where the target lives, an ordinary tensor that nobody else holds."""
        return x.to(self.target.device, self.target.dtype, copy=True)

    def _log_density(self, x: Tensor) -> Tensor:
        return self._asked("log density", self.target.log_density, x, x.shape[:-1])

    def _asked(
        self, what: str, call: Callable[[Tensor], Any], x: Tensor, shape: torch.Size
    ) -> Tensor:
        """call(x), a floating tensor of that shape; UserError otherwise."""
        name, points = self.target.name, tuple(x.shape)
        precision = str(x.dtype).removeprefix("torch.")
        try:
            with callers_dtype():
                found = call(x)
        except Exception as error:
            raise UserError(
                f"model.target: the {what} of {name} fails at points of shape {points}, {precision} on "
                f"{x.device} ({told(error)}): mend it, or the points; debug=true shows where."
            ) from error
        if not isinstance(found, Tensor):
            raise UserError(
                f"model.target: the {what} of {name} is a {type(found).__name__}, expected a tensor of "
                f"shape {tuple(shape)} for points of shape {points}: compute it by torch."
            )
        if found.shape != shape or not found.is_floating_point():
            kind = str(found.dtype).removeprefix("torch.")
            raise UserError(
                f"model.target: the {what} of {name} has the shape {tuple(found.shape)} ({kind}), "
                f"expected {tuple(shape)} of real numbers for points of shape {points}: one "
                f"{'number' if len(shape) == 1 else 'vector'} a point."
            )
        return found


@contextmanager
def ordinary(grad: bool) -> Iterator[None]:
    """Inside, tensors are ordinary ones, and gradients are followed or not."""
    with torch.inference_mode(False), torch.set_grad_enabled(grad):
        yield
