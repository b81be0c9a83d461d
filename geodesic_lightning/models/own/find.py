"""An object by its dotted name, from the current folder or from what is installed."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from geodesic_lightning.errors import UserError

__all__ = ["find"]

WRITE = "write model.target=module.name, of a file module.py in the current folder or of what is installed"


def find(name: str) -> Any:
    """What a dotted name stands for; a module of the current folder comes before an installed one.

    Raises:
        UserError: there is no such module, it fails while it is imported, or has no such name.
    """
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts):
        raise UserError(f"model.target: got {name!r}, expected a dotted name: {WRITE}.")
    with current_folder():
        module, rest = _imported(name, parts)
    found, where = module, module.__name__
    for part in rest:
        if not hasattr(found, part):
            raise UserError(f"model.target: {where} has no {part!r}, expected {_names(found)}.")
        found, where = getattr(found, part), f"{where}.{part}"
    return found


@contextmanager
def current_folder() -> Iterator[None]:
    """Inside, modules of the current folder are found, as `python -m` finds them."""
    here = os.getcwd()
    sys.path.insert(0, here)
    importlib.invalidate_caches()  # a file may have been written since the folder was last looked at
    try:
        yield
    finally:
        sys.path.remove(here)


def _imported(name: str, parts: list[str]) -> tuple[Any, list[str]]:
    """The innermost module of the name, and what is left of the name."""
    for count in range(len(parts), 0, -1):
        module = ".".join(parts[:count])
        try:
            if find_spec(module) is None:
                continue
        except ModuleNotFoundError:  # what stands before the last point is no package
            continue
        except Exception as error:
            raise _failed(module, error) from error
        try:
            return importlib.import_module(module), parts[count:]
        except Exception as error:
            raise _failed(module, error) from error
        except SystemExit as error:
            raise _failed(module, error) from error
    raise UserError(
        f"model.target: got {name!r}, but there is no module {parts[0]!r} in {os.getcwd()} or among "
        f"what is installed: {WRITE}."
    )


def _failed(module: str, error: BaseException) -> UserError:
    return UserError(
        f"model.target: importing {module} fails ({told(error)}): mend it; debug=true shows where."
    )


def told(error: BaseException) -> str:
    """An exception in half a line: its kind and the first line of what it says."""
    said = (str(error).strip() or "no message").splitlines()[0].strip().rstrip(".:")
    return f"{type(error).__name__}: {said[:160]}"


def _names(found: Any) -> str:
    """What could have been meant."""
    names = [name for name in vars(found) if not name.startswith("_")] if vars_of(found) else []
    own = [name for name in names if callable(getattr(found, name))]
    return f"one of {', '.join(own[:8])}" if own else "a name that it has"


def vars_of(found: Any) -> bool:
    """It has a table of names."""
    return hasattr(found, "__dict__")
