"""What is taken for a setting of some kind: each is handed a value and returns it in Python's own types.

    whole    8, 8.0, np.int64(8), torch.tensor(8)
    number   the same, and 1.5, Fraction(3, 2), torch.tensor([1.5]); finite

True and False are no numbers here, and text is none either. All raise TypeError for what is of another kind.
"""

from __future__ import annotations

import math
import numbers
import reprlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from torch import Tensor

__all__ = [
    "flag",
    "made",
    "maker",
    "number",
    "one_of",
    "optional",
    "pair",
    "shown",
    "text",
    "texts",
    "whole",
    "wholes",
]

Take = Callable[[Any], Any]


def number(value: Any) -> int | float:
    """A finite number; of tensors and arrays, those of one number."""
    if isinstance(value, Tensor | np.ndarray | np.generic) and math.prod(value.shape) == 1:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError
    try:
        found = value if isinstance(value, int) else float(value)
        if not math.isfinite(found):
            raise TypeError
    except OverflowError as error:  # a whole number beyond all floats
        raise TypeError from error
    return found


def whole(value: Any) -> int:
    """A whole number."""
    found = number(value)
    if found != int(found):
        raise TypeError
    return int(found)


def flag(value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError
    return bool(value)


def text(value: Any) -> str:
    """Text."""
    if not isinstance(value, str):
        raise TypeError
    return value


def texts(value: Any) -> tuple[str, ...]:
    """Several texts; one alone is none of them."""
    return tuple(text(one) for one in _several(value))


def wholes(value: Any) -> tuple[int, ...]:
    """Several whole numbers."""
    return tuple(whole(one) for one in _several(value))


def pair(value: Any) -> tuple[int, int]:
    """Two whole numbers."""
    first, second = wholes(value) if len(_several(value)) == 2 else (None, None)
    if first is None or second is None:
        raise TypeError
    return first, second


def maker(value: Any) -> Any:
    """Something that can be called: a function, a class, a partial of one."""
    if not callable(value):
        raise TypeError
    return value


def made(*members: str) -> Take:
    """An object that can be called, no class, and that has these members."""

    def take(value: Any) -> Any:
        if isinstance(value, type) or not all(hasattr(value, name) for name in members):
            raise TypeError
        return maker(value)

    return take


def optional(take: Take) -> Take:
    """What `take` takes, or None."""
    return lambda value: None if value is None else take(value)


def one_of(words: Iterable[str]) -> Take:
    """One of these words."""
    known = tuple(words)

    def take(value: Any) -> str:
        if not isinstance(value, str) or value not in known:
            raise TypeError
        return value

    return take


def _several(value: Any) -> Sequence[Any]:
    if isinstance(value, Tensor | np.ndarray) and value.ndim == 1:
        return value.tolist()
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise TypeError
    return value


def shown(value: Any) -> str:
    """A value as a sentence has it: on one line, and not long."""
    words = " ".join(_brief.repr(value).split())
    return words if len(words) <= 80 else f"{words[:77]}..."


_brief = reprlib.Repr()
_brief.maxstring = _brief.maxother = 80
