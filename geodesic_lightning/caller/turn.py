"""One at a time: what patches things that a whole process shares waits for its turn.

Libraries patch torch while they load a model (the meta device), Lightning and the warnings module keep what they
found and put it back. Two of these at once undo each other's patch, and the process is spoilt. So a call of
the Python interface has the process to itself, and so has whoever silences libraries or loads by them.
"""

from __future__ import annotations

import os
import threading
from contextlib import AbstractContextManager
from typing import Any

__all__ = ["turn"]

_lock = threading.RLock()


def turn() -> AbstractContextManager[Any]:
    """Inside, no other thread is at work; the same thread may enter again, from a progress callback, say.

    Whoever waits can be interrupted by Ctrl-C. A process that is forked meanwhile waits for nobody.
    """
    return _lock


def _anew() -> None:
    """In a child, the thread that held the lock is not there to release it."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_anew)
