"""Films through ffmpeg, which imageio-ffmpeg carries: counted, read frame by frame, and written.

ffmpeg writes every frame as a portable pixmap to a pipe: a header that names its size, then its
bytes, 8-bit RGB whatever the film has. No frame is dropped or doubled to keep a rate, a film that is
to be shown turned is turned, and what cannot be decoded is an error, not a gap.

Written is H.264 where this ffmpeg has an encoder for it, else what it has.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from geodesic_lightning.errors import UserError

__all__ = ["NoEncoder", "count", "frames", "unreadable", "write"]

# Encoders of films that play in browsers, the last one in players only; with their quality.
ENCODERS: dict[str, Sequence[str]] = {
    "libx264": ("-crf", "18"),
    "h264_videotoolbox": ("-q:v", "80"),
    "libopenh264": ("-b:v", "8M"),
    "libvpx-vp9": ("-crf", "20", "-b:v", "0"),
    "libsvtav1": ("-crf", "20"),
    "mpeg4": ("-q:v", "2"),
}


class NoEncoder(Exception):
    """This machine's ffmpeg writes no film, for the reason given."""


def count(path: Path) -> int:
    """Frames that can be decoded; UserError where the file is no film, or is damaged."""
    command = [*_decoding(path), "-progress", "pipe:1", "-f", "null", "-"]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except OSError as error:
        raise _missing(path, error) from error
    found = [line for line in done.stdout.split() if line.startswith(b"frame=")]
    if done.returncode or not found:
        raise unreadable(path, _reason(done.stderr))
    return int(found[-1].split(b"=")[1])


def frames(path: Path) -> Iterator[Image.Image]:
    """All frames as RGB pictures, decoded as they are asked for."""
    command = [*_decoding(path), "-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24", "-"]
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError as error:
        raise _missing(path, error) from error
    with process:
        try:
            while process.stdout and (frame := _pixmap(process.stdout)) is not None:
                yield frame
        finally:
            process.kill()


def write(images: Iterable[np.ndarray], path: Path, fps: float) -> str:
    """An mp4 with its index first, yuv420p; returns the encoder's name.

    Args:
        images: (H, W, 3) uint8 each, sent one by one; gone through again for another encoder. An odd side
            gets its last row or column twice.
        path: ending in .mp4; what is there is replaced.
        fps: frames a second.

    Raises:
        NoEncoder: there is no ffmpeg, or none of its encoders writes such a film.
        OSError: the file cannot be written.
    """
    height, width = next(iter(images)).shape[:2]
    size = f"{width + width % 2}x{height + height % 2}"
    given = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", f"{fps:g}", "-i", "-"]
    with path.open("wb"):
        pass  # a folder that refuses says so itself, and is not taken for a lack of encoders
    reasons = []
    for name in encoders():
        made = [*("-c:v", name), *ENCODERS[name], "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
        command = [_executable(), "-nostdin", "-y", "-v", "error", *given, *made, f"file:{path}"]
        try:
            code, said = _fed(command, images)
        except OSError as error:
            raise NoEncoder(f"ffmpeg cannot be started ({_short(error)})") from error
        if not code:
            return name
        reasons.append(f"{name}: {_reason(said)}")
    raise NoEncoder("; ".join(reasons) or f"it has none of {', '.join(ENCODERS)}")


def _fed(command: list[str], images: Iterable[np.ndarray]) -> tuple[int, bytes]:
    """Send a command every image; its exit code and what it said."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said
        )
        with process:
            assert process.stdin is not None
            # Where it ends before the film does, its exit code tells; the pipe's error is each system's own.
            with contextlib.suppress(OSError):
                for image in images:
                    rows, columns = (side % 2 for side in image.shape[:2])
                    even = np.pad(image, ((0, rows), (0, columns), (0, 0)), mode="edge")
                    process.stdin.write(even.tobytes())
            with contextlib.suppress(OSError):
                process.stdin.close()
        said.seek(0)
        return process.returncode, said.read()


def encoders() -> list[str]:
    """Which of ENCODERS this machine's ffmpeg has, best first; NoEncoder without an ffmpeg."""
    try:
        return list(_encoders(_executable()))
    except (OSError, RuntimeError) as error:
        raise NoEncoder(f"ffmpeg cannot be started ({_short(error)})") from error


@cache
def _encoders(executable: str) -> tuple[str, ...]:
    command = [executable, "-hide_banner", "-encoders"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    # A line an encoder: flags, its name, what it is.
    lines = [line.split() for line in done.stdout.decode(errors="replace").splitlines()]
    names = {words[1] for words in lines if len(words) > 1}
    return tuple(name for name in ENCODERS if name in names)


def _executable() -> str:
    """The ffmpeg of IMAGEIO_FFMPEG_EXE, of imageio-ffmpeg, or of the system; RuntimeError for none."""
    from imageio_ffmpeg import get_ffmpeg_exe

    return get_ffmpeg_exe()


def _decoding(path: Path) -> list[str]:
    try:
        executable = _executable()
    except RuntimeError as error:
        raise _missing(path, error) from error
    quiet = ["-nostdin", "-v", "error", "-xerror", "-err_detect", "explode"]
    # file: because a name with a colon would be taken for a protocol.
    return [executable, *quiet, "-i", f"file:{path}", "-map", "0:v:0", "-fps_mode", "passthrough"]


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


def _short(reason: object) -> str:
    text = getattr(reason, "strerror", None) or reason
    return " ".join(str(text).split())[:120] or type(reason).__name__


def _missing(path: Path, error: Exception) -> UserError:
    return UserError(
        f"{path} is read by ffmpeg, which cannot be started here ({_short(error)}): run pip install "
        "imageio-ffmpeg, set IMAGEIO_FFMPEG_EXE to an ffmpeg, or give a gif, a webp or a folder of "
        "pictures."
    )


def unreadable(path: Path, reason: object) -> UserError:
    """The one sentence for a film that cannot be read."""
    return UserError(
        f"{path} cannot be read as a film ({_short(reason)}): give an mp4, gif or webp, or a folder "
        "of pictures."
    )
