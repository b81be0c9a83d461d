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
        found = _module(parts[0])
        if found is None:
            raise UserError(
                f"model.target: got {name!r}, but there is no module {parts[0]!r} in {os.getcwd()} or "
                f"among what is installed: {WRITE}."
            )
        for k, part in enumerate(parts[1:], 1):
            where = ".".join(parts[:k])
            if not hasattr(found, part) and hasattr(found, "__path__"):
                _module(f"{where}.{part}")  # which makes it an attribute of its package
            if not hasattr(found, part):
                raise UserError(f"model.target: {where} has no {part!r}{_expected(found)}.")
            found = getattr(found, part)
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


def _module(name: str) -> Any:
    """The module of that name, whose package has been imported; None where there is none."""
    try:
        return importlib.import_module(name) if find_spec(name) else None
    except (Exception, SystemExit) as error:
        raise UserError(
            f"model.target: importing {name} fails ({told(error)}): mend it; debug=true shows where."
        ) from error


def told(error: BaseException) -> str:
    """An exception in half a line: its kind and the first line of what it says."""
    said = (str(error).strip() or "no message").splitlines()[0].strip().rstrip(".:")
    return f"{type(error).__name__}: {said[:160]}"


def _expected(found: Any) -> str:
    """What could have been meant."""
    names = [name for name, value in vars(found).items() if callable(value)]
    public = [name for name in names if not name.startswith("_")]
    return f", expected one of {', '.join(public[:8])}" if public else ""
