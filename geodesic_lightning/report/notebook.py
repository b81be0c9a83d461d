"""A film and pictures in memory, and as HTML for a notebook, which refers to nothing outside itself."""

from __future__ import annotations

import html
import io
import tempfile
from pathlib import Path

from torch import Tensor

from geodesic_lightning.report.files import to_picture, write_animation, write_video
from geodesic_lightning.report.run_page import encoded

__all__ = ["mp4", "png", "shown"]


def shown(frames: Tensor, picture: Tensor | None, words: str, fps: float = 12) -> str:
    """The film there and back as an animated WebP, which every browser plays, words, and a picture.

    Args:
        frames: (n, 3, H, W) in [0, 1]; picture: (3, H, W), or None.
        words: plain text.
        fps: frames per second.
    """
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.webp"
        write_animation(frames, film, fps)
        parts = [_image(film.read_bytes(), "webp", "film"), f"<p>{html.escape(words)}</p>"]
    if picture is not None:
        parts.append(_image(png(picture), "png", "curves along the path"))
    return f"<div>{''.join(parts)}</div>"


def mp4(frames: Tensor, fps: float) -> bytes:
    """The film of frames (n, 3, H, W) in [0, 1]; a gif where no .mp4 can be written."""
    with tempfile.TemporaryDirectory() as folder:
        return write_video(frames, Path(folder) / "film.mp4", fps).read_bytes()


def png(image: Tensor) -> bytes:
    """An image (3, H, W) in [0, 1]."""
    written = io.BytesIO()
    to_picture(image).save(written, "PNG")
    return written.getvalue()


def _image(data: bytes, kind: str, alt: str) -> str:
    return f'<img alt="{alt}" style="max-width: 100%" src="{encoded(data, f"image/{kind}")}">'
