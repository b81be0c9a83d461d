"""The face of a cat: eyes, nose and mouth, whiskers."""

import math

import skia

from geodesic_lightning.models.embedded.brush import Brush
from geodesic_lightning.models.embedded.colour import mix, oklch
from geodesic_lightning.models.embedded.shapes import curve, ellipse, lids, polygon


def eye(brush: Brush, side: int) -> None:
    """The eye on `side` (−1 left, 1 right), cut by its lids, and its brow."""
    c = brush.cat
    a, b = c.eye_size, c.eye_size * c.eye_height
    with brush.placed(side * c.eye_spacing, -0.05, mirror=side):  # +x points outwards
        upper, lower = lids(c, a, b)
        opening = polygon(upper + lower[::-1])
        with brush.inside(opening):
            ball = ellipse(0, 0, 1.3 * a, 1.3 * b)
            inner, outer = oklch(0.80, 0.13, c.eye_hue), oklch(0.55, 0.11, c.eye_hue)
            brush.shade(ball, (0, 0.35 * b), 1.5 * b, inner, outer)
            x, white = 0.32 * a * c.gaze * side, (1.0, 1.0, 1.0)
            pupil = ellipse(x, 0, c.pupil * a, (0.55 + 0.4 * c.pupil) * b)
            brush.fill(pupil, oklch(0.16, 0.02, 280))
            brush.fill(ellipse(x - side * 0.28 * a, -0.3 * b, 0.25 * a, 0.25 * a), white)
            brush.fill(ellipse(x + side * 0.25 * a, 0.35 * b, 0.14 * a, 0.14 * a), white, 0.7)
        brush.stroke(opening, brush.ink, 0.038)
        brush.stroke(curve(upper), brush.ink, 0.055)
        brow = skia.Path()
        y, tip = -1.25 * b - 0.03 - 0.10 * c.brow, 0.6 * a * math.tan(math.radians(c.slant))
        brow.moveTo(-0.55 * a, y + tip)
        brow.quadTo(0, y - 0.05, 0.55 * a, y - tip)
        brush.stroke(brow, mix(brush.fur, brush.ink, 0.55), 0.045, 0.85)


def mouth(brush: Brush) -> None:
    """Nose and mouth; the mouth opens below its line."""
    c, y, gape = brush.cat, 0.16, brush.cat.mouth_open
    middle, reach = y + 0.095 - 0.025 * gape, 0.165
    ends = [middle - 0.02 - 0.07 * c.smile - side * 0.04 * c.smirk for side in (-1, 1)]
    depth = (0.052 + 0.066 * c.smile) * (1 - 0.5 * gape)
    left, right = skia.Path(), skia.Path()
    for path, side, end in ((left, -1, ends[0]), (right, 1, ends[1])):
        path.moveTo(0, middle)
        low = middle + depth
        path.cubicTo(side * 0.3 * reach, low, side * 0.8 * reach, low, side * reach, end)
    half, drop, top = 0.055 + 0.06 * gape, 0.05 + 0.22 * gape, middle + 0.6 * depth
    jaw = skia.Path()
    jaw.moveTo(-half, top)
    jaw.cubicTo(-half, top + 1.2 * drop, half, top + 1.2 * drop, half, top)
    jaw.quadTo(0, top - 0.03, -half, top)
    shown = min(1.0, 4 * gape)
    brush.fill(jaw, oklch(0.42, 0.13, 18), shown)
    with brush.inside(jaw):
        tongue = ellipse(0, top + 0.95 * drop, 0.75 * half, 0.5 * drop)
        brush.fill(tongue, oklch(0.72, 0.15, 15), shown)
    brush.stroke(jaw, brush.ink, 0.038, shown)
    stem = skia.Path()
    stem.moveTo(0, y)
    stem.lineTo(0, middle)
    for path in (stem, left, right):
        brush.stroke(path, brush.ink, 0.042)
    n = c.nose
    nose = skia.Path()
    nose.moveTo(-n, y - 0.62 * n)
    nose.quadTo(0, y - 1.05 * n, n, y - 0.62 * n)
    nose.quadTo(0.75 * n, y + 0.3 * n, 0, y + 0.55 * n)
    nose.quadTo(-0.75 * n, y + 0.3 * n, -n, y - 0.62 * n)
    brush.fill(nose, mix(brush.pink, oklch(0.62, 0.15, 12), 0.5))
    brush.stroke(nose, brush.ink, 0.038, 0.7)


def whiskers(brush: Brush) -> None:
    """Three whiskers a side, bent up or down together."""
    c = brush.cat
    for side in (-1, 1):
        for row in (-1, 0, 1):
            x, y, reach = 0.58 * c.head_width, 0.225 + 0.075 * row, c.whisker_length
            middle, tip = y + 0.045 * row - 0.03, y + 0.09 * row - 0.16 * c.whisker_bend
            path = skia.Path()
            path.moveTo(side * x, y)
            path.quadTo(side * (x + 0.55 * reach), middle, side * (x + reach), tip)
            brush.stroke(path, brush.ink, 0.038, 0.75)
