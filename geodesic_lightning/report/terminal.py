"""What is said on a terminal, and what is typed into it: its letters, its quotes, its paths."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["command", "forgiving", "short", "shown"]

PLAIN = re.compile(
    r"[\w.:/\\=+~-]+", re.ASCII
)  # means the same to cmd and PowerShell, quoted or not


def forgiving() -> None:
    """Let what is printed lose letters that the terminal's encoding has not, rather than end the program."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def command(settings: Sequence[str], windows: bool = os.name == "nt") -> str:
    """The line that is typed for a run with these settings, quoted for the shells of a system."""
    words = ("python", "-m", "geodesic_lightning", *settings)
    return " ".join(shown(word, windows) for word in words)


def shown(word: str, windows: bool = os.name == "nt") -> str:
    """One word of a command line as it is typed into a shell: sh, or cmd and PowerShell on Windows.

    These two have double quotes in common, and no way to write them inside each other: a text that has
    double quotes for Hydra gets single ones, which mean the same to it.
    """
    if not windows:
        return shlex.quote(word)
    if PLAIN.fullmatch(word):
        return word
    if "'" not in word and '\\"' not in word:
        word = word.replace('"', "'")
    inside = re.sub(r'(\\*)("|$)', lambda m: 2 * m[1] + ('\\"' if m[2] else ""), word)
    return f'"{inside}"'


def short(path: Path) -> str:
    """The path as one would type it here: relative where that is shorter, and possible."""
    whole = str(path.absolute())
    try:
        return min(os.path.relpath(path), whole, key=len)
    except ValueError:  # on another drive than the current folder
        return whole
