"""Many pairs of images in one folder, each by its number: MorphBench, or anybody's own.

The folder says what its pairs are in one of two ways:

    pairs.csv           a line a pair under the heading name,start,end,prompt_start,prompt_end; files are
                        relative to the folder, prompts may be empty
    a folder a pair     each with two images, the first by name being the start, and, if there are prompts,
                        prompts.txt with one line for both or a line each; folders may lie in folders

Pairs are numbered from 0 in the order of the lines, or of the folders' names, 2 before 10. Texts are read in any
encoding (text.py), columns may be apart by commas, semicolons or tabs, and hidden files and folders
are none.
"""

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from geodesic_lightning.data.frames import Frames, pair
from geodesic_lightning.data.paths import expanded, hidden, in_order, pictures_in, unreadable
from geodesic_lightning.data.text import read_text
from geodesic_lightning.errors import UserError

MANIFEST, PROMPTS = "pairs.csv", "prompts.txt"
COLUMNS = ("name", "start", "end", "prompt_start", "prompt_end")
DELIMITERS = (",", ";", "\t")  # what spreadsheets write, by their language


@dataclass(frozen=True)
class PairFiles:
    """Where a pair's images are, and their prompts."""

    name: str
    start: Path
    end: Path
    prompt_start: str = ""
    prompt_end: str = ""


def numbered(root: str, number: int, fit: str = "crop", anchor: str = "center") -> Frames:
    """The pair of this number; UserError for a folder without pairs and a number beyond them."""
    found = pairs_in(root)
    if not 0 <= number < len(found):
        raise UserError(
            f"data.number: got {number}, expected 0 to {len(found) - 1}: {root} holds {len(found)} pairs."
        )
    one = found[number]
    prompts = one.prompt_start, one.prompt_end
    return pair(one.start, one.end, *prompts, fit=fit, anchor=anchor)


def pairs_in(root: str | Path) -> list[PairFiles]:
    """All pairs of a folder.

    Raises:
        UserError: there is no such folder, it holds no pair, or a line or a folder is not as it should be.
    """
    folder = expanded(root) if str(root) else None
    if folder is None or not _is(Path.is_dir, folder):
        raise UserError(
            f"data.root: got {str(root)!r}, expected a folder of pairs: with {MANIFEST}, or with a folder of "
            "two images a pair."
        )
    manifest = folder / MANIFEST
    found = _listed(manifest) if _is(Path.exists, manifest) else _folders(folder)
    if not found:
        raise UserError(
            f"data.root: {folder} holds no pairs, expected {MANIFEST}, or a folder of two images a pair."
        )
    return found


def _listed(manifest: Path) -> list[PairFiles]:
    text = read_text(manifest)
    heading = text.partition("\n")[0]
    between = max(DELIMITERS, key=heading.count)
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=between)
        columns = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = columns
        rows = [{key: (row.get(key) or "").strip() for key in COLUMNS} for row in reader]
    except csv.Error as error:
        raise UserError(f"{manifest} is not a table ({error}): save it as CSV.") from error
    if missing := [c for c in COLUMNS[:3] if c not in columns]:
        raise UserError(
            f"{manifest} has no column {', '.join(missing)}, expected the heading {','.join(COLUMNS)}."
        )
    for number, row in enumerate(rows, start=2):
        for end in ("start", "end"):
            if not row[end] or not _is(Path.is_file, manifest.parent / expanded(row[end])):
                raise UserError(
                    f"{manifest}, line {number}: there is no file {row[end] or '(empty)'} for {end}, expected "
                    "an image, relative to the folder."
                )
    return [
        PairFiles(
            row["name"] or str(number),
            manifest.parent / expanded(row["start"]),
            manifest.parent / expanded(row["end"]),
            row["prompt_start"],
            row["prompt_end"] or row["prompt_start"],
        )
        for number, row in enumerate(rows)
    ]


def _is(question: Callable[[Path], bool], path: Path) -> bool:
    try:
        return question(path)
    except (OSError, ValueError):  # a name too long, or with a character that none may have
        return False


def _folders(root: Path) -> list[PairFiles]:
    found = []
    try:
        folders = [p for p in root.rglob("*") if not hidden(p, root) and p.is_dir()]
    except OSError as error:
        raise unreadable(error.filename or root, error) from error
    for folder in in_order(folders):
        images = pictures_in(folder)
        if not images:
            continue
        if len(images) != 2:
            raise UserError(
                f"data.root: {folder} holds {len(images)} images, expected two: a pair."
            )
        first, last = _prompts(folder / PROMPTS)
        start, end = images
        found.append(PairFiles(folder.relative_to(root).as_posix(), start, end, first, last))
    return found


def _prompts(file: Path) -> tuple[str, str]:
    if not file.exists():
        return "", ""
    lines = [line.strip() for line in read_text(file).split("\n") if line.strip()]
    if len(lines) not in (1, 2):
        raise UserError(
            f"{file} has {len(lines)} lines, expected one prompt for both images or one for each."
        )
    return lines[0], lines[-1]
