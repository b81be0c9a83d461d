"""The one error that is addressed to the user."""

from __future__ import annotations

__all__ = ["UserError"]


class UserError(ValueError):
    """One sentence for the user: what was given, what is expected, what to do."""
