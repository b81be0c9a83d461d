"""What a run leaves behind: frames in, files out, nothing decided.

Every writer makes the folder, writes under a temporary name beside the target and renames it at
the end (os.replace), so a file that exists is whole and a failure leaves the former one in place.
Frames are (n, 3, H, W) in [0, 1]; values outside are clipped, as any screen would.

All writers raise UserError where a folder cannot be written or frames are not finite.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from geodesic_lightning.caller.kinds import number, shown
from geodesic_lightning.data import ffmpeg
from geodesic_lightning.errors import UserError, advice
from geodesic_lightning.protocols import AnyPath

log = logging.getLogger("geodesic_lightning")

WIDEST = 65_500  # px of a strip: more is refused by formats with 16 bits for a side
LARGEST = 80_000_000  # px of a picture: from 89 million on Pillow warns of it, and then refuses
ESCAPED = "backslashreplace"  # a name with bytes that are no UTF-8: \\udcff, which JSON reads back
EFFORT = 4  # of 9, for PNG: 3 % larger than by 6, the usual, in three fifths of the time

__all__ = [
    "check_fps",
    "strip",
    "to_picture",
    "write_animation",
    "write_frames",
    "write_image",
    "write_json",
    "write_path",
    "write_video",
]


def write_video(
    frames: Tensor,
    path: str | Path,
    fps: float = 12,
    ping_pong: bool = False,
    min_side: int = 256,
) -> Path:
    """An mp4 that every browser plays: H.264, yuv420p, crf 18, index first, even sides.

    frames (n, 3, H, W) are enlarged by a whole factor until both sides have min_side px; an odd
    side then gets its last row or column twice. ping_pong appends the way back, 2n - 2 in all.

    Returns:
        the file: `path`, in another codec where ffmpeg has no H.264, or, where it writes no film at
        all, an animated gif beside it; either is said once.
    """
    images, path = _Sequence(frames, fps, ping_pong, min_side), Path(path)
    try:
        with _whole(path) as temporary:
            encoder = ffmpeg.write(images, temporary, fps)
    except ffmpeg.NoEncoder as why:
        path = path.with_suffix(".gif")
        say_once(f"Films are written as {path.suffix} by Pillow, in 256 colours: {why}.")
        return _animation(images, path, fps)
    if "264" not in encoder:
        say_once(f"Films are written by {encoder}: this machine's ffmpeg has no H.264 encoder.")
    return path


def write_animation(
    frames: Tensor,
    path: str | Path,
    fps: float = 12,
    ping_pong: bool = True,
    min_side: int = 256,
) -> None:
    """An endless animated picture for a page: .webp, or .gif with its 256 colours."""
    kind = Path(path).suffix.lower()
    if kind not in (".webp", ".gif"):
        raise UserError(f"{path} ends in {kind!r}, expected .webp or .gif: change the name.")
    _animation(_Sequence(frames, fps, ping_pong, min_side), Path(path), fps)


def _animation(images: Iterable[np.ndarray], path: Path, fps: float) -> Path:
    options: dict[str, Any] = {"quality": 90, "method": 4} if path.suffix == ".webp" else {}
    rest = (Image.fromarray(image) for image in images)
    first = next(rest)
    with _whole(path) as temporary:
        first.save(
            temporary,
            save_all=True,
            append_images=rest,
            duration=round(1000 / fps),  # ms a frame
            loop=0,
            **options,
        )
    return path


@cache
def say_once(words: str) -> None:
    """Warn, once a process: a run writes many films."""
    log.warning(words)


def write_frames(frames: Tensor, folder: str | Path) -> None:
    """folder/00.png, 01.png, …: frames (n, 3, H, W) at their own size."""
    digits = max(2, len(str(len(frames) - 1)))
    for index, frame in enumerate(frames):
        write_image(frame, Path(folder) / f"{index:0{digits}d}.png")


def strip(frames: Tensor, gap: int = 2) -> Tensor:
    """Frames side by side, gap px of white between: (3, H, m W + (m - 1) gap).

    All n of them, or as many as make no picture of more than WIDEST px in width or LARGEST in all, evenly
    taken with both ends.
    """
    count, height, width = len(frames), frames.shape[-2], frames.shape[-1]
    most = max(2, min(WIDEST, LARGEST // height) // (width + gap))
    if count > most:
        frames = frames[torch.linspace(0, count - 1, most).round().long()]
    white = frames.new_ones(3, frames.shape[-2], gap)
    columns = [column for frame in frames for column in (frame, white)]
    return torch.cat(columns[:-1], dim=-1)


def write_image(image: Tensor, path: str | Path) -> None:
    """One picture (3, H, W) in [0, 1]; the name's ending chooses the format.

    One of more than LARGEST px is made smaller: programs refuse to open it.
    """
    picture = to_picture(image)
    if (pixels := picture.width * picture.height) > LARGEST:
        picture = picture.reduce(math.ceil((pixels / LARGEST) ** 0.5))
    with _whole(path) as temporary:
        picture.save(temporary, compress_level=EFFORT)


def to_picture(image: Tensor) -> Image.Image:
    """(3, H, W) in [0, 1] as a PIL image."""
    return Image.fromarray(_bytes(image[None])[0])


def path_tensors(path: AnyPath) -> dict[str, Tensor]:
    """What path.safetensors holds: copies of the nodes (N−1, *shape), their places u (N+1,), the ends (2, *shape)."""
    nodes = path.nodes.detach().clone()
    ends = path.points().detach()[[0, -1]].reshape(2, *nodes.shape[1:])
    return {"nodes": nodes, "u": path.u.detach().clone(), "ends": ends}


def write_path(
    path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any] | None = None
) -> None:
    """Named tensors as safetensors, the same bytes for the same content.

    Metadata values that are not strings are kept as JSON.
    """
    from safetensors.torch import save

    copies = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    texts = {
        key: value if isinstance(value, str) else json.dumps(_plain(value), ensure_ascii=False)
        for key, value in (metadata or {}).items()
    }
    with _whole(path) as temporary:
        temporary.write_bytes(
            _in_order(save(copies, metadata=texts))
        )  # a full disk is an OSError then


def _in_order(content: bytes) -> bytes:
    """A safetensors file with its metadata by name: the library writes them in an order of chance."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    if "__metadata__" in header:
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def write_json(path: str | Path, content: Mapping[str, Any]) -> None:
    """JSON, indented by 2; numpy and torch values become numbers and lists, NaN and ±inf null."""
    text = json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False)
    with _whole(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8", errors=ESCAPED)


def write_text(path: str | Path, text: str) -> None:
    """A page or a table, in UTF-8."""
    with _whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors=ESCAPED)


def check_fps(fps: float) -> float:
    """The speed of a film as a plain number; UserError for one at which none can be shown."""
    try:
        if (found := number(fps)) > 0:
            return found
    except TypeError:
        pass
    raise UserError(
        f"fps: got {shown(fps)}, expected a number of frames per second above 0: write fps=12."
    )


class _Sequence:
    """Frames (n, 3, H, W) as the pictures of a film, there and back, large enough to be watched.

    Every going through makes them anew, one (H, W, 3) uint8 at a time.
    """

    def __init__(self, frames: Tensor, fps: float, ping_pong: bool, min_side: int) -> None:
        check_fps(fps)
        check_frames(frames)
        self._frames = frames
        back = range(len(frames) - 2, 0, -1) if ping_pong else ()
        self._order = [*range(len(frames)), *back]
        self._factor = max(1, math.ceil(min_side / min(frames.shape[-2:])))

    def __iter__(self) -> Iterator[np.ndarray]:
        for k in self._order:
            picture = _rounded(self._frames[k : k + 1])[0]
            if self._factor > 1:
                height, width = (side * self._factor for side in picture.shape[:2])
                enlarged = Image.fromarray(picture).resize(
                    (width, height), Image.Resampling.LANCZOS
                )
                picture = np.asarray(enlarged)
            yield picture


def check_frames(frames: Tensor) -> None:
    """Raise UserError for what is no film (n, 3, H, W), or has pixels that are no numbers."""
    if frames.ndim != 4 or frames.shape[1] != 3 or not frames.numel():
        raise UserError(
            f"Got frames of shape {tuple(frames.shape)}, expected (n, 3, H, W) with n > 0."
        )
    if not all(torch.isfinite(frame).all() for frame in frames):
        raise UserError(
            "Got frames with NaN or infinite pixels, expected numbers in [0, 1]: the model decoded "
            "no picture; try a wider dtype or check its weights."
        )


def _bytes(frames: Tensor) -> np.ndarray:
    """(n, 3, H, W) in [0, 1] as (n, H, W, 3) uint8, rounded; they are checked first."""
    check_frames(frames)
    return _rounded(frames)


def _rounded(frames: Tensor) -> np.ndarray:
    pixels = frames.detach().float().cpu().clamp(0, 1).mul_(255).round_().byte()
    return pixels.permute(0, 2, 3, 1).contiguous().numpy()


@contextlib.contextmanager
def _whole(path: str | Path) -> Iterator[Path]:
    """A temporary name beside path, which takes path's place once it has been written."""
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()  # before any work: a folder that refuses does so at once, with a reason
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())
        raise UserError(
            f"{path} cannot be written ({reason}): "
            f"{advice(error, 'choose a folder that you may write to')}."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _plain(value: Any) -> Any:
    """The same content in JSON's own types."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Tensor):
        return _plain(value.detach().cpu().tolist())
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value
