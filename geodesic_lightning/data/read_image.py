"""Pictures: any file to upright 8-bit RGB, and RGB to a square of the model's size."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from geodesic_lightning.errors import UserError

__all__ = ["central_square", "read_image", "resize"]

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
MIN_SIDE = 8  # px
MAX_PIXELS = 64_000_000


def read_image(source: str | Path | Image.Image) -> Image.Image:
    """The picture in a file (or an open one) as 8-bit RGB at its own size, upright.

    Reads PNG, JPEG, WebP, BMP, GIF, TIFF and PPM (the first picture of an animation): palettes,
    grey, 16-bit grey and CMYK become RGB, transparency is laid over white, EXIF rotation applied.
    Raises UserError for anything that is not a whole picture of at least 8×8 px and at most
    64 megapixels; the size is judged from the header, before anything is decoded.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Pillow warns of is either harmless or refused below
        if isinstance(source, Image.Image):
            return _decode(source, "the picture")
        with _open(source) as image:
            return _decode(image, str(source))


def resize(image: Image.Image, size: int) -> Tensor:
    """The central square of an RGB picture at size×size px: (3, size, size) float32 in [0, 1].

    Antialiased; a picture that has this size already keeps every pixel.
    """
    box = central_square(image)
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BICUBIC, box=box)
    pixels = torch.from_numpy(np.array(image, dtype=np.uint8))
    return pixels.permute(2, 0, 1).contiguous().float() / 255


def _open(source: str | Path) -> Image.Image:
    """The file's header read, nothing decoded."""
    if not source or not str(source).strip():
        raise UserError("Got no image path, expected an image file: give two paths.")
    path = Path(source).expanduser()
    try:
        if path.is_dir():
            raise UserError(f"{source} is a folder, expected an image file: give a file in it.")
        if not path.exists():
            raise UserError(f"{source} does not exist, expected an image file: check the path.")
        if not path.is_file():
            raise UserError(f"{source} is not a regular file: give a PNG, JPEG or WebP file.")
        if not path.stat().st_size:
            raise UserError(f"{source} is empty (0 bytes), expected an image: save it again.")
        return Image.open(path, formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise _too_large(
            source, f"over {2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6} megapixels"
        ) from error
    except Image.UnidentifiedImageError as error:
        raise UserError(
            f"{source} is not an image that can be read: give a PNG, JPEG or WebP file."
        ) from error
    except UserError:
        raise
    except Exception as error:  # a damaged file can fail in any of the decoders' own ways
        reason = getattr(error, "strerror", None)
        if reason is None:
            raise _damaged(source, error) from error
        raise UserError(
            f"{source} cannot be read ({reason}): check the path and its permissions."
        ) from error


def _decode(image: Image.Image, name: str) -> Image.Image:
    """The pixels behind a header that was read: upright 8-bit RGB."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _too_large(name, f"{width}×{height} px")
    if min(width, height) < MIN_SIDE:
        raise UserError(
            f"{name} is {width}×{height} px, expected at least {MIN_SIDE}×{MIN_SIDE}: give a "
            "larger picture."
        )
    try:
        return _rgb(ImageOps.exif_transpose(image), name)
    except UserError:
        raise
    except Exception as error:  # as in _open
        raise _damaged(name, error) from error


def _rgb(image: Image.Image, name: str) -> Image.Image:
    """Any mode as RGB: alpha over white, 16 bits to 8."""
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image)
        if image.mode == "F" or values.min() < 0 or values.max() > 65535:
            raise UserError(
                f"{name} has pixels of 32 bits, expected 8 or 16: save it as an ordinary PNG."
            )
        return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8)).convert(
            "RGB"
        )
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB") if image.mode != "RGB" else image.copy()


def central_square(image: Image.Image) -> tuple[int, int, int, int]:
    """The central square as (left, top, right, bottom) in px."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return left, top, left + side, top + side


def _too_large(name: str | Path, got: str) -> UserError:
    return UserError(
        f"{name} has too many pixels ({got}), expected at most {MAX_PIXELS // 1_000_000} "
        "megapixels: make it smaller first."
    )


def _damaged(name: str | Path, error: Exception) -> UserError:
    return UserError(
        f"{name} is damaged and cannot be decoded ({' '.join(str(error).split())}): save or "
        "download it again."
    )
