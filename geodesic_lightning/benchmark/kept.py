"""What benchmarks share: the pairs held out for them, and the rows that an interrupted one has left."""

import json
from pathlib import Path
from typing import TypeVar

Row = TypeVar("Row")

HELD_OUT = tuple(f"eval_{k:02d}" for k in range(24))
"""Shipped pairs that nothing was chosen on."""

NAMED = ("pair_cat", "pair_ears", "pair_mood", "pair_colour", "pair_far", "pair_near")
"""The hand-made pairs: what is chosen is chosen on these."""


def rows(file: Path, kind: type[Row]) -> list[Row]:
    """The rows of a former run in its JSON file; none where there is no file."""
    if not file.exists():
        return []
    return [kind(**row) for row in json.loads(file.read_text(encoding="utf-8"))["rows"]]
