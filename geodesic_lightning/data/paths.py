"""Paths as people type them, and which files of a folder are data."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from geodesic_lightning.errors import UserError

__all__ = ["PICTURES", "expanded", "hidden", "pictures_in", "unreadable"]

PICTURES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"),
    *(".avif", ".heic", ".heif", ".jp2"),
)
NOTES = ("thumbs.db", "desktop.ini", "__macosx")  # what systems leave in folders, in lower case


def expanded(path: str | Path) -> Path:
    """The path with ~ and ~name as home folders; as it stands where there is no such home."""
    return Path(os.path.expanduser(path))  # pathlib's own raises where there is no such home


def hidden(path: Path, root: Path | None = None) -> bool:
    """Whether a system or an editor left this file, or a folder it lies in below root.

    Names that begin with a dot (._a.png, .ipynb_checkpoints, .DS_Store), Thumbs.db, desktop.ini and
    __MACOSX: never data.
    """
    names = path.relative_to(root).parts if root else (path.name,)
    return any(name.startswith(".") or name.lower() in NOTES for name in names)


def pictures_in(folder: Path, endings: Iterable[str] = PICTURES) -> list[Path]:
    """The files of a folder whose names end as pictures' do, by name; hidden ones are none.

    Raises UserError for a folder that may not be read.
    """
    wanted = tuple(endings)
    try:
        found = [file for file in folder.iterdir() if file.suffix.lower() in wanted]
    except OSError as error:
        raise unreadable(error.filename or folder, error) from error
    return sorted(file for file in found if not hidden(file))


def unreadable(path: object, error: OSError) -> UserError:
    """The one sentence for what the system refuses to show."""
    return UserError(
        f"{path} cannot be read ({error.strerror or error}): check the path and its permissions."
    )
