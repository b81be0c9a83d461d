"""Colours: OKLCH (lightness, chroma, hue) to sRGB.

After B. Ottosson, "A perceptual color space for image processing" (2020).
"""

import math

Colour = tuple[float, float, float]
"""Red, green, blue of sRGB, each in [0, 1]."""


def oklch(lightness: float, chroma: float, hue: float) -> Colour:
    """OKLCH (lightness 0..1, chroma, hue in degrees) to sRGB, three floats clipped to [0, 1]."""
    a, b = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    red, green, blue = (_encode(min(1.0, max(0.0, value))) for value in linear)
    return red, green, blue


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """`one` brought towards `other` by `share` in [0, 1]; sRGB triples."""
    red, green, blue = ((1 - share) * p + share * q for p, q in zip(one, other, strict=True))
    return red, green, blue


def _encode(value: float) -> float:
    return 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
