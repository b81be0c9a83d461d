"""Pictures of any shape at the model's size.

crop       the largest part of the model's shape is kept, at `anchor`; the rest is cut off
pad        everything is kept, with black bars; `anchor` says where the picture stands
stretch    everything is kept, sides are scaled apart
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from geodesic_lightning.errors import UserError

__all__ = ["ANCHORS", "FITS", "Size", "check_fit", "height_width", "kept", "resize", "same"]

Size = int | tuple[int, int]  # px: a square's side, or (height, width)
FITS = ("crop", "pad", "stretch")
# Where the picture, or the part of it that is kept, stands: shares of the room left and above.
ANCHORS = {
    "center": (0.5, 0.5),
    "top": (0.5, 0.0),
    "bottom": (0.5, 1.0),
    "left": (0.0, 0.5),
    "right": (1.0, 0.5),
}


def resize(image: Image.Image, size: Size, fit: str = "crop", anchor: str = "center") -> Tensor:
    """An RGB picture at the size (H, W) in px: (3, H, W) float32 in [0, 1].

    Antialiased; a picture that has this size already keeps every pixel.
    """
    height, width = height_width(size)
    if image.size != (width, height):
        if fit == "pad":
            image = _padded(image, height, width, anchor)
        else:
            box = _box(image.size, height, width, anchor) if fit == "crop" else None
            image = image.resize((width, height), Image.Resampling.BICUBIC, box=box)
    pixels = torch.from_numpy(np.array(image, dtype=np.uint8))
    return pixels.permute(2, 0, 1).contiguous().float() / 255


def same(one: Image.Image, other: Image.Image, size: Size, fit: str, anchor: str) -> bool:
    """Whether of both pictures the same pixels are shown at this size, which resizing may hide.

    (Near the edge of a crop the resampling looks beyond it.)
    """
    if fit == "crop":
        shape = height_width(size)
        one, other = (p.crop(_box(p.size, *shape, anchor)) for p in (one, other))
    return one.size == other.size and one.tobytes() == other.tobytes()


def kept(image: tuple[int, int], size: Size) -> float:
    """The part of a picture of (width, height) px that a crop to `size` keeps, in (0, 1]."""
    left, top, right, bottom = _box(image, *height_width(size), "center")
    return (right - left) * (bottom - top) / (image[0] * image[1])


def height_width(size: Size) -> tuple[int, int]:
    """(H, W); UserError below 1 px."""
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 1:
        raise UserError(
            f"Got images of {width}×{height} px, expected at least 1 px: change the size."
        )
    return height, width


def check_fit(fit: str, anchor: str) -> None:
    """Raise UserError for a word that is none of FITS or ANCHORS."""
    if fit not in FITS:
        raise UserError(f"data.fit: got {fit!r}, expected one of {', '.join(FITS)}.")
    if anchor not in ANCHORS:
        raise UserError(f"data.anchor: got {anchor!r}, expected one of {', '.join(ANCHORS)}.")


def _box(image: tuple[int, int], height: int, width: int, anchor: str) -> tuple[int, int, int, int]:
    """The largest part of that shape as (left, top, right, bottom) in px."""
    across = min(image[0], max(1, round(image[1] * width / height)))
    down = min(image[1], max(1, round(image[0] * height / width)))
    x, y = ANCHORS[anchor]
    left, top = int((image[0] - across) * x), int((image[1] - down) * y)
    return left, top, left + across, top + down


def _padded(image: Image.Image, height: int, width: int, anchor: str) -> Image.Image:
    """The whole picture, as large as it may be, on black."""
    scale = min(width / image.width, height / image.height)
    across = min(width, max(1, round(image.width * scale)))
    down = min(height, max(1, round(image.height * scale)))
    x, y = ANCHORS[anchor]
    canvas = Image.new("RGB", (width, height))
    if (across, down) != image.size:
        image = image.resize((across, down), Image.Resampling.BICUBIC)
    canvas.paste(image, (int((width - across) * x), int((height - down) * y)))
    return canvas
