"""Pictures: whatever holds one to upright 8-bit sRGB at its own size."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import warnings
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageFile
from torch import Tensor

from geodesic_lightning.data.address import fetched, is_address, last_part
from geodesic_lightning.data.array import of_array
from geodesic_lightning.data.colour import to_srgb
from geodesic_lightning.data.depth import key_mended
from geodesic_lightning.data.paths import expanded, printable
from geodesic_lightning.errors import UserError, advice

__all__ = ["GIVEN", "Picture", "is_bytes", "name_of", "read_image"]

log = logging.getLogger("geodesic_lightning")

Bytes = bytes | bytearray | memoryview
# What a picture may be given as.
Picture = str | os.PathLike[Any] | IO[bytes] | Bytes | Image.Image | np.ndarray | Tensor
GIVEN = (
    "a file's name or path, an http or https address, an open binary file, a file's bytes, a PIL image, an array "
    "(H, W, 3) or a tensor (3, H, W)"
)

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")  # asked first: Pillow has them ready
NOT_PIXELS = ("EPS", "WMF", "MPEG", "BUFR", "GRIB", "HDF5")  # drawings, films and stubs
CAMERA_RAW = (".dng", ".nef", ".cr2", ".cr3", ".arw", ".orf", ".rw2", ".pef", ".raf", ".srw")
HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")  # brands, byte 8
PNG, TEXT = b"\x89PNG\r\n\x1a\n", (b"tEXt", b"zTXt", b"iTXt")
ORIENTATION = 0x0112  # EXIF, 1 … 8
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
MIN_SIDE = 8  # px
MAX_PIXELS = 64_000_000
# Pixels that are not square: in which files that is meant, from where on it is seen, and is believed.
ASPECTS, SEEN, BELIEVED = ("TIFF", "PNG", "JPEG"), 1.02, 8.0


def name_of(source: Picture, default: str) -> str:
    """The name of a file, or the last part of an address; the default for a picture that has none."""
    if is_address(source):
        return printable(last_part(source))
    named = getattr(source, "name", None) if hasattr(source, "read") else source
    if isinstance(named, str | os.PathLike) or (isinstance(named, bytes) and named is not source):
        return printable(Path(os.fsdecode(named)).name)
    return default


def is_bytes(given: object) -> bool:
    """Whether this is the content of one file: bytes, or an open file."""
    return isinstance(given, Bytes) or callable(getattr(given, "read", None))


def read_image(source: Picture, name: str = "the picture") -> Image.Image:
    """The picture in a file (or an open one) as 8-bit sRGB at its own size, upright.

    A file is given by its path or its http(s) address, open for reading bytes, or as its bytes. An open one is read
    from its beginning on, as Pillow does, and not closed. Arrays (H, W), (H, W, 3) or (H, W, 4) and tensors (3, H, W)
    are pictures too (array.py): whole numbers from 0 to 255, uint16 from 0 to 65535, or others from 0 to 1.

    Reads what Pillow knows by its first bytes (PNG, JPEG, WebP, AVIF, BMP, GIF, TIFF, PPM, JPEG 2000
    …; the first picture of an animation), and HEIC with pillow-heif. A colour profile is applied,
    palettes, greys of any depth and CMYK become RGB, transparency is laid over white, EXIF rotation
    applied, pixels that are not square made so. Damaged EXIF and text do not spoil a picture.

    Args:
        name: what messages call a picture that has no name.

    Raises:
        UserError: anything that is not a whole picture of at least 8×8 px and at most 64 megapixels; the size is
            judged from the header, before anything is decoded.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Pillow warns of is either harmless or refused below
        if isinstance(source, Image.Image):
            return _decode(source, name)
        if isinstance(source, np.ndarray | Tensor):
            return _decode(of_array(source, name), name)
        file, name = _content(source, name)
        try:
            return _read(file, name)
        except _Damaged:
            whole = file.read_bytes() if isinstance(file, Path) else file.getvalue()
            if (bare := _without_text(whole)) is None:
                raise
            return _read(io.BytesIO(bare), name)


def _content(source: Any, name: str) -> tuple[Path | io.BytesIO, str]:
    """A file on this machine, or the content of one, and what messages call it."""
    if source is None or (isinstance(source, str | os.PathLike) and not is_address(source)):
        path = os.fsdecode(source or "")
        return _file(path), printable(path)
    if is_address(source):
        name, data = source.strip(), fetched(source)
    elif isinstance(source, Bytes):
        data = bytes(source)
    elif is_bytes(source):
        name = name_of(source, name)
        data = _rest(source, name)
    else:
        raise UserError(f"Got a {type(source).__name__} for {name}, expected {GIVEN}.")
    if not data:
        raise UserError(f"{name} is empty (0 bytes), expected an image: save it again.")
    _refuse_raw(last_part(name) if is_address(name) else name, name)
    return io.BytesIO(data), name


def _rest(file: IO[bytes], name: str) -> bytes:
    """All of an open file, from its beginning where it can be gone back to."""
    try:
        with contextlib.suppress(AttributeError, io.UnsupportedOperation):
            file.seek(0)
        data: Any = file.read()
    except (OSError, ValueError) as error:  # ValueError: it is closed, or decoded as text
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise UserError(
            f"{name} cannot be read ({reason}): open it for reading bytes, open(…, 'rb')."
        ) from error
    if not isinstance(data, Bytes):
        raise UserError(
            f"{name} is open as text, expected bytes: open it for reading bytes, open(…, 'rb')."
        )
    return bytes(data)


def _refuse_raw(file: str, name: str) -> None:
    if Path(file).suffix.lower() in CAMERA_RAW:
        raise UserError(
            f"{name} is a camera's raw file, expected a picture: develop it and save it as JPEG or TIFF."
        )


class _Damaged(UserError):
    """A file that begins as a picture and cannot be decoded."""

    def __init__(self, name: str, error: Exception) -> None:
        super().__init__(
            f"{name} is damaged and cannot be decoded ({' '.join(str(error).split())}): save or "
            "download it again."
        )


def _file(source: str) -> Path:
    """The file itself, there and not empty."""
    if not source.strip():
        raise UserError("Got no image path, expected an image file: give two paths.")
    path = expanded(source)
    try:
        if path.is_dir():
            raise UserError(f"{source} is a folder, expected an image file: give a file in it.")
        if not path.exists():
            if kind := re.match(r"\s*(\w{2,}):/{1,2}", source):
                helps = (
                    f"write it as text, {kind[1]}://…"  # a path has lost a slash of it
                    if kind[1].lower() in ("http", "https")
                    else "save the picture on this machine and give its path"
                )
                raise UserError(
                    f"{source} is an address of {kind[1]}:, expected a file's path, or an http or https address as "
                    f"text: {helps}."
                )
            raise UserError(f"{source} does not exist, expected an image file: check the path.")
        if not path.is_file():
            raise UserError(f"{source} is not a regular file: give a PNG, JPEG or WebP file.")
        if not path.stat().st_size:
            raise UserError(f"{source} is empty (0 bytes), expected an image: save it again.")
        with path.open("rb"):
            pass
    except UserError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a character that no name may have
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"{source} cannot be read ({reason}): {advice(error, 'check the path and its permissions')}."
        ) from error
    _refuse_raw(path.name, source)
    return path


def _read(file: Path | io.BytesIO, name: str) -> Image.Image:
    try:
        opened = _open(file)
    except Image.DecompressionBombError as error:
        raise _too_large(
            name, f"over {2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6} megapixels"
        ) from error
    except Image.UnidentifiedImageError as error:
        if _is_heif(file):
            raise UserError(
                f"{name} is HEIC, which needs pillow-heif: run pip install "
                "'geodesic-lightning[heic]', or save it as JPEG."
            ) from error
        raise _no_picture(name) from error
    except Exception as error:  # a damaged file can fail in any of the decoders' own ways
        raise _Damaged(name, error) from error
    with opened as image:
        if isinstance(image, ImageFile.StubImageFile):
            raise _no_picture(name)
        return _decode(image, name, file)


def _no_picture(name: str) -> UserError:
    instead = (
        "the address of the picture itself, not of a page that shows it"
        if is_address(name)
        else "a PNG, JPEG or WebP file"
    )
    return UserError(f"{name} is not an image that can be read: give {instead}.")


def _open(file: Path | io.BytesIO) -> Image.Image:
    """The file's header read, nothing decoded: by the usual formats, else by all there are.

    A format that would take any file is asked where the file's name ends in its way.
    """
    try:
        return Image.open(file, formats=FORMATS)
    except Image.UnidentifiedImageError:
        if _is_heif(file):
            _register_heif()
        ending = file.suffix.lower() if isinstance(file, Path) else ""
        named = Image.registered_extensions().get(ending)
        known = [name for name, (_, accept) in Image.OPEN.items() if accept or name == named]
        return Image.open(file, formats=[name for name in known if name not in NOT_PIXELS])


def _is_heif(file: Path | io.BytesIO) -> bool:
    if isinstance(file, Path):
        with file.open("rb") as opened:
            head = opened.read(12)
    else:
        head = file.getvalue()[:12]
    return head[4:8] == b"ftyp" and head[8:] in HEIF


def _register_heif() -> None:
    """Teach Pillow HEIC, where pillow-heif is installed."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return
    register_heif_opener()


def _decode(image: Image.Image, name: str, file: Path | io.BytesIO | None = None) -> Image.Image:
    """The pixels behind a header that was read, from this file, if any: upright 8-bit sRGB."""
    _check_size(*image.size, name)
    try:
        held = _orientation(image) if image.format == "TIFF" else 1
        alpha = key_mended(image, None if file is None else lambda: _open(_anew(file)))
        image.load()  # which turns a TIFF
        turn, aspect = _orientation(image), _aspect(image)
        made = to_srgb(image, name, alpha)
        if turn in TURNS:
            made = made.transpose(TURNS[turn])
        if aspect is not None:
            made = _square(made, 1 / aspect if max(held, turn) >= 5 else aspect, name)
        return made
    except UserError:
        raise
    except Exception as error:  # as in _read
        raise _Damaged(name, error) from error


def _anew(file: Path | io.BytesIO) -> Path | io.BytesIO:
    return file if isinstance(file, Path) else io.BytesIO(file.getvalue())


def _check_size(width: int, height: int, name: str) -> None:
    if width * height > MAX_PIXELS:
        raise _too_large(name, f"{width}×{height} px")
    if min(width, height) < MIN_SIDE:
        raise UserError(
            f"{name} is {width}×{height} px, expected at least {MIN_SIDE}×{MIN_SIDE}: give a larger picture."
        )


def _aspect(image: Image.Image) -> float | None:
    """How many times as wide as high its pixels are, as they are stored; None for square ones."""
    if image.format not in ASPECTS:
        return None
    # What a JPEG says without a unit is read in two ways, so it is not.
    try:
        across, down = image.info.get("aspect") or image.info.get("dpi") or (1, 1)
        found = float(down) / float(across)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return found if SEEN <= max(found, 1 / (found or 1)) <= BELIEVED else None


def _square(image: Image.Image, aspect: float, name: str) -> Image.Image:
    """A picture whose pixels are `aspect` times as wide as high with square ones; no side becomes shorter."""
    width = round(image.width * max(aspect, 1))
    height = round(image.height * max(1 / aspect, 1))
    _check_size(width, height, name)
    log.warning(
        "%s: its pixels are not square (%.3g:1, as it says): %d×%d px are shown as %d×%d.",
        *(name, aspect, *image.size, width, height),
    )
    return image.resize((width, height), Image.Resampling.BICUBIC)


def _orientation(image: Image.Image) -> int:
    """How the camera was held, by EXIF; 1, upright, where that cannot be read."""
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # notes beside a picture may be anything; the picture stays what it is
        return 1


def _without_text(data: bytes) -> bytes | None:
    """A PNG without its text chunks, of which Pillow refuses many megabytes; None if it has none."""
    if not data.startswith(PNG):
        return None
    chunks, at = [PNG], len(PNG)
    while at + 8 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] not in TEXT:
            chunks.append(data[at:end])
        at = end
    bare = b"".join(chunks)
    return bare if len(bare) < len(data) else None


def _too_large(name: str | Path, got: str) -> UserError:
    return UserError(
        f"{name} has too many pixels ({got}), expected at most {MAX_PIXELS // 1_000_000} "
        "megapixels: make it smaller first."
    )
