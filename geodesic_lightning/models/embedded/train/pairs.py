"""Pairs of cats to connect: six made by hand, and as many more as wanted drawn from a seed.

All are held out: the hand-made ones are nobody's samples, the others a series of their own.
"""

import dataclasses
import json
from pathlib import Path

from geodesic_lightning.models.embedded import pairs_folder
from geodesic_lightning.models.embedded.cats import MOOD_AXES, MOODS, Cat
from geodesic_lightning.models.embedded.train.captions import caption
from geodesic_lightning.models.embedded.train.dataset import cat

EVALUATION_SEED, PIXELS, SHIPPED = 11, 256, 24

NEUTRAL = Cat(
    head_width=0.63, head_height=0.52, jowl=0.06, tuft=0.06, tilt=0.0, head_x=0.0,
    ear_place=36.0, ear_height=0.56, ear_width=0.25, ear_roundness=0.3, ear_angle=6.0,
    fur_lightness=0.72, fur_chroma=0.14, fur_hue=62.0,
    stripes=0.75, mask=0.0, muzzle=0.75, blush=0.5,
    eye_size=0.17, eye_height=1.0, eye_spacing=0.285, eye_hue=150.0, pupil=0.6, gaze=0.0,
    lid=0.12, squint=0.12, slant=0.0, brow=0.3,
    nose=0.08, smile=0.3, smirk=0.0, mouth_open=0.0,
    whisker_length=0.4, whisker_bend=0.1, background_hue=230.0,
)  # fmt: skip


def change(cat: Cat, mood: str | None = None, **parameters: float) -> Cat:
    """`cat` with other parameters, and with the mood named in `cats.MOODS`."""
    if mood:
        values = dict(zip(MOOD_AXES, MOODS[mood], strict=True)) | {
            "mouth_open": max(0.0, MOODS[mood][6])
        }
        parameters = values | parameters
    return dataclasses.replace(cat, **parameters)


def named_pairs() -> dict[str, tuple[Cat, Cat]]:
    """Name -> (start, end), the six hand-made pairs."""
    blue = dict(fur_lightness=0.55, fur_chroma=0.115, fur_hue=255.0)
    orange = change(NEUTRAL, "happy", ear_height=0.64, ear_roundness=0.15)
    sly = change(
        NEUTRAL, "sly", **blue, gaze=0.5, stripes=0.0, muzzle=0.55, head_width=0.60,
        head_height=0.55, jowl=0.0, ear_height=0.42, ear_roundness=0.85, ear_width=0.29,
        ear_angle=14.0, ear_place=40.0, eye_hue=70.0, whisker_bend=-0.3, background_hue=40.0,
        tilt=-3.0,
    )  # fmt: skip
    cream = change(
        NEUTRAL,
        fur_lightness=0.89,
        fur_chroma=0.05,
        fur_hue=82.0,
        eye_hue=235.0,
        background_hue=170.0,
    )
    grey = change(
        NEUTRAL,
        fur_lightness=0.62,
        fur_chroma=0.008,
        fur_hue=260.0,
        eye_hue=95.0,
        background_hue=10.0,
    )
    black = change(
        NEUTRAL, "grumpy", fur_lightness=0.30, fur_chroma=0.012, fur_hue=280.0, stripes=0.0,
        head_width=0.69, head_height=0.48, jowl=0.13, tuft=0.12, ear_height=0.40,
        ear_roundness=0.75, ear_angle=24.0, ear_place=43.0, eye_hue=75.0, eye_size=0.15,
        muzzle=0.3, whisker_length=0.48, whisker_bend=-0.7, background_hue=90.0, tilt=5.0,
    )  # fmt: skip
    pink = change(
        NEUTRAL, "surprised", fur_lightness=0.80, fur_chroma=0.10, fur_hue=358.0, stripes=0.0,
        head_width=0.56, head_height=0.56, jowl=-0.03, tuft=0.0, ear_height=0.70,
        ear_roundness=0.12, ear_angle=-6.0, ear_place=32.0, eye_hue=200.0, eye_size=0.19,
        blush=0.9, whisker_length=0.33, whisker_bend=0.6, background_hue=290.0, tilt=-5.0,
    )  # fmt: skip
    near = change(
        orange, fur_lightness=0.77, fur_chroma=0.125, fur_hue=68.0, ear_height=0.60,
        ear_angle=1.0, smile=0.6, mouth_open=0.25, squint=0.5, eye_size=0.18, head_width=0.61,
        stripes=0.6, background_hue=245.0, tilt=2.0,
    )  # fmt: skip
    long, round_ = (
        dict(ear_height=0.70, ear_roundness=0.1, ear_width=0.22, ear_angle=0.0),
        dict(ear_height=0.40, ear_roundness=0.9, ear_width=0.31, ear_angle=16.0),
    )
    return {
        "pair_cat": (orange, sly),
        "pair_ears": (change(cream, None, **long), change(cream, None, **round_)),
        "pair_mood": (change(grey, "happy"), change(grey, "grumpy")),
        "pair_colour": (
            change(NEUTRAL, eye_height=1.1),
            change(NEUTRAL, None, eye_height=1.1, **blue),
        ),
        "pair_far": (black, pink),
        "pair_near": (orange, near),
    }


def evaluation_pairs(n: int = 24, seed: int = EVALUATION_SEED) -> list[tuple[Cat, Cat]]:
    """n pairs of cats at random, always the same for one seed: (start, end) each."""
    return [(cat(seed, 2 * index), cat(seed, 2 * index + 1)) for index in range(n)]


def write(folder: Path | None = None) -> None:
    """Draw the hand-made and the evaluation pairs, with `pairs.json`, into `folder`."""
    from PIL import Image

    from geodesic_lightning.models.embedded.drawing import draw

    folder = folder or pairs_folder()
    folder.mkdir(parents=True, exist_ok=True)
    pairs = named_pairs() | {
        f"eval_{i:02d}": pair for i, pair in enumerate(evaluation_pairs(SHIPPED))
    }
    entries = {}
    for name, (start, end) in pairs.items():
        for place, one in (("start", start), ("end", end)):
            Image.fromarray(draw(one, PIXELS)).save(folder / f"{name}_{place}.png", optimize=True)
        entries[name] = {
            "prompt_start": caption(start),
            "prompt_end": caption(end),
            "start": dataclasses.asdict(start),
            "end": dataclasses.asdict(end),
        }
    (folder / "pairs.json").write_text(json.dumps(entries, indent=1) + "\n", "utf-8")
