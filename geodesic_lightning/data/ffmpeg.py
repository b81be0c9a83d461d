"""Films through ffmpeg, which imageio-ffmpeg carries: counted, read frame by frame, and written.

ffmpeg writes every frame as a portable arbitrary map to a pipe: a header that names its size, then its
bytes, 8-bit RGB whatever the film has. No frame is dropped or doubled to keep a rate, a film that is
to be shown turned is turned, pixels that are not square are made so, transparency is laid over white, and what
cannot be decoded is an error, not a gap.

Written is H.264 where this ffmpeg has an encoder for it, else what it has.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from geodesic_lightning.data.colour import to_srgb
from geodesic_lightning.data.paths import printable
from geodesic_lightning.errors import ADVICE, UserError

log = logging.getLogger("geodesic_lightning")

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

# Frames of square pixels, no side shorter than before, where an aspect is believed.
SQUARE = "scale='if(between(sar,1,8),round(iw*sar),iw)':'if(between(sar,1/8,1),round(ih/sar),ih)'"
OPAQUE, AS_IT_IS = "format=rgb24", "format=rgb24|rgba"  # with alpha where the film has it
# Files whose transparency is not what ffmpeg takes it for, by how they begin. In webm and mkv it lies beside the
# pictures, where only these decoders find it; plain AVI has a fourth byte that means nothing.
MATROSKA, RIFF = b"\x1a\x45\xdf\xa3", b"RIFF"
BESIDE = re.compile(r"Video: (vp[89])\b(?:(?!Stream #).)*?alpha_mode +: 1", re.S | re.I)
WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
MEANINGLESS = "Video: rawvideo, bgra"


class NoEncoder(Exception):
    """This machine's ffmpeg writes no film, for the reason given."""


def count(path: Path) -> int:
    """Frames that can be decoded; UserError where the file is no film, or is damaged."""
    command = [*_decoding(path)[0], "-progress", "pipe:1", "-f", "null", "-"]
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
    reading, kind = _decoding(path)
    command = [*reading, "-vf", f"{SQUARE},{kind}", "-f", "image2pipe", "-c:v", "pam", "-"]
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError as error:
        raise _missing(path, error) from error
    with process:
        try:
            while process.stdout and (frame := _pixmap(process.stdout)) is not None:
                yield frame if frame.mode == "RGB" else to_srgb(frame, str(path))
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
        for number in ADVICE:  # a full disk is no lack of encoders either
            if os.strerror(number) in reasons[-1]:
                raise OSError(number, os.strerror(number), str(path))
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
        names = _listed(_executable(), "-encoders")
    except (OSError, RuntimeError) as error:
        raise NoEncoder(f"ffmpeg cannot be started ({_short(error)})") from error
    return [name for name in ENCODERS if name in names]


@cache
def _listed(executable: str, kind: str) -> frozenset[str]:
    """Names of its -encoders or -decoders."""
    command = [executable, "-hide_banner", kind]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    # A line each: flags, its name, what it is.
    lines = [line.split() for line in done.stdout.decode(errors="replace").splitlines()]
    return frozenset(words[1] for words in lines if len(words) > 1)


def _executable() -> str:
    """The ffmpeg of IMAGEIO_FFMPEG_EXE, of imageio-ffmpeg, or of the system; RuntimeError for none."""
    from imageio_ffmpeg import get_ffmpeg_exe

    return get_ffmpeg_exe()


def _decoding(path: Path) -> tuple[list[str], str]:
    """The beginning of a command that reads this film, and the filter for the kind of its frames."""
    try:
        executable = _executable()
        decoder, kind = _peculiar(executable, path)
    except (OSError, RuntimeError) as error:
        raise _missing(path, error) from error
    quiet = ["-nostdin", "-v", "error", "-xerror", "-err_detect", "explode"]
    # file: because a name with a colon would be taken for a protocol.
    film = ["-i", f"file:{path}", "-map", "0:v:0", "-fps_mode", "passthrough"]
    return [executable, *quiet, *decoder, *film], kind


def _peculiar(executable: str, path: Path) -> tuple[list[str], str]:
    """The decoder to ask for, none for the usual one, and whether frames may have alpha."""
    try:
        with path.open("rb") as file:
            head = file.read(len(MATROSKA))
    except OSError:  # which ffmpeg says when it reads it
        head = b""
    if head not in (MATROSKA, RIFF):
        return [], AS_IT_IS
    command = [executable, "-hide_banner", "-nostdin", "-i", f"file:{path}"]
    told = subprocess.run(command, capture_output=True, check=False).stderr.decode(errors="replace")
    told = told[max(0, told.find("Video:")) :]  # the first film in it
    if head == RIFF:
        return [], OPAQUE if told.startswith(MEANINGLESS) else AS_IT_IS
    if (found := BESIDE.match(told)) is None:
        return [], AS_IT_IS
    name = WITH_ALPHA[found[1]]
    if name in _listed(executable, "-decoders"):
        return ["-c:v", name], AS_IT_IS
    said = printable(path.name)
    log.warning("%s: its transparency is not shown, for this ffmpeg has no %s.", said, name)
    return [], AS_IT_IS


def _pixmap(pipe: IO[bytes]) -> Image.Image | None:
    """The next picture in a pipe, RGB or RGBA, None at its end or where it breaks off."""
    notes: dict[bytes, bytes] = {}
    if pipe.readline() != b"P7\n":
        return None
    while (line := pipe.readline()) not in (b"ENDHDR\n", b""):
        name, _, value = line.strip().partition(b" ")
        notes[name] = value
    if not notes.keys() >= {b"HEIGHT", b"WIDTH", b"DEPTH"}:
        return None
    height, width, depth = (int(notes[name]) for name in (b"HEIGHT", b"WIDTH", b"DEPTH"))
    pixels = pipe.read(height * width * depth)
    if len(pixels) < height * width * depth:
        return None
    return Image.fromarray(np.frombuffer(pixels, np.uint8).reshape(height, width, depth))


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
