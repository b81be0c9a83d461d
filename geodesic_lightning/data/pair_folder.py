"""Many pairs of images in one folder, each by its number: MorphBench, or anybody's own.

The folder says what its pairs are in one of two ways:

    pairs.csv           a line a pair under the heading name,start,end,prompt_start,prompt_end; files are
                        relative to the folder, or addresses; prompts may be empty, and those with commas or
                        quotes in them stand in quotes: "a red, ""sly"" cat"
    a folder a pair     each with two images, the first by name being the start, and, if there are prompts,
                        prompts.txt with one line for both or a line each; folders may lie in folders

Pairs are numbered from 0 in the order of the lines, or of the folders' names, 2 before 10. Texts are read in any
encoding (text.py), columns may be apart by commas, semicolons or tabs, and hidden files and folders
are none. A line that could be read in another way than it was meant is refused, not guessed at.
"""

import csv
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from geodesic_lightning.data.address import is_address
from geodesic_lightning.data.frames import Frames, pair
from geodesic_lightning.data.paths import expanded, hidden, in_order, pictures_in, unreadable
from geodesic_lightning.data.text import read_text
from geodesic_lightning.errors import UserError

log = logging.getLogger("geodesic_lightning")

MANIFEST, PROMPTS = "pairs.csv", "prompts.txt"
COLUMNS = ("name", "start", "end", "prompt_start", "prompt_end")
DELIMITERS = (",", ";", "\t")  # what spreadsheets write, by their language
BACK = "\\"


@dataclass(frozen=True)
class PairFiles:
    """Where a pair's images are, files or addresses, and their prompts."""

    name: str
    start: Path | str
    end: Path | str
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
    lines = [(n, line) for n, line in enumerate(read_text(manifest).split("\n"), 1) if line.strip()]
    between = max(DELIMITERS, key=(lines[0][1] if lines else "").count)
    table = [(number, _cells(manifest, number, line, between)) for number, line in lines]
    columns = _columns(manifest, table[0][1] if table else [])
    found: list[PairFiles] = []
    for number, cells in table[1:]:
        if not any(cells):
            continue
        if any(cells[len(columns) :]):
            raise UserError(
                f"{manifest}, line {number}: got {len(cells)} columns under a heading of {len(columns)}, expected as "
                f"many: {_quoting(between)}."
            )
        row = dict.fromkeys(COLUMNS, "") | dict(zip(columns, cells))
        start, end = (_file(manifest, number, name, row[name]) for name in ("start", "end"))
        prompts = row["prompt_start"], row["prompt_end"] or row["prompt_start"]
        found.append(PairFiles(row["name"] or str(len(found)), start, end, *prompts))
    return found


def _cells(manifest: Path, number: int, line: str, between: str) -> list[str]:
    """The cells of one line; a text in quotes ends in it."""
    try:
        reader = csv.reader(
            [line.strip(" ")], delimiter=between, skipinitialspace=True, strict=True
        )
        return [cell.strip() for cell in next(reader)]
    except csv.Error as error:
        raise UserError(
            f"{manifest}, line {number} is not a table's line ({error}): close every quote in its line, and "
            f"{_quoting(between)}."
        ) from error


def _quoting(between: str) -> str:
    sign = {"\t": "tabs", ",": "commas", ";": "semicolons"}[between]
    return (
        f"put a text with {sign} or quotes in quotes, those in it doubled, as "
        f'"a red{between.strip() or ";"} ""sly"" cat"'
    )


def _columns(manifest: Path, heading: list[str]) -> list[str]:
    """The names of the columns, checked."""
    expected = f"expected the heading {','.join(COLUMNS)}"
    if missing := [name for name in COLUMNS[:3] if name not in heading]:
        raise UserError(f"{manifest} has no column {', '.join(missing)}, {expected}.")
    if twice := [name for name in COLUMNS if heading.count(name) > 1]:
        raise UserError(f"{manifest} has the column {twice[0]} twice, {expected}.")
    if unread := [name for name in heading if name and name not in COLUMNS]:
        log.warning("%s: the column %s is not read.", manifest, ", ".join(unread))
    return heading


def _file(manifest: Path, number: int, column: str, cell: str) -> Path | str:
    """What a cell names: an address, or a file that is there."""
    if is_address(cell):
        return cell
    file = manifest.parent / expanded(cell)
    if not cell or not _is(Path.is_file, file):
        slashes = f": folders are apart by /, write {cell.replace(BACK, '/')}"
        raise UserError(
            f"{manifest}, line {number}: there is no file {cell or '(empty)'} for {column}, expected an image, "
            f"relative to the folder{slashes if BACK in cell else ''}."
        )
    return file


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
