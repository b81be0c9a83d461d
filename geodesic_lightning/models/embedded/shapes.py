"""The shapes a cat is made of, as skia paths and lists of points; lengths in half canvas sides."""

import math
from collections.abc import Iterable

import numpy as np
import skia

from geodesic_lightning.models.embedded.cats import Cat

Point = tuple[float, float]
"""x to the right and y down, in half canvas sides."""


def lids(cat: Cat, a: float, b: float, n: int = 25) -> tuple[list[Point], list[Point]]:
    """Upper and lower edge of an eye of half axes a, b: an ellipse cut by lids, n points each.

    Where the lids meet (upper below lower) both edges lie on their mean: a closed eye is a curve.
    """
    x = np.linspace(-1.0, 1.0, n)
    ellipse_edge = np.sqrt(1 - x**2)
    tilt = math.tan(math.radians(cat.slant)) * x
    upper_lid = -1.3 + 2.3 * cat.lid - tilt * (a / b) + 0.25 * (1 - x**2) * (2 * cat.lid - 1)
    lower_lid = 1.25 - 1.9 * cat.squint - 0.45 * (1 - x**2) * min(1.0, 2 * cat.squint)
    upper, lower = np.maximum(-ellipse_edge, upper_lid), np.minimum(ellipse_edge, lower_lid)
    middle = np.clip((upper + lower) / 2, -ellipse_edge, ellipse_edge)
    crossed = upper > lower
    upper, lower = np.where(crossed, middle, upper), np.where(crossed, middle, lower)
    return list(zip(a * x, b * upper, strict=True)), list(zip(a * x, b * lower, strict=True))


def outline(cat: Cat) -> skia.Path:
    """Head outline: a superellipse, wider below by `jowl`, with a tuft at each cheek."""
    points = []
    for angle in np.linspace(0, 2 * math.pi, 97)[:-1]:
        cos, sin = math.cos(angle), math.sin(angle)
        x = math.copysign(abs(cos) ** 0.88, cos)
        y = math.copysign(abs(sin) ** 0.92, sin)
        fold = math.degrees(math.atan2(sin, abs(cos)))
        bump = cat.tuft * (math.exp(-abs(fold - 22) / 9) + 0.6 * math.exp(-abs(fold - 44) / 8))
        wide, tall = 1 + cat.jowl * sin + bump, 1 + 0.25 * bump
        points.append((cat.head_width * x * wide, cat.head_height * y * tall))
    return polygon(points)


def ear_shape(width: float, height: float, roundness: float) -> skia.Path:
    """An ear standing on the origin, of half width `width`, its tip rounded by `roundness`."""
    r = 0.12 + 0.5 * roundness
    path = skia.Path()
    path.moveTo(-width, 0.16)
    start, end = (-width * r, -height * (1 - r)), (width * r, -height * (1 - r))
    bulge = 0.25 + 0.35 * roundness
    side, shoulder = width * (0.5 + 0.5 * r + 0.2 * bulge), -height * (0.5 - 0.5 * r + 0.1 * bulge)
    crown, tip = width * r * 0.35, -height * (1 - 0.2 * r)
    path.quadTo(-side, shoulder, *start)
    path.cubicTo(-crown, tip, crown, tip, *end)
    path.quadTo(side, shoulder, width, 0.16)
    path.close()
    return path


def ellipse(x: float, y: float, a: float, b: float) -> skia.Path:
    """The ellipse about (x, y) of half axes a, b."""
    path = skia.Path()
    path.addOval(skia.Rect(x - a, y - b, x + a, y + b))
    return path


def polygon(points: Iterable[Point]) -> skia.Path:
    """The closed polygon through `points`."""
    path = skia.Path()
    path.addPoly([skia.Point(*map(float, point)) for point in points], True)
    return path


def curve(points: Iterable[Point]) -> skia.Path:
    """The open polygon through `points`."""
    path = skia.Path()
    path.addPoly([skia.Point(*map(float, point)) for point in points], False)
    return path


def moved(path: skia.Path, dx: float, dy: float) -> skia.Path:
    """A copy of `path`, moved by (dx, dy)."""
    other = skia.Path(path)
    other.offset(dx, dy)
    return other
