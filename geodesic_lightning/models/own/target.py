"""What somebody's density may be, and what is asked of it.

    log_density(x)   log p in nats, up to a constant: x (n, d) gives (n,)
    score(x)         optional: its gradient, (n, d); autograd's if there is none
    dimension        optional: d
    curvature        optional: a number that −∇²log p nowhere exceeds; estimated if there is none

The target is an object that has these, a class that makes one without arguments, or a module; a
function of x is a log density by itself. `log_prob` of torch's distributions is log_density too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from geodesic_lightning.errors import UserError
from geodesic_lightning.models.own.find import find, told

__all__ = ["Target"]

VERBS = ("log_density", "log_prob")
EXPECTED = "expected an object with log_density(x), a class that makes one, or a function of x"


@dataclass(frozen=True, eq=False)
class Target:
    """Somebody's density, taken apart.

    Attributes:
        name: its own.
        log_density, score: as they were written; score is None where there is none.
        dimension, curvature: None where they are not known.
        device, dtype: where it is asked: where the weights of a torch module are, and in their
            precision; otherwise on the CPU in float64.
    """

    name: str
    log_density: Callable[[Tensor], Any]
    score: Callable[[Tensor], Any] | None = None
    dimension: int | None = None
    curvature: float | None = None
    device: torch.device = torch.device("cpu")  # noqa: RUF009 (it never changes)
    dtype: torch.dtype = torch.float64

    @classmethod
    def of(cls, given: Any) -> Target:
        """The density that a dotted name stands for, or the object itself.

        Raises:
            UserError: it cannot be found or made, or is no density.
        """
        name = given if isinstance(given, str) else _name_of(given)
        found = _made(find(given) if isinstance(given, str) else given, name)
        verb = next((v for v in VERBS if callable(getattr(found, v, None))), None)
        if verb is None and not callable(found):
            raise UserError(f"model.target: {name} is of type {type(found).__name__}, {EXPECTED}.")
        score = getattr(found, "score", None)
        if score is not None and not callable(score):
            raise UserError(f"model.target: {name}.score is {score!r}, expected a method of x.")
        device, dtype = _home(found)
        return cls(
            name=name,
            log_density=getattr(found, verb) if verb else found,
            score=score,
            dimension=_dimension(found, name),
            curvature=_curvature(found, name),
            device=device,
            dtype=dtype,
        )


def _name_of(given: Any) -> str:
    named = given if hasattr(given, "__qualname__") or hasattr(given, "__name__") else type(given)
    return str(getattr(named, "__qualname__", getattr(named, "__name__", "density")))


def _made(found: Any, name: str) -> Any:
    """An object: of a class one that it makes."""
    if not isinstance(found, type):
        return found
    try:
        made = found()
    except Exception as error:
        raise UserError(
            f"model.target: {name}() fails ({told(error)}): expected a class that takes no arguments; "
            "give what it needs a default."
        ) from error
    return made.eval() if isinstance(made, nn.Module) else made


def _home(found: Any) -> tuple[torch.device, torch.dtype]:
    weights = [*found.parameters(), *found.buffers()] if isinstance(found, nn.Module) else []
    for weight in weights:
        if weight.is_floating_point():
            return weight.device, weight.dtype
    return torch.device("cpu"), torch.float64


def _dimension(found: Any, name: str) -> int | None:
    value = getattr(found, "dimension", None)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UserError(
            f"model.target: {name}.dimension is {value!r}, expected a whole number of at least 1."
        )
    return value


def _curvature(found: Any, name: str) -> float | None:
    value = getattr(found, "curvature", None)
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 < number < math.inf:
        raise UserError(
            f"model.target: {name}.curvature is {value!r}, expected a number above 0 that "
            "-Hessian log p nowhere exceeds: leave it out to have it estimated."
        )
    return number
