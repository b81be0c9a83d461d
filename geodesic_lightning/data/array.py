"""Arrays and tensors as pictures: whichever way they can be read, where there is one way."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from geodesic_lightning.errors import UserError

__all__ = ["of_array"]

CHANNELS = (1, 3, 4)  # grey, colours, colours with transparency
WHITES = {"uint16": 65535}  # whole numbers of other types go to 255
SLACK = 1e-3  # what rounding leaves beyond 0 and 1
READ_BY_NUMPY = (torch.float16, torch.float32, torch.float64)


def of_array(given: np.ndarray | Tensor, name: str = "the picture") -> Image.Image:
    """An open picture of mode L, RGB or RGBA.

    Args:
        given: (H, W), (H, W, C) or, a tensor, (C, H, W), of 1, 3 or 4 channels; also one alone in a batch. Whole
            numbers from 0 to 255, uint16 from 0 to 65535, true and false, or others from 0 to 1.
        name: what messages call it.

    Raises:
        UserError: another shape, one that can be read in two ways, or other numbers.
    """
    pixels = _bytes(
        _upright(_as_array(given), tuple(given.shape), isinstance(given, Tensor), name), name
    )
    return Image.fromarray(np.ascontiguousarray(pixels))


def _as_array(given: np.ndarray | Tensor) -> np.ndarray:
    if not isinstance(given, Tensor):
        return given
    given = given.detach()
    try:
        if given.is_floating_point() and given.dtype not in READ_BY_NUMPY:
            given = given.float()
        return given.cpu().resolve_conj().resolve_neg().numpy()
    except (TypeError, RuntimeError, NotImplementedError) as error:
        raise UserError(
            f"Got a tensor of {given.dtype} on {given.device} ({given.layout}), which holds no plain pixels: give a "
            "dense tensor (3, H, W)."
        ) from error


def _upright(pixels: np.ndarray, shape: tuple[int, ...], tensor: bool, name: str) -> np.ndarray:
    """(H, W) or (H, W, 3 or 4)."""
    wanted = "a tensor (3, H, W)" if tensor else "an array (H, W, 3)"
    wrong = UserError(
        f"Got {name} of shape {shape}, expected {wanted}: give one picture at a time."
    )
    if not all(shape):
        raise wrong
    if pixels.ndim == 4 and shape[0] == 1:
        pixels = pixels[0]
    if pixels.ndim == 3:
        first, last = pixels.shape[0] in CHANNELS, pixels.shape[-1] in CHANNELS
        if tensor and first and last:
            raise UserError(
                f"Got {name} of shape {shape}, where the channels may come first or last: give it as an array "
                "(H, W, 3), or as a larger tensor (3, H, W)."
            )
        if first and not last and (tensor or pixels.shape[0] == 1):
            pixels = np.moveaxis(pixels, 0, -1)
        elif not last:
            raise wrong
        pixels = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    if pixels.ndim not in (2, 3):
        raise wrong
    return pixels


def _bytes(pixels: np.ndarray, name: str) -> np.ndarray:
    """The same as uint8."""
    kind = pixels.dtype.kind
    if kind == "b":
        return pixels.astype(np.uint8) * 255
    if kind not in "iuf":
        raise UserError(f"Got {name} of {pixels.dtype}, expected {RANGES}: convert it.")
    white = WHITES.get(pixels.dtype.name, 255) if kind in "iu" else 1
    slack = SLACK if kind == "f" else 0
    low, high = pixels.min(), pixels.max()
    if not (low >= -slack and high <= white + slack):
        raise UserError(
            f"Got {name} of {pixels.dtype} from {float(low):g} to {float(high):g}, expected {RANGES}: scale it."
        )
    if white == 65535 and 0 < high <= 255:
        raise UserError(
            f"Got {name} of {pixels.dtype} from {low} to {high}, which are 8 bits, or 16 bits that are nearly black: "
            "give .astype('uint8'), or divide by 65535."
        )
    if white == 255:
        return pixels.astype(np.uint8)
    return np.rint(pixels.astype(np.float64).clip(0, white) * (255 / white)).astype(np.uint8)


RANGES = "whole numbers from 0 to 255, uint16 to 65535, or others from 0 to 1"
