"""Paths as people type them, and which files of a folder are data."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from geodesic_lightning.errors import UserError, advice

__all__ = [
    "PICTURES",
    "expanded",
    "hidden",
    "in_order",
    "pictures_at",
    "pictures_in",
    "printable",
    "unreadable",
]

PICTURES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"),
    *(".avif", ".heic", ".heif", ".jp2"),
)
NOTES = ("thumbs.db", "desktop.ini", "__macosx")  # what systems leave in folders, in lower case


def expanded(path: str | os.PathLike[Any]) -> Path:
    """The path with ~ and ~name as home folders; as it stands where there is no such home."""
    # pathlib's own raises where there is no such home
    return Path(os.path.expanduser(os.fsdecode(path)))


def printable(name: str) -> str:
    """A file's name as text: bytes of it that are no UTF-8 by their numbers, since no page or table takes them."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def hidden(path: Path, root: Path | None = None) -> bool:
    """Whether a system or an editor left this file, or a folder it lies in below root.

    Names that begin with a dot (._a.png, .ipynb_checkpoints, .DS_Store), Thumbs.db, desktop.ini and
    __MACOSX: never data.
    """
    names = path.relative_to(root).parts if root else (path.name,)
    return any(name.startswith(".") or name.lower() in NOTES for name in names)


def pictures_in(folder: Path, endings: Iterable[str] = PICTURES) -> list[Path]:
    """The files of a folder whose names end as pictures' do, in_order; hidden ones are none.

    Raises UserError for a folder that may not be read.
    """
    wanted = tuple(endings)
    try:
        found = [file for file in folder.iterdir() if file.suffix.lower() in wanted]
    except OSError as error:
        raise unreadable(error.filename or folder, error) from error
    return in_order(file for file in found if not hidden(file))


def pictures_at(where: str | os.PathLike[Any]) -> list[Path]:
    """The pictures of a folder, or those that a pattern finds (* ? [] and ** for folders), in_order.

    Raises UserError for a word that is neither, or where nothing is found.
    """
    folder, found = expanded(where), []
    try:
        if str(where).strip() and folder.is_dir():
            found = pictures_in(folder)
        elif glob.has_magic(str(where)):
            root = next(one for one in folder.parents if not glob.has_magic(str(one)))
            files = (Path(name) for name in glob.iglob(str(folder), recursive=True))
            found = in_order(
                f for f in files if f.suffix.lower() in PICTURES and not hidden(f, root)
            )
    except (OSError, ValueError) as error:
        # A name too long, or with a character that none may have.
        raise UserError(f"{where} cannot be read ({error}): check the path.") from error
    if not found:
        raise UserError(
            f"Got {str(where)!r}, where there are no pictures, expected a folder of them, a pattern as "
            "'pictures/*.png', or a list of files."
        )
    return found


def in_order(paths: Iterable[Path]) -> list[Path]:
    """Paths by name, folder by folder, as people count: img2 before img10, a before B."""

    def pieces(name: str) -> list[int | str]:
        parts = re.split(r"([0-9]+)", name.casefold())  # words and numbers take turns
        return [int(part) if part.isdecimal() else part for part in parts]

    return sorted(paths, key=lambda path: ([pieces(part) for part in path.parts], path))


def unreadable(path: object, error: OSError) -> UserError:
    """The one sentence for what the system refuses to show."""
    return UserError(
        f"{path} cannot be read ({error.strerror or error}): "
        f"{advice(error, 'check the path and its permissions')}."
    )
