"""Text files in whatever encoding an editor or a spreadsheet gave them."""

from __future__ import annotations

import codecs
import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from geodesic_lightning.data.paths import printable, unreadable
from geodesic_lightning.errors import UserError

__all__ = ["check_text", "check_typed", "decoded", "read_text"]

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def check_text(name: str, text: str) -> None:
    """Raise UserError for text with lone surrogates: bytes that were no UTF-8, or half a character.

    No file, page or tokenizer takes them.
    """
    if printable(text) != text:
        raise UserError(
            f"{printable(name)}: got '{printable(text)}', which is not all text (bytes that are no UTF-8, or half a "
            "character), expected UTF-8: type it anew, or rename the file or folder."
        )


def check_typed(words: Sequence[str]) -> None:
    """Raise UserError where a command line's word, or the folder that it is given in, is no text.

    A run writes both into its files.
    """
    for word in words:
        key, sign, value = word.partition("=")
        check_text(key if sign else "The command line", value or word)
    with contextlib.suppress(FileNotFoundError):  # a folder that was deleted
        check_text("The present folder", os.getcwd())


def read_text(path: Path) -> str:
    """A file's text without a byte-order mark, its lines ended by a newline each.

    Raises:
        UserError: the file cannot be read, or is no text.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error
    text = decoded(data)
    if text is None:
        raise UserError(f"{path} is not a text file: save it as UTF-8 text.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def decoded(data: bytes) -> str | None:
    """Bytes as text: by their byte-order mark, else UTF-8, UTF-16 without a mark, Windows-1252.

    Every byte but five is a letter in Windows-1252, so it is asked last. None for what is no text:
    what no encoding takes, and what has characters NUL in it.
    """
    kinds = [kind for mark, kind in MARKS if data.startswith(mark)][:1]
    if not kinds:
        zeros = (
            data[0::2].count(0),
            data[1::2].count(0),
        )  # of Latin text in UTF-16, every other byte
        if max(zeros) > len(data) / 8 and len(data) % 2 == 0:
            kinds = ["utf-16-le" if zeros[1] > zeros[0] else "utf-16-be"]
        else:
            kinds = ["utf-8", "cp1252"]
    for kind in kinds:
        try:
            text = data.decode(kind)
        except UnicodeDecodeError:
            continue
        return None if "\0" in text else text
    return None
