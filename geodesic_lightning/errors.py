"""The one error that is addressed to the user."""

from __future__ import annotations

from importlib.util import find_spec

__all__ = ["UserError", "out_of_memory", "require"]

# What torch says where a device or the machine had no memory left; its own error is for GPUs alone.
NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")


class UserError(ValueError):
    """One sentence for the user: what was given, what is expected, what to do."""


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
