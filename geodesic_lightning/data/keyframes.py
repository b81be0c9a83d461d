"""Keyframes: more than two images, or points, that one path passes in their order.

frames = keyframes(["a.png", "b.png", "c.png"], ["a cat", "", "a dog"], closed=True)
"""

import json
import os
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from PIL import Image

from geodesic_lightning.data.address import is_address
from geodesic_lightning.data.frames import SHIPPED, Frames
from geodesic_lightning.data.paths import pictures_at
from geodesic_lightning.data.read_image import Picture, is_bytes, name_of, read_image
from geodesic_lightning.errors import UserError

__all__ = ["keyframe_points", "keyframes", "shipped_keyframes"]


def keyframes(
    images: str | os.PathLike[Any] | Sequence[Picture],
    prompts: Sequence[str] = (),
    closed: bool = False,
    rounding: float = 0.3,
    fit: str = "crop",
    anchor: str = "center",
) -> Frames:
    """Images with their prompts.

    Args:
        images: files, addresses or open pictures (read_image.py), two or more; three or more if closed. Or a
            folder of them, or a pattern as pictures/*.png, by name: img2 before img10.
        prompts: one an image, or none at all.
        closed: the path leads back to the first image.
        rounding: part of each leg, from either image, in which the path may leave its geodesic to
            pass the image smoothly; 0 keeps the corners.
        fit, anchor: how a picture of another shape becomes one of the model's (resize.py).

    Raises:
        UserError: an image that `read_image` refuses, or another number of prompts than of images.
    """
    given: Any = images
    one = is_address(images) or is_bytes(images) or isinstance(images, Image.Image)
    if isinstance(images, str | os.PathLike) and not one:
        given = pictures_at(images)
    least = 3 if closed else 2
    if one or not hasattr(given, "__len__") or len(given) < least:
        got = "one picture" if one else len(given) if hasattr(given, "__len__") else given
        raise UserError(
            f"data.images: got {got}, expected at least {least} files: write data.images=[a.png,b.png,c.png], "
            "a folder, or a pattern as 'pictures/*.png'."
        )
    if prompts and len(prompts) != len(given):
        raise UserError(
            f"data.prompts: got {len(prompts)} for {len(given)} images, expected one for each, or "
            "none: write '' where there is none."
        )
    names = [f"image {number}" for number in range(1, len(given) + 1)]
    return Frames(
        None,
        tuple(prompts) or ("",) * len(given),
        tuple(map(name_of, given, names)),
        pictures=tuple(map(read_image, given, names)),
        closed=closed,
        rounding=part(rounding),
        fit=fit,
        anchor=anchor,
    )


def shipped_keyframes(names: Sequence[str], closed: bool = False, rounding: float = 0.3) -> Frames:
    """Images of the shipped pairs by name, pair_cat_start say, with their prompts."""
    shipped = json.loads((SHIPPED / "pairs.json").read_text(encoding="utf-8"))
    known = [f"{pair}_{end}" for pair in shipped for end in ("start", "end")]
    for name in names:
        if name not in known:
            raise UserError(f"Got the image {name!r}, expected one of {', '.join(sorted(known))}.")
    texts = [shipped[pair][f"prompt_{end}"] for pair, _, end in (n.rpartition("_") for n in names)]
    return keyframes([SHIPPED / f"{name}.png" for name in names], texts, closed, rounding)


def keyframe_points(
    points: Sequence[Iterable[float]], closed: bool = False, rounding: float = 0.3
) -> Frames:
    """Points of an exact density, each d numbers."""
    try:
        table = torch.tensor([[float(x) for x in point] for point in points], dtype=torch.float64)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"data.points: got {points}, expected points of as many numbers each: write "
            "data.points=[[0,1],[1,0],[1,1]]."
        ) from error
    if table.dim() != 2 or len(table) < (3 if closed else 2) or not torch.isfinite(table).all():
        raise UserError(
            f"data.points: got {points}, expected at least {3 if closed else 2} points of finite "
            "numbers: write data.points=[[0,1],[1,0],[1,1]]."
        )
    names = tuple(f"point {i}" for i in range(len(table)))
    return Frames(
        None, ("",) * len(table), names, points=table, closed=closed, rounding=part(rounding)
    )


def part(rounding: float) -> float:
    """A checked `rounding`; UserError outside 0 to 1."""
    if not 0 <= rounding <= 1:
        raise UserError(f"data.rounding: got {rounding}, expected a number from 0 to 1.")
    return float(rounding)
