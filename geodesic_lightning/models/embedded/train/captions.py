"""What a cat is called: colour, mood, ears and a few details, read off its parameters.

A word is a region of the parameter box, so a caption is never at odds with the drawing.
"""

from collections.abc import Sequence

import numpy as np

from geodesic_lightning.models.embedded.cats import MOOD_AXES, MOOD_SPREAD, MOODS, Cat

MOOD_WORDS = {
    "calm": ("calm", "calm", "quiet", "gentle"),
    "happy": ("happy", "happy", "smiling", "cheerful"),
    "sly": ("sly", "sly", "smirking", "cunning"),
    "sleepy": ("sleepy", "sleepy", "drowsy", "tired"),
    "surprised": ("surprised", "surprised", "amazed", "astonished"),
    "grumpy": ("grumpy", "grumpy", "angry", "cross"),
    "sad": ("sad", "sad", "unhappy", "worried"),
}
COLOUR_WORDS = {"orange": ("orange", "orange", "ginger"), "grey": ("grey", "grey", "gray")}


def caption(cat: Cat, rng: np.random.Generator | None = None) -> str:
    """The full caption of `cat`, or with `rng` one of many wordings."""
    if rng is None:
        return f"{_article(mood(cat))} {colour(cat)} cat with {ears(cat)} ears"
    kind = _pick(rng, MOOD_WORDS[mood(cat)])
    *shade, hue = colour(cat).split()
    coat = " ".join([*shade, _pick(rng, COLOUR_WORDS.get(hue, (hue,)))])
    if cat.stripes > 0.45 and rng.random() < 0.6:
        coat += " " + _pick(rng, ("striped", "tabby"))
    if rng.random() < 0.06:
        coat = ""
    if rng.random() < 0.12:
        kind = ""
    animal = _pick(rng, ("cat", "cat", "cat", "cat", "kitten"))
    details = []
    if rng.random() < 0.65:
        details.append(f"{ears(cat, rng)} ears")
    if rng.random() < 0.25:
        details.append(f"{eyes(cat)} eyes")
    if cat.blush > 0.7 and rng.random() < 0.2:
        details.append("rosy cheeks")
    extra = f" with {' and '.join(details[:2])}" if details else ""
    if kind and rng.random() < 0.15:
        return _squeeze(f"a {coat} {animal}{extra}, {kind}")
    start = _pick(rng, ("", "", "", "", "", "a drawing of ", "a picture of "))
    words = _squeeze(f"{kind} {coat} {animal}")
    if rng.random() < 0.1:
        return _squeeze(start + words + extra)
    return _squeeze(f"{start}{_article(words)}{extra}")


def mood(cat: Cat) -> str:
    """The nearest of `cats.MOODS`, in standard deviations of the mood's parameters."""
    here = np.array(
        [abs(cat.smirk) if axis == "smirk" else getattr(cat, axis) for axis in MOOD_AXES]
    )
    return min(
        MOODS, key=lambda name: float((((here - np.array(MOODS[name])) / MOOD_SPREAD) ** 2).sum())
    )


def colour(cat: Cat) -> str:
    """The name of the coat, e.g. "black", "cream", "dark blue"."""
    lightness, chroma, hue = cat.fur_lightness, cat.fur_chroma, cat.fur_hue
    if lightness < 0.36 and chroma < 0.06:
        return "black"
    if chroma < 0.035:
        return _first(
            lightness, ((0.50, "dark grey"), (0.78, "grey"), (0.885, "light grey"), (9, "white"))
        )
    hue = (hue + 25) % 360 - 25
    if 20 <= hue < 85 and lightness < 0.60:
        return "dark brown" if lightness < 0.42 else "brown"
    if 20 <= hue < 112 and chroma < 0.085:
        return "cream" if lightness > 0.80 else "beige"
    name = _first(
        hue,
        (
            (20, "pink"),
            (85, "orange"),
            (112, "yellow"),
            (165, "green"),
            (220, "turquoise"),
            (278, "blue"),
            (999, "purple"),
        ),
    )
    if name == "pink" and lightness < 0.6:
        name = "red"
    if name == "yellow" and lightness < 0.6:
        name = "green"
    shade = (
        "dark " if lightness < 0.50 else "light " if lightness > 0.78 and name != "yellow" else ""
    )
    return shade + name


def ears(cat: Cat, rng: np.random.Generator | None = None) -> str:
    """Length, width or pose if remarkable, then the tip: "long pointed", "round"."""
    tip = "round" if cat.ear_roundness > 0.52 else "pointed"
    size = _first(
        cat.ear_height,
        ((0.46, "short"), (0.58, "wide" if cat.ear_width > 0.27 else ""), (9, "long")),
    )
    if cat.ear_angle > 20:
        size = "drooping"
    if rng is None:
        return f"{size} {tip}".strip()
    return _pick(rng, (f"{size} {tip}".strip(), f"{size} {tip}".strip(), tip, size or tip))


def eyes(cat: Cat) -> str:
    """The name of the colour of the eyes, e.g. "amber"."""
    return _first(
        cat.eye_hue,
        ((80, "amber"), (112, "yellow"), (165, "green"), (215, "turquoise"), (999, "blue")),
    )


def _pick(rng: np.random.Generator, words: Sequence[str]) -> str:
    return words[int(rng.integers(len(words)))]


def _first(value: float, steps: Sequence[tuple[float, str]]) -> str:
    return next(word for limit, word in steps if value < limit)


def _article(words: str) -> str:
    return ("an " if words[:1] in "aeiou" else "a ") + words


def _squeeze(text: str) -> str:
    return " ".join(text.split()).replace(" ,", ",")
