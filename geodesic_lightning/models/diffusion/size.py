"""Which sizes a network takes, and the one of the pictures' own shape.

    (H, W) = m (i, j):  least |log(W / H) − mean log(w / h)|,  0.7 A ≤ H W ≤ 1.4 A

m is what the network halves its latents to, in pixels of the image; A its own number of pixels, near
which it was trained; w, h the pictures' sides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from geodesic_lightning.errors import UserError

__all__ = ["given_size", "own_shape"]

NEAR = (0.7, 1.4)  # of the model's own number of pixels
LONGEST = 16_384  # px of a side: H.264 has no wider films


def given_size(size: Any) -> tuple[int, int] | str | None:
    """model.size as (H, W), "auto" or None.

    Raises:
        UserError: it is none of these, or has a side of more than LONGEST px.
    """
    if size is None or size == "auto":
        return size
    sides = (size, size) if isinstance(size, int) else size
    whole = not isinstance(sides, str) and isinstance(sides, Sequence) and len(sides) == 2
    if not whole or not all(type(side) is int and side > 0 for side in sides):
        raise UserError(
            f"model.size: got {size}, expected [height,width] in px, auto or null: write for example "
            "model.size=[512,768]."
        )
    if max(sides) > LONGEST:
        raise UserError(
            f"model.size: got [{sides[0]},{sides[1]}], expected at most {LONGEST} px a side: take a smaller "
            "one, for example model.size=[512,768]."
        )
    return int(sides[0]), int(sides[1])


def check_size(size: tuple[int, int], multiple: int, most: int | None = None) -> None:
    """Raise UserError unless both sides are multiples, and at most `most` px."""
    if any(side % multiple for side in size):
        near = [max(multiple, round(side / multiple) * multiple) for side in size]
        raise UserError(
            f"model.size: got [{size[0]},{size[1]}], expected multiples of {multiple} px for this "
            f"model: take model.size=[{near[0]},{near[1]}]."
        )
    if most is not None and max(size) > most:
        raise UserError(
            f"model.size: got [{size[0]},{size[1]}], expected at most {most} px a side for this model."
        )


def own_shape(
    pictures: Sequence[tuple[int, int]],
    own: tuple[int, int],
    multiple: int,
    most: int | None = None,
) -> tuple[int, int]:
    """(H, W) in px nearest to the shape of pictures of (width, height) px, near a model's own size.

    Of several pictures the geometric mean of their shapes counts; of two sizes equally near in shape
    the one nearer in pixels is taken.
    """
    wanted = sum(math.log(width / height) for width, height in pictures) / len(pictures)
    area = own[0] * own[1]
    cells = area / multiple**2
    longest = int(min(NEAR[1] * cells, (most or math.inf) // multiple))
    sizes = [
        (rows * multiple, columns * multiple)
        for rows in range(1, longest + 1)
        for columns in range(math.ceil(NEAR[0] * cells / rows), int(NEAR[1] * cells / rows) + 1)
        if columns <= longest
    ]

    def distance(size: tuple[int, int]) -> tuple[float, float]:
        height, width = size
        shape = abs(math.log(width / height) - wanted)
        return round(shape, 9), abs(math.log(height * width / area))

    return min(sizes, key=distance, default=own)
