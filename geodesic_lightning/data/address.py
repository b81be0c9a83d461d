"""Pictures at an address: http and https, fetched within limits of time and size.

An address may lead to others of http and https, and nowhere else: not to files of this machine. What comes is
bytes of a stranger's, which read_image.py looks at as it does at any file's.
"""

from __future__ import annotations

import re
import time
import urllib.request
from http.client import HTTPException, HTTPResponse
from typing import TypeGuard
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urlsplit

from geodesic_lightning.errors import UserError
from geodesic_lightning.version import __version__

__all__ = ["fetched", "is_address", "last_part"]

SECONDS = 30.0
MOST = 200_000_000  # bytes
PIECE = 1 << 16  # bytes
INSTEAD = "download the picture and give the file"
KEPT = "%/:=&?~#+!$,;'@()*[]"  # signs that have a meaning in an address


def is_address(given: object) -> TypeGuard[str]:
    """Whether this is text that begins as an address of http or https."""
    return isinstance(given, str) and re.match(r"\s*https?://", given, re.IGNORECASE) is not None


def last_part(address: str) -> str:
    """The name that the address ends with, as a file's; the host where there is none."""
    try:
        parts = urlsplit(address.strip())
    except ValueError:
        return address.strip()
    return unquote(parts.path.rstrip("/").rpartition("/")[2]) or parts.netloc


def fetched(address: str, seconds: float = SECONDS, most: int = MOST) -> bytes:
    """The bytes at an address.

    Args:
        seconds: that an answer, and then all of it, may take.
        most: bytes.

    Raises:
        UserError: one sentence for whatever goes wrong: not found, refused, too slow, too large, no answer.
    """
    deadline = time.monotonic() + seconds
    try:
        with _opener().open(_request(address), timeout=seconds) as answer:
            return _body(answer, address, deadline, seconds, most)
    except HTTPError as error:
        with error:
            raise _refused(address, error) from error
    except TimeoutError as error:
        raise _slow(address, seconds) from error
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, UserError):
            raise
        reason = error.reason if isinstance(error, URLError) else error
        if isinstance(reason, TimeoutError):
            raise _slow(address, seconds) from error
        told = " ".join(str(getattr(reason, "strerror", None) or reason).split())
        raise UserError(
            f"{address} cannot be reached ({told or type(reason).__name__}): check the address and the "
            f"network, or {INSTEAD}."
        ) from error


def _request(address: str) -> urllib.request.Request:
    """Asks for an address as people write it: with spaces, letters of any alphabet, a host of any."""
    parts = urlsplit(address.strip())
    host = parts.netloc.encode("idna").decode("ascii")
    written = quote(parts._replace(netloc=host).geturl(), safe=KEPT)
    return urllib.request.Request(
        written,
        headers={"User-Agent": f"geodesic-lightning/{__version__}", "Accept": "image/*,*/*"},
    )


def _opener() -> urllib.request.OpenerDirector:
    """What knows http and https alone; urllib's usual one opens file: and ftp: as well."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener


def _body(answer: HTTPResponse, address: str, deadline: float, seconds: float, most: int) -> bytes:
    told = answer.headers.get("Content-Length", "")
    expected = int(told) if told.isdecimal() else None
    pieces, size = [], 0
    while (expected or 0) <= most and size <= most:
        if time.monotonic() > deadline:
            raise _slow(address, seconds)
        piece = answer.read1(PIECE)
        if not piece:
            break
        pieces.append(piece)
        size += len(piece)
    if max(expected or 0, size) > most:
        raise UserError(
            f"{address} is larger than {most / 1e6:g} MB, expected a picture: make it smaller, or {INSTEAD}."
        )
    if expected is not None and size < expected:
        raise UserError(
            f"{address} broke off after {size} of {expected} bytes: try again, or {INSTEAD}."
        )
    return b"".join(pieces)


def _refused(address: str, error: HTTPError) -> UserError:
    told = " ".join(f"{error.code} {error.msg}".split())
    if error.code in (404, 410):
        return UserError(f"{address} was not found ({error.code}): check the address.")
    if 300 <= error.code < 400:
        return UserError(
            f"{address} leads in a circle, or to what is no address of http or https ({error.code}): {INSTEAD}."
        )
    return UserError(f"{address} was refused by its server ({told}): {INSTEAD}.")


def _slow(address: str, seconds: float) -> UserError:
    return UserError(
        f"{address} timed out, expected all of it within {seconds:g} s: try again, or {INSTEAD}."
    )
