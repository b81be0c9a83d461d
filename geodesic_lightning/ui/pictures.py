"""Uploaded pictures, put into a run's folder under names of ours: no path comes from a browser."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from geodesic_lightning.cli.compose import PACKAGE
from geodesic_lightning.errors import UserError

__all__ = ["MOST", "check", "kept", "shipped", "shipped_name"]

SHIPPED = PACKAGE / "models" / "embedded" / "pairs"
NAMES = ("pair_cat", "pair_colour", "pair_ears", "pair_far", "pair_mood", "pair_near")
MOST = 32  # pictures of one path
LONGEST = 60  # letters of a name


def check(pictures: Sequence[Path]) -> None:
    """Raise UserError for more than MOST."""
    if len(pictures) > MOST:
        raise UserError(f"Got {len(pictures)} pictures, expected at most {MOST}: leave some out.")


def kept(pictures: Sequence[Path], folder: Path) -> tuple[Path, ...]:
    """Copies in folder/given, numbered: 1_cat.png, 2_lion.jpg, …"""
    home, copies = folder / "given", []
    for number, picture in enumerate(pictures, 1):
        home.mkdir(exist_ok=True)
        name = re.sub(r"[^\w.-]+", "_", picture.name, flags=re.ASCII)[-LONGEST:]
        copies.append(home / f"{number}_{name}")
        shutil.copyfile(picture, copies[-1])
    return tuple(copies)


@cache
def shipped() -> dict[str, tuple[Path, Path, str, str]]:
    """The pairs that come with the project: both files, both prompts, by name."""
    told = json.loads((SHIPPED / "pairs.json").read_text(encoding="utf-8"))
    return {
        name: (
            SHIPPED / f"{name}_start.png",
            SHIPPED / f"{name}_end.png",
            told[name]["prompt_start"],
            told[name]["prompt_end"],
        )
        for name in NAMES
    }


def shipped_name(pictures: Sequence[Path], prompts: Sequence[str]) -> str | None:
    """The shipped pair that these pictures and prompts are, byte for byte; None if they are none."""
    if len(pictures) != 2:
        return None
    given = [picture.read_bytes() for picture in pictures]
    for name, (start, end, *told) in shipped().items():
        if list(prompts) == told and given == [start.read_bytes(), end.read_bytes()]:
            return name
    return None
