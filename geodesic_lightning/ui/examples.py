"""The shipped pairs, to click on: one small picture a pair, both of its images in it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from geodesic_lightning.ui.pictures import shipped

__all__ = ["Example", "examples"]

SIDE = 96  # px of an image in it


@dataclass(frozen=True)
class Example:
    """What a click puts on the page, and what there is to click on."""

    start: str
    end: str
    prompts: tuple[str, str]
    shown: str


def examples(home: Path) -> list[Example]:
    """All of them; copies in home/examples, for an installed package is no place to serve files from."""
    place, made = home / "examples", []
    place.mkdir(exist_ok=True)
    for name, (start, end, *prompts) in shipped().items():
        copies = [Path(shutil.copy(file, place)) for file in (start, end)]
        both = Image.new("RGB", (2 * SIDE, SIDE))
        for number, copy in enumerate(copies):
            with Image.open(copy) as image:
                both.paste(image.convert("RGB").resize((SIDE, SIDE)), (number * SIDE, 0))
        shown = place / f"{name}.png"
        both.save(shown)
        made.append(Example(str(copies[0]), str(copies[1]), (prompts[0], prompts[1]), str(shown)))
    return made
