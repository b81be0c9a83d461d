"""The one error that is addressed to the user, and what helps where the system refuses."""

from __future__ import annotations

import errno
from importlib.util import find_spec

__all__ = ["ADVICE", "NotConvergedWarning", "UserError", "advice", "out_of_memory", "require"]


# What helps, by what the system says; where it says something else, whoever asked knows better.
ADVICE = {
    errno.ENOSPC: "the disk is full: free some space, or choose a folder on another disk",
    errno.EDQUOT: "the space that you may use is used up: free some of it, or choose a folder on another disk",
    errno.EFBIG: "files may not become so large here: raise ulimit -f, or choose a folder on another disk",
    errno.EROFS: "nothing can be written to this disk: choose a folder on another one",
    errno.ENAMETOOLONG: "the name is too long: give a shorter one",
    errno.EIO: "the disk fails: use another one",
    errno.EMFILE: "too many files are open: raise ulimit -n",
}
# What torch says where a device or the machine had no memory left; its own error is for GPUs alone.
NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")


class UserError(ValueError):
    """One sentence for the user: what was given, what is expected, what to do."""


class NotConvergedWarning(UserWarning):
    """A path was not solved to its tolerance: how far it got, and the one setting to change."""


def advice(error: BaseException, usual: str) -> str:
    """What to do about an OSError, without stop: by its number, else what is usual where it happened."""
    number = getattr(error, "errno", None)
    return usual if number is None else ADVICE.get(number, usual)


def require(package: str, sentence: str) -> None:
    """Raise UserError with this sentence where a package is not installed; it is not imported for that.

    Whoever will need the package asks when it is made, not when it comes to its work: between the two a path
    is solved.
    """
    if find_spec(package) is None:
        raise UserError(sentence)


def out_of_memory(error: BaseException) -> bool:
    """A device or the machine had no memory left."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in text for words in NO_MEMORY)
