"""Clips of a drawn cat whose answer is known in advance: `python -m
geodesic_lightning.models.embedded.train.clips`.

    clip_even      every parameter of the drawing moves evenly from one cat to another
    clip_uneven    the same drawings in another time: slow at first, u² in place of u
    clip_detour    the same ends, by way of a cat that nobody draws

25 frames of 128 px, as mp4. Needs skia-python.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geodesic_lightning.data import ffmpeg
from geodesic_lightning.models.embedded.cats import Cat
from geodesic_lightning.models.embedded.train.captions import caption
from geodesic_lightning.models.embedded.train.pairs import NEUTRAL, change

FRAMES, PIXELS, FPS = 25, 128, 12
NAMES = ("clip_even", "clip_uneven", "clip_detour")
FOLDER = Path(__file__).parent.parent / "clips"
START = change(NEUTRAL, "calm", ear_height=0.64, ear_roundness=0.2, tilt=-3.0)
END = change(
    NEUTRAL, "happy", ear_height=0.46, ear_roundness=0.7, ear_angle=16.0, tilt=4.0, head_x=0.03,
    fur_lightness=0.78, fur_chroma=0.12, eye_size=0.19,
)  # fmt: skip
# No coat of `cats.COATS` has this colour, and no mood these eyes with this mouth.
UNLIKELY = {
    "fur_lightness": 0.55, "fur_chroma": 0.16, "mask": 1.0, "stripes": 0.0, "smile": -1.0,
    "mouth_open": 1.0, "squint": 0.0, "eye_size": 0.21, "eye_height": 1.25, "pupil": 0.3,
    "slant": 22.0, "ear_angle": 30.0, "ear_width": 0.33, "blush": 1.0, "whisker_bend": -1.0,
}  # fmt: skip
DETOUR_AT, DETOUR_WIDTH = 0.6, 0.13  # of the film


def place(name: str, time: float) -> Cat:
    """The cat that a clip shows at time in [0, 1]."""
    u = time**2 if name == "clip_uneven" else time
    start, end = START.vector(), END.vector()
    vector = start + u * (end - start)
    if name == "clip_detour":
        far = change(START, None, **UNLIKELY).vector()
        named = [field in UNLIKELY for field in START.__dataclass_fields__]
        share = (
            math.exp(-(((time - DETOUR_AT) / DETOUR_WIDTH) ** 2)) * math.sin(math.pi * time) ** 0.5
        )
        vector = np.where(named, vector + share * (far - vector), vector)
    return Cat.from_vector(vector)


def draw_clip(name: str) -> NDArray[np.uint8]:
    """All frames, uint8 (25, 128, 128, 3)."""
    from geodesic_lightning.models.embedded.drawing import draw

    return np.stack([draw(place(name, i / (FRAMES - 1)), PIXELS) for i in range(FRAMES)])


def main(words: Sequence[str] | None = None) -> None:
    """Draw the clips and their captions into embedded/clips; with a name, a sheet of them too."""
    parser = argparse.ArgumentParser(
        prog="python -m geodesic_lightning.models.embedded.train.clips",
        description="Draw the shipped clips and their captions again.",
    )
    parser.add_argument("sheet", nargs="?", help="a picture of them all, as PNG")
    sheet = parser.parse_args(words).sheet
    FOLDER.mkdir(exist_ok=True)
    rows = []
    for name in NAMES:
        frames = draw_clip(name)
        ffmpeg.write(frames, FOLDER / f"{name}.mp4", FPS)
        rows.append(np.concatenate(list(frames[::3]), 1))
    text = "".join(f"{name}: {caption(START)}\n" for name in NAMES)
    (FOLDER / "captions.txt").write_text(text, encoding="utf-8")
    if sheet:
        Image.fromarray(np.concatenate(rows)).save(sheet)


if __name__ == "__main__":
    main()
