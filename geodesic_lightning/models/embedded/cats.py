"""The world of drawn cats: continuous parameters, how they are sampled, and what a cat is called.

A cat is a point of a box in R^35. Neighbouring points are neighbouring drawings, so a path between
two cats exists in the world itself and the density between them is something a small model can
learn.

Units: lengths in half canvas sides (the canvas is [-1, 1]², y down), angles in degrees, colours in
OKLCH (lightness 0..1, chroma 0..0.2, hue in degrees; see `colour`).
"""

from dataclasses import asdict, dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

RANGES = {
    "head_width": (0.54, 0.70),
    "head_height": (0.46, 0.57),
    "jowl": (-0.06, 0.16),
    "tuft": (0.0, 0.13),
    "tilt": (-9.0, 9.0),
    "head_x": (-0.06, 0.06),
    "ear_place": (29.0, 45.0),
    "ear_height": (0.36, 0.74),
    "ear_width": (0.19, 0.33),
    "ear_roundness": (0.08, 0.95),
    "ear_angle": (-12.0, 30.0),
    "fur_lightness": (0.27, 0.96),
    "fur_chroma": (0.0, 0.16),
    "fur_hue": (0.0, 360.0),
    "stripes": (0.0, 1.0),
    "mask": (0.0, 1.0),
    "muzzle": (0.2, 0.9),
    "blush": (0.0, 1.0),
    "eye_size": (0.135, 0.21),
    "eye_height": (0.8, 1.25),
    "eye_spacing": (0.24, 0.34),
    "eye_hue": (50.0, 260.0),
    "pupil": (0.3, 0.85),
    "gaze": (-1.0, 1.0),
    "lid": (0.0, 1.0),
    "squint": (0.0, 1.0),
    "slant": (-22.0, 22.0),
    "brow": (0.0, 1.0),
    "nose": (0.06, 0.1),
    "smile": (-1.0, 1.0),
    "smirk": (-1.0, 1.0),
    "mouth_open": (0.0, 1.0),
    "whisker_length": (0.28, 0.5),
    "whisker_bend": (-1.0, 1.0),
    "background_hue": (0.0, 360.0),
}
"""Name -> (lowest, highest) value. The two hues of 0..360 are circular."""

MOODS = {
    #            lid   squint slant  brow  smile smirk open  eye_height pupil
    "calm": (0.12, 0.12, 0.0, 0.30, 0.30, 0.0, -0.2, 1.00, 0.60),
    "happy": (0.00, 0.62, 0.0, 0.45, 0.85, 0.0, 0.45, 1.00, 0.65),
    "sly": (0.46, 0.22, 13.0, 0.25, 0.55, 0.8, -0.2, 0.92, 0.42),
    "sleepy": (0.82, 0.05, -5.0, 0.40, 0.20, 0.0, -0.2, 0.95, 0.65),
    "surprised": (0.00, 0.00, -5.0, 0.90, 0.00, 0.0, 0.70, 1.20, 0.42),
    "grumpy": (0.38, 0.10, 17.0, 0.10, -0.75, 0.0, -0.2, 0.92, 0.50),
    "sad": (0.22, 0.05, -17.0, 0.60, -0.70, 0.0, -0.2, 1.00, 0.70),
}
MOOD_AXES = (
    "lid",
    "squint",
    "slant",
    "brow",
    "smile",
    "smirk",
    "mouth_open",
    "eye_height",
    "pupil",
)
MOOD_SPREAD = np.array([0.10, 0.10, 4.0, 0.15, 0.18, 0.22, 0.12, 0.07, 0.09])


@dataclass(frozen=True)
class Cat:
    """One cat: 35 numbers, each inside its range of `RANGES`."""

    head_width: float
    head_height: float
    jowl: float
    tuft: float
    tilt: float
    head_x: float
    ear_place: float
    ear_height: float
    ear_width: float
    ear_roundness: float
    ear_angle: float
    fur_lightness: float
    fur_chroma: float
    fur_hue: float
    stripes: float
    mask: float
    muzzle: float
    blush: float
    eye_size: float
    eye_height: float
    eye_spacing: float
    eye_hue: float
    pupil: float
    gaze: float
    lid: float
    squint: float
    slant: float
    brow: float
    nose: float
    smile: float
    smirk: float
    mouth_open: float
    whisker_length: float
    whisker_bend: float
    background_hue: float

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(
                    f"{name} is {value:g}, but a cat has it between {low:g} and {high:g}."
                )

    def vector(self) -> NDArray[np.float64]:
        """The parameters as float64 of shape (35,), each mapped from its range to [0, 1]."""
        return np.array(
            [(v - RANGES[k][0]) / (RANGES[k][1] - RANGES[k][0]) for k, v in asdict(self).items()]
        )

    @classmethod
    def from_vector(cls, vector: ArrayLike) -> Self:
        """The inverse of `vector`, from (35,); entries outside [0, 1] are brought to the nearest end.

        Raises ValueError for an array of any other shape.
        """
        unit = np.clip(np.asarray(vector, dtype=np.float64), 0.0, 1.0)
        names = [field.name for field in fields(cls)]
        if unit.shape != (len(names),):
            raise ValueError(
                f"A cat has {len(names)} parameters, got an array of shape {unit.shape}."
            )
        low, high = np.array([RANGES[name] for name in names]).T
        return cls(
            **dict(zip(names, np.clip(low + unit * (high - low), low, high).tolist(), strict=True))
        )


def sample(rng: np.random.Generator) -> Cat:
    """A random cat: shapes uniform in the box, moods around one of `MOODS`, fur as in `coat`."""
    values = {name: rng.uniform(low, high) for name, (low, high) in RANGES.items()}
    mood = rng.choice(list(MOODS))
    values.update(
        zip(MOOD_AXES, np.array(MOODS[mood]) + MOOD_SPREAD * rng.standard_normal(9), strict=True)
    )
    if rng.random() < 0.5:
        values["smirk"] *= -1.0
    values["tilt"] = 4.0 * rng.standard_normal()
    values["gaze"] = 0.35 * rng.standard_normal() + (
        values["smirk"] * 0.6 if mood == "sly" else 0.0
    )
    values.update(zip(("fur_lightness", "fur_chroma", "fur_hue"), coat(rng), strict=True))
    values["stripes"] = rng.beta(0.5, 0.7)
    values["mask"] = rng.beta(0.4, 1.0)
    return Cat(
        **{name: float(np.clip(values[name], low, high)) for name, (low, high) in RANGES.items()}
    )


COATS = {
    #          lightness    chroma       hue           weight
    "black": ((0.27, 0.34), (0.00, 0.03), (0, 360), 1.0),
    "grey": ((0.45, 0.75), (0.00, 0.02), (0, 360), 1.2),
    "white": ((0.90, 0.96), (0.00, 0.02), (0, 360), 1.0),
    "cream": ((0.84, 0.93), (0.03, 0.075), (70, 95), 1.0),
    "orange": ((0.66, 0.80), (0.11, 0.16), (52, 72), 1.6),
    "brown": ((0.36, 0.56), (0.05, 0.10), (45, 70), 1.2),
    "pink": ((0.70, 0.86), (0.07, 0.13), (345, 375), 1.0),
    "blue": ((0.40, 0.78), (0.07, 0.13), (235, 268), 1.2),
    "any": ((0.27, 0.96), (0.00, 0.16), (0, 360), 3.0),
}


def coat(rng: np.random.Generator) -> tuple[float, float, float]:
    """Fur (lightness, chroma, hue): the coats cats are known for, mixed with any other colour."""
    weights = np.array([entry[3] for entry in COATS.values()])
    name = rng.choice(list(COATS), p=weights / weights.sum())
    lightness, chroma, hue = (rng.uniform(*interval) for interval in COATS[name][:3])
    return lightness, chroma, hue % 360.0
