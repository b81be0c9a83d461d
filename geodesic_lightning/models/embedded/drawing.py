"""Draws a cat: parameters in, picture out, anti-aliased at any size. Needs skia-python.

Everything is a smooth function of the parameters, and no line is thinner than 0.038 half canvas
sides, 1.2 px at 64 px, so that a small autoencoder can learn it.
"""

import math

import numpy as np
import skia
from numpy.typing import NDArray

from geodesic_lightning.models.embedded.brush import Brush
from geodesic_lightning.models.embedded.cats import Cat
from geodesic_lightning.models.embedded.colour import mix, oklch
from geodesic_lightning.models.embedded.face import eye, mouth, whiskers
from geodesic_lightning.models.embedded.shapes import ear_shape, ellipse, moved, outline


def draw(cat: Cat, size: int = 64, factor: int | None = None) -> NDArray[np.uint8]:
    """Draw `cat` on a square of `size` px. Returns uint8 RGB of shape (size, size, 3).

    Skia draws at `factor` times `size`, by default at least twice and at least 256 px; the mean over
    blocks is the anti-aliasing. Raises ValueError for other things
    than cats, and below 8 px.
    """
    if not isinstance(cat, Cat) or size < 8:
        raise ValueError(
            f"draw wants a Cat and a size of at least 8 px, got {type(cat).__name__} and {size}."
        )
    factor = factor or max(2, math.ceil(256 / size))
    side = factor * size
    pixels = np.zeros((side, side, 4), dtype=np.uint8)
    surface = skia.Surface(pixels)
    with surface as canvas:
        canvas.scale(side / 2, side / 2)
        canvas.translate(1.0, 1.0)
        paint(Brush(canvas, cat))
    order = [0, 1, 2] if surface.imageInfo().colorType() == skia.kRGBA_8888_ColorType else [2, 1, 0]
    blocks = pixels[..., order].reshape(size, factor, size, factor, 3).astype(np.float32)
    return np.rint(blocks.mean(axis=(1, 3))).astype(np.uint8)


def paint(brush: Brush) -> None:
    """Paint the whole cat, back to front."""
    background(brush)
    body(brush)
    with brush.placed(brush.cat.head_x, 0.12, brush.cat.tilt):
        for side in (-1, 1):
            ear(brush, side)
        head(brush)
        for side in (-1, 1):
            eye(brush, side)
        mouth(brush)
        whiskers(brush)


def background(brush: Brush) -> None:
    """A light page, tinted by `background_hue`."""
    page = skia.Path()
    page.addRect(skia.Rect(-1, -1, 1, 1))
    hue = brush.cat.background_hue
    brush.shade(page, (0, -0.1), 1.5, oklch(0.97, 0.018, hue), oklch(0.87, 0.05, hue))


def body(brush: Brush) -> None:
    """Shoulders and a paler chest."""
    w, x = 0.86 * brush.cat.head_width, 0.5 * brush.cat.head_x
    path = skia.Path()
    path.moveTo(x - 0.55 * w, 0.45)
    path.cubicTo(x - 0.9 * w, 0.62, x - 1.12 * w, 0.85, x - 1.15 * w, 1.2)
    path.lineTo(x + 1.15 * w, 1.2)
    path.cubicTo(x + 1.12 * w, 0.85, x + 0.9 * w, 0.62, x + 0.55 * w, 0.45)
    path.close()
    brush.shade(path, (x, 1.05), 0.75, brush.fur, brush.dark)
    chest = ellipse(x, 1.02, 0.48 * w, 0.4)
    brush.fill(chest, brush.patch, 0.9, blur=0.03)
    brush.stroke(path, brush.ink)


def ear(brush: Brush, side: int) -> None:
    """The ear on `side` (−1 left, 1 right), its base behind the head."""
    c = brush.cat
    place = math.radians(c.ear_place)
    x, y = 0.93 * c.head_width * math.sin(place), -0.95 * c.head_height * math.cos(place)
    with brush.placed(side * x, y + 0.06, 0.55 * c.ear_place - 12 + c.ear_angle, mirror=side):
        outer = ear_shape(c.ear_width, c.ear_height, c.ear_roundness)
        colour = mix(brush.fur, brush.mark, c.mask)
        brush.shade(outer, (0, -0.1), c.ear_height + 0.1, colour, mix(colour, brush.dark, 0.4))
        inner = ear_shape(0.58 * c.ear_width, 0.70 * c.ear_height, c.ear_roundness)
        brush.fill(inner, mix(brush.pink, brush.fur, 0.25), 0.95)
        brush.stroke(outer, brush.ink)


def head(brush: Brush) -> None:
    """Head with its shadow, mask, stripes, blushing cheeks and muzzle."""
    c, path = brush.cat, outline(brush.cat)
    brush.fill(moved(path, 0, 0.05), brush.ink, 0.30, blur=0.04)
    brush.shade(path, (-0.12, -0.2), 1.05, brush.light, mix(brush.fur, brush.dark, 0.45))
    with brush.inside(path):
        spot = ellipse(0, 0.14, 0.34 + 0.1 * c.mask, 0.36)
        brush.fill(spot, brush.mark, 0.85 * c.mask, blur=0.09)
        stripes(brush)
        for side in (-1, 1):
            cheek = ellipse(side * 0.62 * c.head_width, 0.2, 0.12, 0.085)
            brush.fill(cheek, brush.pink, 0.75 * c.blush, blur=0.035)
        for side in (-1, 1):
            brush.fill(ellipse(side * 0.105, 0.24, 0.185, 0.135), brush.patch, blur=0.02)
    brush.stroke(path, brush.ink)


def stripes(brush: Brush) -> None:
    """Three stripes on the forehead and two on either cheek."""
    c, strength = brush.cat, brush.cat.stripes
    top = -c.head_height
    for x, length in ((-0.15, 0.19), (0.0, 0.26), (0.15, 0.19)):
        path = skia.Path()
        path.moveTo(x * 1.15, top - 0.02)
        path.lineTo(x * 0.9, top + 0.04 + length)
        brush.stroke(path, brush.mark, 0.075, strength)
    for side in (-1, 1):
        for y, length in ((0.06, 0.2), (0.22, 0.17)):
            path = skia.Path()
            path.moveTo(side * (c.head_width + 0.05), y - 0.04)
            path.lineTo(side * (c.head_width - length), y)
            brush.stroke(path, brush.mark, 0.07, strength)
