"""Pictures: any file to upright 8-bit sRGB at its own size."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFile
from torch import Tensor

from geodesic_lightning.data.colour import to_srgb
from geodesic_lightning.data.paths import expanded
from geodesic_lightning.errors import UserError

__all__ = ["Picture", "name_of", "read_image"]

Picture = str | Path | Image.Image | np.ndarray | Tensor  # what a picture may be given as

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


def name_of(source: Picture, default: str) -> str:
    """A file's name; the default for a picture that is none."""
    return Path(source).name if isinstance(source, str | Path) else default


def read_image(source: Picture) -> Image.Image:
    """The picture in a file (or an open one) as 8-bit sRGB at its own size, upright.

    Arrays (H, W), (H, W, 3) or (H, W, 4) and tensors (3, H, W) are pictures too: whole numbers from 0 to
    255, or others from 0 to 1.

    Reads what Pillow knows by its first bytes (PNG, JPEG, WebP, AVIF, BMP, GIF, TIFF, PPM, JPEG 2000
    …; the first picture of an animation), and HEIC with pillow-heif. A colour profile is applied,
    palettes, greys of any depth and CMYK become RGB, transparency is laid over white, EXIF rotation
    applied. Damaged EXIF and text do not spoil a picture.

    Raises UserError for anything that is not a whole picture of at least 8×8 px and at most
    64 megapixels; the size is judged from the header, before anything is decoded.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Pillow warns of is either harmless or refused below
        if isinstance(source, Image.Image):
            return _decode(source, "the picture")
        if isinstance(source, np.ndarray | Tensor):
            return _decode(_of_numbers(source), "the picture")
        path, name = _file(source), str(source)
        try:
            return _read(path, name)
        except _Damaged:
            if (bare := _without_text(path.read_bytes())) is None:
                raise
            return _read(io.BytesIO(bare), name)


class _Damaged(UserError):
    """A file that begins as a picture and cannot be decoded."""

    def __init__(self, name: str, error: Exception) -> None:
        super().__init__(
            f"{name} is damaged and cannot be decoded ({' '.join(str(error).split())}): save or "
            "download it again."
        )


def _of_numbers(given: np.ndarray | Tensor) -> Image.Image:
    """An open picture of what others compute with."""
    shape, wanted = tuple(given.shape), "an array (H, W, 3)"
    if isinstance(given, Tensor):
        wanted = "a tensor (3, H, W)"
        given = given.detach().cpu()
        given = given.float() if given.dtype == torch.bfloat16 else given  # numpy has none
        given = (given.movedim(0, -1) if given.dim() == 3 else given).numpy()
    pixels = given[..., 0] if given.ndim == 3 and given.shape[-1] == 1 else given
    if not all(shape) or not (
        pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[-1] in (3, 4))
    ):
        raise UserError(
            f"Got a picture of shape {shape}, expected {wanted}: give one picture at a time."
        )
    whole = pixels.dtype.kind in "iu"
    most, slack = (255, 0) if whole else (1, 1e-3)  # what rounding leaves
    inside = (pixels >= -slack) & (pixels <= most + slack)
    if pixels.dtype.kind not in "iuf" or not inside.all():
        low, high = float(pixels.min()), float(pixels.max())
        raise UserError(
            f"Got a picture of {pixels.dtype} from {low:g} to {high:g}, expected whole numbers from 0 to "
            "255 or others from 0 to 1: scale it."
        )
    bytes_ = pixels if whole else np.rint(pixels.astype(np.float64).clip(0, 1) * 255)
    return Image.fromarray(np.ascontiguousarray(bytes_.astype(np.uint8)))


def _file(source: str | Path) -> Path:
    """The file itself, there and not empty."""
    if not source or not str(source).strip():
        raise UserError("Got no image path, expected an image file: give two paths.")
    path = expanded(source)
    try:
        if path.is_dir():
            raise UserError(f"{source} is a folder, expected an image file: give a file in it.")
        if not path.exists():
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
            f"{source} cannot be read ({reason}): check the path and its permissions."
        ) from error
    if path.suffix.lower() in CAMERA_RAW:
        raise UserError(
            f"{source} is a camera's raw file, expected a picture: develop it and save it as JPEG "
            "or TIFF."
        )
    return path


def _read(file: Path | io.BytesIO, name: str) -> Image.Image:
    try:
        opened = _open(file)
    except Image.DecompressionBombError as error:
        raise _too_large(
            name, f"over {2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6} megapixels"
        ) from error
    except Image.UnidentifiedImageError as error:
        if isinstance(file, Path) and _is_heif(file):
            raise UserError(
                f"{name} is HEIC, which needs pillow-heif: run pip install "
                "'geodesic-lightning[heic]', or save it as JPEG."
            ) from error
        raise UserError(
            f"{name} is not an image that can be read: give a PNG, JPEG or WebP file."
        ) from error
    except Exception as error:  # a damaged file can fail in any of the decoders' own ways
        raise _Damaged(name, error) from error
    with opened as image:
        if isinstance(image, ImageFile.StubImageFile):
            raise UserError(
                f"{name} is not an image that can be read: give a PNG, JPEG or WebP file."
            )
        return _decode(image, name)


def _open(file: Path | io.BytesIO) -> Image.Image:
    """The file's header read, nothing decoded: by the usual formats, else by all there are.

    A format that would take any file is asked where the file's name ends in its way.
    """
    try:
        return Image.open(file, formats=FORMATS)
    except Image.UnidentifiedImageError:
        if isinstance(file, Path) and _is_heif(file):
            _register_heif()
        ending = file.suffix.lower() if isinstance(file, Path) else ""
        named = Image.registered_extensions().get(ending)
        known = [name for name, (_, accept) in Image.OPEN.items() if accept or name == named]
        return Image.open(file, formats=[name for name in known if name not in NOT_PIXELS])


def _is_heif(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(12)
    return head[4:8] == b"ftyp" and head[8:] in HEIF


def _register_heif() -> None:
    """Teach Pillow HEIC, where pillow-heif is installed."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return
    register_heif_opener()


def _decode(image: Image.Image, name: str) -> Image.Image:
    """The pixels behind a header that was read: upright 8-bit sRGB."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _too_large(name, f"{width}×{height} px")
    if min(width, height) < MIN_SIDE:
        raise UserError(
            f"{name} is {width}×{height} px, expected at least {MIN_SIDE}×{MIN_SIDE}: give a "
            "larger picture."
        )
    try:
        image.load()
        turn = TURNS.get(_orientation(image))
        return to_srgb(image if turn is None else image.transpose(turn), name)
    except UserError:
        raise
    except Exception as error:  # as in _read
        raise _Damaged(name, error) from error


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
