"""Frames: what the user gives, the images (or points) that a path has to pass, with their prompts.

A pair is a clip of two, n keyframes are a clip of n. Pictures are read and checked at their own
size, before any model is loaded; the model then asks for them at its size:

    frames = pair("a.png", "b.jpg", "a red cat", "a blue cat")     # errors, if any, come here
    frames.at(512).images                                           # (2, 3, 512, 512) in [0, 1]

An exact density has no pictures: its frames are points of the plane, or of any space.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from geodesic_lightning.data.read_image import central_square, read_image, resize
from geodesic_lightning.errors import UserError

__all__ = ["Frames", "image", "pair", "points", "shipped_pair"]

SHIPPED = Path(__file__).parent.parent / "models" / "embedded" / "pairs"


@dataclass(frozen=True, eq=False)
class Frames:
    """n keyframes in the order of the path.

    Attributes:
        images: (n, 3, H, W) float32 in [0, 1] at the model's size, or None until `at` has made them.
        prompts: n captions, "" for none.
        names: n short names for tables and plots.
        points: (n, d) float64, the keyframes of an exact density, or None.
        pictures: n RGB pictures at their own sizes, what `at` resizes.
        closed: the path leads from the last frame back to the first.
        rounding: part of each leg that may bend so that the path passes its inner frames smoothly.
    """

    images: Tensor | None
    prompts: tuple[str, ...]
    names: tuple[str, ...] = ()
    points: Tensor | None = None
    pictures: tuple[Image.Image, ...] = ()
    closed: bool = False
    rounding: float = 0.3

    def __post_init__(self) -> None:
        """Raise UserError where images, prompts, names, points and pictures differ in number."""
        counts = {
            field: len(value)
            for field in ("images", "prompts", "names", "points", "pictures")
            if (value := getattr(self, field)) is not None and (field == "prompts" or len(value))
        }
        if len(set(counts.values())) > 1 or not len(self):
            raise UserError(
                f"Frames got {counts}, expected one of each for every frame: give as many prompts "
                "as images."
            )

    def __len__(self) -> int:
        """The number n of keyframes."""
        return len(self.prompts)

    def at(self, size: int) -> Frames:
        """These frames with `images` (n, 3, size, size), size in px; points stay as they are.

        Raises UserError if two neighbours are the same at this size, or if there are only images
        of another size and no pictures to make them from.
        """
        if size < 1:
            raise UserError(f"Got images of {size} px, expected at least 1 px: change the size.")
        if self.pictures:
            images = torch.stack([resize(picture, size) for picture in self.pictures])
            names = self.names or tuple(f"frame {i}" for i in range(len(self)))
            for i in range(0 if self.closed else 1, len(self)):
                if torch.equal(images[i - 1], images[i]):
                    raise _identical(names[i - 1], names[i], f" at {size}×{size} px")
            return replace(self, images=images)
        if self.images is not None and tuple(self.images.shape[-2:]) != (size, size):
            height, width = self.images.shape[-2:]
            raise UserError(
                f"Got images of {width}×{height} px, expected {size}×{size}: give Frames the "
                "pictures, or images of the model's size."
            )
        return self


def pair(
    start: str | Path | Image.Image,
    end: str | Path | Image.Image,
    prompt_start: str = "",
    prompt_end: str = "",
    size: int | None = None,
) -> Frames:
    """Two images with their prompts; at size px if given, else at their own sizes.

    Raises UserError for whatever `read_image` refuses and for two identical images.
    """
    pictures = (read_image(start), read_image(end))
    names = tuple(
        default if isinstance(source, Image.Image) else Path(source).name
        for source, default in ((start, "start"), (end, "end"))
    )
    first, second = (picture.crop(central_square(picture)) for picture in pictures)
    if first.size == second.size and first.tobytes() == second.tobytes():
        raise _identical(*names)
    frames = Frames(None, (prompt_start or "", prompt_end or ""), names, pictures=pictures)
    return frames if size is None else frames.at(size)


def image(image: str | Path | Image.Image, prompt: str = "", size: int | None = None) -> Frames:
    """One image with its prompt, to start from; UserError for whatever `read_image` refuses."""
    name = "start" if isinstance(image, Image.Image) else Path(image).name
    frames = Frames(None, (prompt or "",), (name,), pictures=(read_image(image),))
    return frames if size is None else frames.at(size)


def shipped_pair(name: str, size: int | None = None) -> Frames:
    """A pair that comes with the project, with its prompts; UserError lists the names there are."""
    try:
        shipped = json.loads((SHIPPED / "pairs.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(
            "The shipped pairs are not in this installation, expected pairs.json in "
            "geodesic_lightning/models/embedded/pairs: install the package again."
        ) from error
    if name not in shipped:
        raise UserError(f"Got the pair {name!r}, expected one of {', '.join(sorted(shipped))}.")
    return pair(
        SHIPPED / f"{name}_start.png",
        SHIPPED / f"{name}_end.png",
        shipped[name]["prompt_start"],
        shipped[name]["prompt_end"],
        size,
    )


def points(start: Iterable[float], end: Iterable[float]) -> Frames:
    """Two points (d numbers each) for a density over R^d: `points` (2, d) float64, no images.

    Raises UserError unless both are d >= 1 finite numbers and differ (in single precision too).
    """
    ends = [_numbers("start", start), _numbers("end", end)]
    if len(ends[0]) != len(ends[1]):
        raise UserError(
            f"Got {len(ends[0])} numbers for start and {len(ends[1])} for end, expected as many "
            "for both: make the two points of the same dimension."
        )
    both = torch.tensor(ends, dtype=torch.float64)
    if torch.equal(*both.float()):
        raise UserError(
            f"Got start and end at the same point {ends[0]}, expected two different points: "
            "move one of them."
        )
    return Frames(None, ("", ""), ("start", "end"), points=both)


def _numbers(name: str, values: Iterable[float]) -> list[float]:
    """The coordinates of one point, checked."""
    try:
        numbers = [] if isinstance(values, str) else [float(value) for value in values]
    except (TypeError, ValueError):
        numbers = []
    if not numbers or not all(math.isfinite(number) for number in numbers):
        raise UserError(
            f"Got {name} = {values}, expected a list of at least one finite number: "
            f"write for example data.{name}=[-1.0,0.5]."
        )
    return numbers


def _identical(first: str, second: str, where: str = "") -> UserError:
    return UserError(
        f"{first} and {second} are the same picture{where}, expected two different ones: there is "
        "no path to find, change one of them."
    )
