"""Deep pixels as 8-bit greys, as their file means them.

v ↦ 255 (v − black) / (white − black)      white by the type of the numbers, or by their range
v ↦ 255 − v                                where the file says that 0 is white
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from geodesic_lightning.errors import UserError

__all__ = ["key_mended", "shallow"]

log = logging.getLogger("geodesic_lightning")

# Tags of a TIFF.
BITS, PHOTOMETRIC, FORMAT = 258, 262, 339
WHITE_IS_ZERO, UNSIGNED, SIGNED = 0, 1, 2
LOW_BYTES = "RGB;16L"  # read so, 16-bit colours of a PNG give their low bytes; RGB;16B, as they are, the high ones


def shallow(image: Image.Image, name: str) -> Image.Image:
    """Greys of 16 bits, 32 bits and floating point as 8 bits, L or LA; other pictures as they are.

    16 bits end at 65535, 12 at 4095. Of the others, white is the first of 1 (floats only), 255 and 65535 that no
    pixel exceeds; where pixels are negative or larger, black and white are their least and largest. Unsigned
    32 bits with pixels in their upper half end at 2³² − 1.

    Raises:
        UserError: a pixel is no number.
    """
    tags = getattr(image, "tag_v2", {})
    signed = image.mode == "L" and _tag(tags, FORMAT, UNSIGNED) == SIGNED
    if not (signed or image.mode.startswith(("I", "F"))):
        return image
    values = np.asarray(image)
    if signed:
        values = values.view(np.int8)
    elif image.mode == "I" and tags and _tag(tags, FORMAT, UNSIGNED) == UNSIGNED:
        values = values.view(
            np.uint32
        )  # Pillow has no such pixels, and takes the upper half for negative
    if not np.isfinite(values).all():
        raise UserError(
            f"{name} has pixels that are not finite numbers, expected a picture: save it as an ordinary PNG."
        )
    least, most = float(values.min()), float(values.max())
    whites = _whites(image, tags, most)
    black, white = 0.0, next((w for w in whites if most <= w), most)
    if least < 0 or most > whites[-1]:
        black, white = least, most
        log.warning("%s: pixels from %g to %g are taken as black to white.", name, least, most)
    scaled = (values.astype(np.float64) - black) * (255 / max(white - black, 1e-300))
    scaled = np.floor(scaled + 0.5).clip(0, 255)
    if (
        not signed and _tag(tags, PHOTOMETRIC, 1) == WHITE_IS_ZERO
    ):  # of 8 bits Pillow heeds it itself
        scaled = 255 - scaled
    grey = Image.fromarray(scaled.astype(np.uint8))
    key = image.info.get("transparency")
    if isinstance(key, int):
        grey.putalpha(Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8)))
    return grey


def key_mended(
    image: Image.Image, reopen: Callable[[], Image.Image] | None = None
) -> Image.Image | None:
    """Make a PNG's transparent colour the one that its pixels have once they are read.

    It stands in the file as deep as the pixels do, Pillow notes it so, and compares it with pixels of 8 bits. To be
    called before these are read; nothing is done to other pictures, nor to those that are read already.

    Args:
        image: just opened; what it notes of its transparent colour is changed.
        reopen: opens the same once more; without it colours of 16 bits are compared in 8.

    Returns:
        for colours of 16 bits the alpha, L; otherwise None.
    """
    key, depth = image.info.get("transparency"), _depth(image)
    if depth in ("L;2", "L;4") and isinstance(key, int):
        image.info["transparency"] = key * (255 // (2 ** int(depth[-1]) - 1))
    if depth != "RGB;16B" or not isinstance(key, tuple):
        return None
    if reopen is None:
        image.info["transparency"] = tuple(number >> 8 for number in key)
        return None
    del image.info["transparency"]
    with reopen() as again:
        again.tile = [tile._replace(args=LOW_BYTES) for tile in again.tile]  # type: ignore[attr-defined]
        numbers = (np.asarray(image).astype(np.uint16) << 8) | np.asarray(again)
    return Image.fromarray(np.where((numbers == key).all(-1), 0, 255).astype(np.uint8))


def _depth(image: Image.Image) -> str:
    tiles = getattr(image, "tile", ()) if image.format == "PNG" else ()
    return str(tiles[0][3]) if tiles else ""


def _whites(image: Image.Image, tags: Any, most: float) -> tuple[float, ...]:
    """What may be white: the first of these that no pixel exceeds."""
    bits = _tag(tags, BITS, 16)
    if image.mode == "F":
        return 1.0, 255.0, 65535.0
    if image.mode.startswith("I;16"):
        return (2.0**bits - 1,)
    if image.format in ("PNG", "PPM"):  # of 16 bits
        return (65535.0,)
    if tags and _tag(tags, FORMAT, UNSIGNED) == SIGNED and bits == 16:
        return 255.0, 32767.0
    if tags and most > 2**31 - 1:
        return (2.0**32 - 1,)
    return 255.0, 65535.0


def _tag(tags: Any, number: int, usual: int) -> int:
    found = tags.get(number, usual)
    return int(found[0] if isinstance(found, tuple) else found)
