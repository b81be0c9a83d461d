"""Frames: what the user gives, the images (or points) that a path has to pass, with their prompts.

A pair is a clip of two, n keyframes are a clip of n. Pictures are read and checked at their own
size, before any model is loaded; the model then asks for them at its size:

    frames = pair("a.png", "b.jpg", "a red cat", "a blue cat")     # errors, if any, come here
    frames.at((512, 768)).images                                    # (2, 3, 512, 768) in [0, 1]

An exact density has no pictures: its frames are points of the plane, or of any space. Frames of
prompts alone (prompts.py) have none either: the model samples them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from geodesic_lightning.data.read_image import Picture, name_of, read_image
from geodesic_lightning.data.resize import Size, check_fit, height_width, kept, resize, same
from geodesic_lightning.data.text import check_text
from geodesic_lightning.errors import UserError

__all__ = ["Frames", "image", "pair", "points", "shipped_pair"]

SHIPPED = Path(__file__).parent.parent / "models" / "embedded" / "pairs"
SAID = 0.01  # of a picture: a smaller crop is not worth a word


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
        fit: crop, pad or stretch: how a picture of another shape becomes one of the model's.
        anchor: center, top, bottom, left or right: what a crop keeps, where a padded picture stands.
        seeds: n numbers of the noise from which the model makes pictures of its own, or none.
        guidance: with which it makes them; None is its usual one.
    """

    images: Tensor | None
    prompts: tuple[str, ...]
    names: tuple[str, ...] = ()
    points: Tensor | None = None
    pictures: tuple[Image.Image, ...] = ()
    closed: bool = False
    rounding: float = 0.3
    fit: str = "crop"
    anchor: str = "center"
    seeds: tuple[int, ...] = ()
    guidance: float | None = None

    def __post_init__(self) -> None:
        """Raise UserError where the fields differ in number, fit or anchor is no such word, or a prompt no text."""
        check_fit(self.fit, self.anchor)
        for number, prompt in enumerate(self.prompts, 1):
            check_text(f"Prompt {number}", prompt)
        counts = {
            field: len(value)
            for field in ("images", "prompts", "names", "points", "pictures", "seeds")
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

    def at(self, size: Size) -> Frames:
        """These frames with `images` (n, 3, H, W) of that size in px; points stay as they are.

        Raises UserError if two neighbours are the same at this size, or if there are only images
        of another size and no pictures to make them from.
        """
        height, width = height_width(size)
        if self.pictures:
            images = torch.stack(
                [resize(one, (height, width), self.fit, self.anchor) for one in self.pictures]
            )
            names = self.names or tuple(f"frame {i}" for i in range(len(self)))
            for i in range(0 if self.closed else 1, len(self)):
                pictures = self.pictures[i - 1], self.pictures[i]
                if torch.equal(images[i - 1], images[i]) or same(
                    *pictures, (height, width), self.fit, self.anchor
                ):
                    raise _identical(names[i - 1], names[i], f" at {width}×{height} px")
            return replace(self, images=images)
        if self.images is not None and tuple(self.images.shape[-2:]) != (height, width):
            h, w = self.images.shape[-2:]
            raise UserError(
                f"Got images of {w}×{h} px, expected {width}×{height}: give Frames the "
                "pictures, or images of the model's size."
            )
        return self

    def part(self, numbers: Sequence[int]) -> Frames:
        """The frames of these numbers alone, in this order."""
        rows: dict[str, Any] = {
            field: value[list(numbers)]
            for field in ("images", "points")
            if (value := getattr(self, field)) is not None
        }
        lists: dict[str, Any] = {
            field: tuple(value[k] for k in numbers)
            for field in ("prompts", "names", "pictures", "seeds")
            if (value := getattr(self, field))
        }
        return replace(self, **rows, **lists)

    def firsts(self, size: Size) -> list[int]:
        """Of each frame the number of the first one that shows the same at this size: its own if none does.

        Points are the same that are so in single precision.
        """
        if self.pictures:
            shown = [resize(one, size, self.fit, self.anchor) for one in self.pictures]
        else:
            given = self.points if self.images is None else self.images
            shown = [] if given is None else list(given.float())

        def equal(i: int, k: int) -> bool:
            if torch.equal(shown[i], shown[k]):
                return True
            two = (self.pictures[i], self.pictures[k]) if self.pictures else None
            return two is not None and same(*two, size, self.fit, self.anchor)

        found: list[int] = []
        for k in range(len(self)):
            earlier = dict.fromkeys(found) if shown else ()
            found.append(next((i for i in earlier if equal(i, k)), k))
        return found

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """(width, height) of each picture in px; none for points and for tensors."""
        return tuple(picture.size for picture in self.pictures)

    def samples(self, size: Size) -> tuple[tuple[str, ...], Tensor] | None:
        """Names and images (n, 3, H, W) to judge the kind of pictures by; None for points and tensors."""
        if not self.pictures:
            return None
        images = [resize(one, size, self.fit, self.anchor) for one in self.pictures]
        return self.names or ("the pictures",), torch.stack(images)

    def cropped(self, size: Size) -> str:
        """What a crop to this size cuts off, in a sentence without stop; "" where that is under 1 %."""
        names = self.names or tuple(f"frame {i}" for i in range(len(self)))
        return crop_said(list(zip(names, self.sizes)), size) if self.fit == "crop" else ""


def crop_said(pictures: Sequence[tuple[str, tuple[int, int]]], size: Size) -> str:
    """The sentence, without its stop, on pictures, name and (width, height) px, cropped to `size`."""
    told = [
        f"{name} ({shape[0]}×{shape[1]} px) loses {1 - kept(shape, size):.0%}"
        for name, shape in pictures
        if 1 - kept(shape, size) >= SAID
    ]
    if not told:
        return ""
    height, width = height_width(size)
    more = f" and {len(told) - 3} more" if len(told) > 3 else ""
    return (
        f"Cropped to the model's {width}×{height} px: {', '.join(told[:3])}{more}; data.anchor= "
        "chooses the part that is kept, data.fit=pad and stretch keep all"
    )


def pair(
    start: Picture,
    end: Picture,
    prompt_start: str = "",
    prompt_end: str = "",
    size: Size | None = None,
    fit: str = "crop",
    anchor: str = "center",
) -> Frames:
    """Two images with their prompts; at size px if given, else at their own sizes.

    fit and anchor say what becomes of pictures of another shape than the model's (resize.py).

    Raises UserError for whatever `read_image` refuses and for two identical images.
    """
    pictures = (read_image(start, "start"), read_image(end, "end"))
    names = name_of(start, "start"), name_of(end, "end")
    first, second = pictures
    if first.size == second.size and first.tobytes() == second.tobytes():
        raise _identical(*names)
    texts = (prompt_start or "", prompt_end or "")
    frames = Frames(None, texts, names, pictures=pictures, fit=fit, anchor=anchor)
    return frames if size is None else frames.at(size)


def image(
    image: Picture,
    prompt: str = "",
    size: Size | None = None,
    fit: str = "crop",
    anchor: str = "center",
) -> Frames:
    """One image with its prompt, to start from; UserError for whatever `read_image` refuses."""
    name = name_of(image, "start")
    pictures = (read_image(image, name),)
    frames = Frames(None, (prompt or "",), (name,), pictures=pictures, fit=fit, anchor=anchor)
    return frames if size is None else frames.at(size)


def shipped_pair(name: str, size: Size | None = None) -> Frames:
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
    ends = [numbers("start", start), numbers("end", end)]
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


def numbers(name: str, values: Iterable[float]) -> list[float]:
    """The coordinates of one point, checked."""
    try:
        found = [] if isinstance(values, str) else [float(value) for value in values]
    except (TypeError, ValueError):
        found = []
    if not found or not all(math.isfinite(number) for number in found):
        raise UserError(
            f"Got {name} = {values}, expected a list of at least one finite number: "
            f"write for example data.{name}=[-1.0,0.5]."
        )
    return found


def _identical(first: str, second: str, where: str = "") -> UserError:
    return UserError(
        f"{first} and {second} are the same picture{where}, expected two different ones: there is "
        "no path to find, change one of them."
    )
