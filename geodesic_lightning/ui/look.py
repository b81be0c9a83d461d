"""What a run has to show, while it is solved and afterwards."""

from __future__ import annotations

import json
import re
import secrets
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image

from geodesic_lightning.data import ffmpeg
from geodesic_lightning.errors import UserError
from geodesic_lightning.report.summary_rows import rows

__all__ = ["Progress", "files", "growing", "packed", "progress", "summary"]

ROWS, GAP, WIDE = 6, 4, 1200  # films shown one below the other, px between frames, px of a row
FIRST = ("video.mp4", "video.gif", "strip.png", "curves.png", "report.html", "summary.json")
CLOCK = r"(?:(\d+):)?(\d+):(\d\d)"  # 2:05 or 1:02:05, as callbacks/progress.py writes it
KNOWN, LEFT = re.compile(CLOCK), re.compile(f"{CLOCK} left$")


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        text: in words.
        part: of the time that it and what it is at take, in [0, 1]; None where nobody knows.
    """

    text: str
    part: float | None = None


def progress(line: str) -> Progress:
    """Of a run's last line: `0:12 solving: step 3 · … · at most 0:40 left`."""
    found = KNOWN.match(line)
    if found is None:
        return Progress("Starting")
    spent, text = _seconds(found), line[found.end() :].strip()
    left = LEFT.search(text)
    part = None if left is None else spent / max(1, spent + _seconds(left))
    return Progress(text[:1].upper() + text[1:], part)


def growing(folder: Path) -> Image.Image | None:
    """The path as it was shown so far, one row of frames a film, the latest at the foot; None if there is none."""
    films = sorted((folder / "videos").glob("step_*.mp4"))
    if len(films) > ROWS:  # the first, and the latest
        films = [films[0], *films[1 - ROWS :]]
    strips = [strip for film in films if (strip := _strip(film)) is not None]
    if not strips:
        return None
    width = max(one.width for one in strips)
    height = sum(one.height + GAP for one in strips) - GAP
    sheet, top = Image.new("RGBA", (width, height)), 0
    for one in strips:
        sheet.paste(one, (0, top))
        top += one.height + GAP
    return sheet


@lru_cache(maxsize=64)
def _strip(film: Path) -> Image.Image | None:
    try:
        pictures = list(ffmpeg.frames(film))
    except UserError:  # no ffmpeg, or a film in a codec of its own: no reason to show nothing else
        return None
    if not pictures:
        return None
    count = len(pictures)
    width = (WIDE - GAP * (count - 1)) // count
    height = round(width * pictures[0].height / pictures[0].width)
    sheet = Image.new("RGBA", (WIDE, height))
    for number, picture in enumerate(pictures):
        sheet.paste(picture.resize((width, height)), (number * (width + GAP), 0))
    return sheet


def summary(folder: Path) -> list[tuple[str, str]]:
    """Rows of what the run found; none where it was not finished."""
    file = folder / "summary.json"
    if not file.exists():
        return []
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    said = list(rows(found))
    if short := found.get("not_converged"):
        said.insert(0, ("converged", str(short)))
    return [*said, *((name, f"{value:.4g}") for name, value in found.get("measures", {}).items())]


def files(folder: Path) -> list[Path]:
    """What the run wrote for people, the film first; nothing hidden, no logger's own folder."""
    found = [file for file in _all(folder) if "wandb" not in file.relative_to(folder).parts]
    found = [file for file in found if not _hidden(file, folder)]
    places = {name: place for place, name in enumerate(FIRST)}
    return sorted(found, key=lambda file: (places.get(file.name, len(FIRST)), str(file)))


def packed(folder: Path, home: Path) -> Path:
    """The whole folder as one file home/<date>_<time>.zip."""
    target = home / f"{folder.parent.name}_{folder.name}.zip"
    if not target.exists():
        unfinished = target.with_suffix(f".{secrets.token_hex(4)}")
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in _all(folder):
                archive.write(file, Path(folder.name) / file.relative_to(folder))
        unfinished.replace(target)
    return target


def _all(folder: Path) -> Iterator[Path]:
    """Files, no links: what they lead to is not the run's."""
    return (one for one in sorted(folder.rglob("*")) if one.is_file() and not one.is_symlink())


def _hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)


def _seconds(clock: re.Match[str]) -> int:
    hours, minutes, seconds = clock.groups()
    return 3600 * int(hours or 0) + 60 * int(minutes) + int(seconds)
