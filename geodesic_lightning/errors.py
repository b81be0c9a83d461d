"""The one error that is addressed to the user."""

from __future__ import annotations

from importlib.util import find_spec

__all__ = ["NotConvergedWarning", "UserError", "require"]


class UserError(ValueError):
    """One sentence for the user: what was given, what is expected, what to do."""


class NotConvergedWarning(UserWarning):
    """A path was not solved to its tolerance: how far it got, and the one setting to change."""


def require(package: str, sentence: str) -> None:
    """Raise UserError with this sentence where a package is not installed; it is not imported for that.

    Whoever will need the package asks when it is made, not when it comes to its work: between the two a path
    is solved.
    """
    if find_spec(package) is None:
        raise UserError(sentence)
