"""Clips: the frames of a film, looked at before a model is loaded and read in chunks when asked for.

    film = clip("film.mp4", prompt="a cat", stride=2, range=[0, 200])   # errors, if any, come here
    for images in film.chunks((64, 96), 32):                            # (≤ 32, 3, 64, 96) in [0, 1]
        ...

A film is an mp4 or whatever else ffmpeg reads, an animated gif, webp, avif or png, or a folder of
pictures in the order of their names; hidden files are none. Nothing but one chunk is held in memory.
A clip of an exact density is a table of points.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageSequence
from torch import Tensor

from geodesic_lightning.data import ffmpeg as film
from geodesic_lightning.data.address import is_address
from geodesic_lightning.data.frames import Frames, crop_said
from geodesic_lightning.data.paths import PICTURES, expanded, pictures_in
from geodesic_lightning.data.read_image import name_of, read_image
from geodesic_lightning.data.resize import Size, check_fit, resize
from geodesic_lightning.data.text import check_text, read_text
from geodesic_lightning.errors import UserError

__all__ = ["Clip", "clip", "clip_points", "shipped_clip"]

SHIPPED = Path(__file__).parent.parent / "models" / "embedded" / "clips"
ANIMATED = (".gif", ".webp", ".png", ".apng", ".avif")
FEWEST = 3  # frames: a bend takes three


@dataclass(frozen=True)
class Clip:
    """Frames start, start + stride, … below stop of a film.

    path: the film or folder.  total: frames it has.  size: (width, height) in px of all of them.
    prompt: what all frames show.  fit, anchor: how frames of another shape become the model's.
    """

    path: Path
    total: int
    size: tuple[int, int]
    prompt: str = ""
    start: int = 0
    stop: int = 0
    stride: int = 1
    fit: str = "crop"
    anchor: str = "center"

    @property
    def prompts(self) -> tuple[str, str]:
        """The same prompt at both ends."""
        return self.prompt, self.prompt

    @property
    def numbers(self) -> range:
        """Numbers in the film of the frames taken."""
        return range(self.start, self.stop, self.stride)

    def __len__(self) -> int:
        return len(self.numbers)

    def pictures(self) -> Iterator[Image.Image]:
        """The frames taken, as RGB pictures of their own size; UserError for a bad one."""
        for number, picture in zip(
            self.numbers, islice(_read(self.path), self.start, self.stop, self.stride)
        ):
            if picture.size != self.size:
                raise UserError(
                    f"{self.path}: frame {number} is {picture.width}×{picture.height} px, the "
                    "first one "
                    f"{self.size[0]}×{self.size[1]}: give frames of one size."
                )
            yield picture

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """(width, height) in px, once for all frames."""
        return (self.size,)

    def samples(self, size: Size) -> tuple[tuple[str, ...], Tensor] | None:
        """The film's name and its first frame (1, 3, H, W), to judge the kind of pictures by."""
        first = next(self.pictures(), None)
        if first is None:
            return None
        return (name_of(self.path, ""),), resize(first, size, self.fit, self.anchor)[None]

    def cropped(self, size: Size) -> str:
        """What a crop to this size cuts off, in a sentence without stop; "" where that is under 1 %."""
        return crop_said([(name_of(self.path, ""), self.size)], size) if self.fit == "crop" else ""

    def chunks(self, size: Size, many: int) -> Iterator[Tensor]:
        """Images (≤ many, 3, H, W) in [0, 1], in order; UserError for a film cut off."""
        pictures, found = self.pictures(), 0
        while chunk := list(islice(pictures, many)):
            found += len(chunk)
            yield torch.stack([resize(one, size, self.fit, self.anchor) for one in chunk])
        if found < len(self):
            raise UserError(
                f"{self.path} is damaged: {found} of {len(self)} frames could be read; save or "
                "download it again, "
                f"or give data.range=[{self.start},{self.start + found * self.stride}]."
            )


def clip(
    path: str | os.PathLike[Any],
    prompt: str = "",
    stride: int = 1,
    range: Sequence[int] | None = None,
    fit: str = "crop",
    anchor: str = "center",
    resize: str | None = None,
) -> Clip:
    """A film's frames, counted and the first one looked at.

    Args:
        path: a film, an animated picture, or a folder of pictures.
        prompt: what all of its frames show.
        stride: every stride-th frame, ≥ 1.
        range: [first, last + 1] of its frames; None takes all.
        fit, anchor: how frames of another shape become the model's (resize.py).
        resize: the former name of fit.

    Raises:
        UserError: there is no such film, it cannot be read, or fewer than three frames are left.
    """
    fit = resize or fit
    check_fit(fit, anchor)
    if stride < 1:
        raise UserError(f"data.stride: got {stride}, expected at least 1.")
    check_text("data.prompt", prompt)
    if is_address(path) or not isinstance(path, str | os.PathLike):
        got = path if isinstance(path, str) else f"a {type(path).__name__}"
        raise UserError(
            f"data.path: got {got}, expected a film or a folder of pictures on this machine: save it as a file, and "
            "give its path."
        )
    where = expanded(path) if str(path).strip() else None
    if where is None or not _exists(where):
        raise UserError(
            f"data.path: {path!s} does not exist, expected a film or a folder of pictures: check "
            "the path."
        )
    total, size = _look(where)
    start, stop = _range(range, total, where)
    found = Clip(where, total, size, prompt, start, stop, stride, fit, anchor)
    if len(found) < FEWEST:
        raise UserError(
            f"{where} gives {len(found)} frame{'s' if len(found) != 1 else ''} (of {total}), "
            "expected at least "
            f"{FEWEST}: a bend takes three; give a longer clip, a smaller data.stride or a wider "
            "data.range."
        )
    return found


def shipped_clip(name: str) -> Clip:
    """A clip of drawn cats that comes with the project; UserError lists the names there are."""
    found = sorted(SHIPPED.glob("*.mp4"))
    if (path := SHIPPED / f"{name}.mp4") not in found:
        names = ", ".join(one.stem for one in found) or "none: install the package again"
        raise UserError(f"Got the clip {name!r}, expected one of {names}.")
    captions = (SHIPPED / "captions.txt").read_text(encoding="utf-8").splitlines()
    prompts = dict(line.split(": ", 1) for line in captions if line)
    return clip(path, prompts[name])


def clip_points(path: str | Path) -> Frames:
    """A clip of an exact density: the rows of a .csv or .npy table, one point a frame.

    Raises UserError unless it has at least three rows of finite numbers.
    """
    where = expanded(path)
    try:
        rows = np.load(where) if where.suffix == ".npy" else _table(where)
    except UserError:
        raise
    except OSError as error:
        raise UserError(
            f"data.path: {path} cannot be read ({error.strerror or error}): give a .csv or .npy "
            "table."
        ) from error
    except Exception as error:  # a damaged file can fail in any of numpy's own ways
        raise UserError(
            f"data.path: {path} is not a table of numbers: give a .csv file, columns apart by commas, parts of one by "
            "points, or a .npy file, one row a frame."
        ) from error
    if not isinstance(rows, np.ndarray) or rows.dtype.kind not in "biuf":
        raise UserError(f"data.path: {path} holds no plain numbers: give one row a frame.")
    if rows.ndim != 2 or len(rows) < FEWEST or not np.isfinite(rows).all():
        raise UserError(
            f"data.path: {path} has the shape {rows.shape}, expected at least {FEWEST} rows of "
            "finite numbers."
        )
    count = len(rows)
    names = tuple(f"frame {i}" for i in np.arange(count))
    return Frames(None, ("",) * count, names, points=torch.from_numpy(rows.astype(np.float64)))


def _table(path: Path) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an empty file, which has too few rows
        return np.loadtxt(io.StringIO(read_text(path)), delimiter=",", ndmin=2)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long, or with a character that none may have
        return False


def _range(given: Sequence[int] | None, total: int, path: Path) -> tuple[int, int]:
    if given is None:
        return 0, total
    if len(given) != 2 or not 0 <= given[0] < given[1]:
        raise UserError(
            f"data.range: got {list(given)}, expected [first, last + 1], 0 ≤ first < last + 1 ≤ "
            f"{total}."
        )
    if given[1] > total:
        raise UserError(
            f"data.range: got {list(given)}, but {path} has {total} frames: end at {total}."
        )
    return int(given[0]), int(given[1])


def _look(path: Path) -> tuple[int, tuple[int, int]]:
    """Number of frames and the size of the first, which is decoded."""
    if path.is_dir():
        files = pictures_in(path)
        if not files:
            raise UserError(
                f"{path} has no pictures in it, expected {', '.join(PICTURES)} files: check the "
                "path."
            )
        return len(files), read_image(files[0]).size
    if not path.stat().st_size:
        raise UserError(f"{path} is empty (0 bytes), expected a film: save it again.")
    total = _count(path)
    first = next(_read(path), None)
    if first is None:
        raise UserError(f"{path} has no frames, expected a film: save or download it again.")
    return total, first.size


def _count(path: Path) -> int:
    if path.suffix.lower() in ANIMATED:
        try:
            with Image.open(path) as opened:
                return getattr(opened, "n_frames", 1)
        except Exception as error:
            raise film.unreadable(path, error) from error
    return film.count(path)


def _read(path: Path) -> Iterator[Image.Image]:
    """All frames, one after the other, as RGB pictures."""
    if path.is_dir():
        yield from (read_image(file) for file in pictures_in(path))
    elif path.suffix.lower() in ANIMATED:
        try:
            with Image.open(path) as opened:
                for frame in ImageSequence.Iterator(opened):
                    yield read_image(frame, str(path))
        except UserError:
            raise
        except Exception as error:
            raise film.unreadable(path, error) from error
    else:
        yield from film.frames(path)
