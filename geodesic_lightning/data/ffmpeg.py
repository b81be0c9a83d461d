"""Films through ffmpeg, which imageio-ffmpeg carries: a count of frames, and the frames one by one.

ffmpeg writes every frame as a portable pixmap to a pipe: a header that names its size, then its
bytes. No frame is dropped or doubled to keep a rate, and what cannot be decoded is an error, not a
gap.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from geodesic_lightning.errors import UserError

__all__ = ["count", "frames", "unreadable"]


def count(path: Path) -> int:
    """Frames that can be decoded; UserError where the file is no film, or is damaged."""
    done = subprocess.run(
        [*_decoding(path), "-progress", "pipe:1", "-f", "null", "-"],
        capture_output=True,
        check=False,
    )
    found = [line for line in done.stdout.split() if line.startswith(b"frame=")]
    if done.returncode or not found:
        raise unreadable(path, _reason(done.stderr))
    return int(found[-1].split(b"=")[1])


def frames(path: Path) -> Iterator[Image.Image]:
    """All frames as RGB pictures, decoded as they are asked for."""
    command = [*_decoding(path), "-f", "image2pipe", "-c:v", "ppm", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            while process.stdout and (frame := _pixmap(process.stdout)) is not None:
                yield frame
        finally:
            process.kill()


def _decoding(path: Path) -> list[str]:
    from imageio_ffmpeg import get_ffmpeg_exe

    quiet = ["-nostdin", "-v", "error", "-xerror", "-err_detect", "explode"]
    return [get_ffmpeg_exe(), *quiet, "-i", str(path), "-map", "0:v:0", "-fps_mode", "passthrough"]


def _pixmap(pipe: IO[bytes]) -> Image.Image | None:
    """The next picture in a pipe, None at its end or where it breaks off."""
    header = [pipe.readline() for _ in range(3)]
    if header[0] != b"P6\n":
        return None
    width, height = (int(number) for number in header[1].split())
    pixels = pipe.read(3 * width * height)
    if len(pixels) < 3 * width * height:
        return None
    return Image.fromarray(np.frombuffer(pixels, np.uint8).reshape(height, width, 3))


def _reason(stderr: bytes) -> str:
    lines = stderr.decode(errors="replace").strip().splitlines() or ["no frames"]
    return lines[-1].rsplit("] ", 1)[-1].rstrip(".")


def unreadable(path: Path, reason: object) -> UserError:
    """The one sentence for a film that cannot be read."""
    said = " ".join(str(reason).split())[:120] or type(reason).__name__
    return UserError(
        f"{path} cannot be read as a film ({said}): give an mp4, gif or webp, or a folder of "
        "pictures."
    )
