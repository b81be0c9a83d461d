"""Draws a cat: parameters in, picture out, anti-aliased at any size. Training only (needs skia-python).

Everything is a smooth function of the parameters, and no line is thinner than 0.038 half canvas sides,
1.2 px at 64 px, so that a small autoencoder can learn it.
"""

import math

import numpy as np
import skia

from .cats import Cat
from .colour import mix, oklch

LINE = 0.040


def draw(cat, size=64):
    """Draw `cat` (a `Cat`) on a square of `size` px. Returns uint8 RGB of shape (size, size, 3).

    Skia draws at a multiple of `size` of at least 256 px; the mean over blocks is the anti-aliasing.
    """
    if not isinstance(cat, Cat) or size < 8:
        raise ValueError(
            f"draw wants a Cat and a size of at least 8 px, got {type(cat).__name__} and {size}."
        )
    factor = max(2, math.ceil(256 / size))
    side = factor * size
    pixels = np.zeros((side, side, 4), dtype=np.uint8)
    surface = skia.Surface(pixels)
    with surface as canvas:
        canvas.scale(side / 2, side / 2)
        canvas.translate(1.0, 1.0)
        _Drawing(canvas, cat).all()
    order = [0, 1, 2] if surface.imageInfo().colorType() == skia.kRGBA_8888_ColorType else [2, 1, 0]
    blocks = pixels[..., order].reshape(size, factor, size, factor, 3).astype(np.float32)
    return np.rint(blocks.mean(axis=(1, 3))).astype(np.uint8)


class _Drawing:
    """One cat on one canvas; each method draws one part, back to front."""

    def __init__(self, canvas, cat):
        self.canvas, self.cat = canvas, cat
        c = cat
        self.fur = oklch(c.fur_lightness, c.fur_chroma, c.fur_hue)
        self.dark = oklch(0.62 * c.fur_lightness, 0.9 * c.fur_chroma, c.fur_hue)
        self.light = oklch(min(1.0, c.fur_lightness + 0.07), 0.85 * c.fur_chroma, c.fur_hue)
        self.ink = oklch(0.06 + 0.28 * c.fur_lightness, 0.5 * c.fur_chroma + 0.015, c.fur_hue)
        self.mark = mix(
            self.fur, oklch(0.55 * c.fur_lightness + 0.02, c.fur_chroma, c.fur_hue), 0.9
        )
        self.pink = oklch(0.74, 0.105, 12.0)
        self.w, self.h = c.head_width, c.head_height

    def all(self):
        self.background()
        self.body()
        self.canvas.save()
        self.canvas.translate(self.cat.head_x, 0.12)
        self.canvas.rotate(self.cat.tilt)
        for side in (-1, 1):
            self.ear(side)
        self.head()
        for side in (-1, 1):
            self.eye(side)
        self.mouth()
        self.whiskers()
        self.canvas.restore()

    # ---- helpers -------------------------------------------------------------------------------

    def fill(self, path, colour, alpha=1.0, blur=0.0):
        paint = skia.Paint(AntiAlias=True, Color4f=skia.Color4f(*colour, alpha))
        if blur:
            paint.setMaskFilter(skia.MaskFilter.MakeBlur(skia.kNormal_BlurStyle, blur))
        self.canvas.drawPath(path, paint)

    def stroke(self, path, colour, width=LINE, alpha=1.0):
        self.canvas.drawPath(
            path,
            skia.Paint(
                AntiAlias=True,
                Color4f=skia.Color4f(*colour, alpha),
                Style=skia.Paint.kStroke_Style,
                StrokeWidth=width,
                StrokeCap=skia.Paint.kRound_Cap,
                StrokeJoin=skia.Paint.kRound_Join,
            ),
        )

    def shade(self, path, centre, radius, inner, outer):
        """Fill with a radial gradient from `inner` to `outer`."""
        colours = [skia.Color4f(*inner, 1.0).toColor(), skia.Color4f(*outer, 1.0).toColor()]
        shader = skia.GradientShader.MakeRadial(skia.Point(*centre), radius, colours)
        self.canvas.drawPath(path, skia.Paint(AntiAlias=True, Shader=shader))

    # ---- parts ---------------------------------------------------------------------------------

    def background(self):
        page = skia.Path()
        page.addRect(skia.Rect(-1, -1, 1, 1))
        hue = self.cat.background_hue
        self.shade(page, (0, -0.1), 1.5, oklch(0.97, 0.018, hue), oklch(0.87, 0.05, hue))

    def body(self):
        w, x = 0.86 * self.w, 0.5 * self.cat.head_x
        path = skia.Path()
        path.moveTo(x - 0.55 * w, 0.45)
        path.cubicTo(x - 0.9 * w, 0.62, x - 1.12 * w, 0.85, x - 1.15 * w, 1.2)
        path.lineTo(x + 1.15 * w, 1.2)
        path.cubicTo(x + 1.12 * w, 0.85, x + 0.9 * w, 0.62, x + 0.55 * w, 0.45)
        path.close()
        self.shade(path, (x, 1.05), 0.75, self.fur, self.dark)
        chest = ellipse(x, 1.02, 0.48 * w, 0.4)
        self.fill(chest, self.patch(), 0.9, blur=0.03)
        self.stroke(path, self.ink)

    def patch(self):
        """The colour of muzzle and chest: fur brought towards white."""
        return mix(self.fur, oklch(0.98, 0.012, 80.0), self.cat.muzzle)

    def outline(self):
        """Head outline: a superellipse, wider below by `jowl`, with a tuft at each cheek."""
        c, points = self.cat, []
        for angle in np.linspace(0, 2 * math.pi, 97)[:-1]:
            cos, sin = math.cos(angle), math.sin(angle)
            x = math.copysign(abs(cos) ** 0.88, cos)
            y = math.copysign(abs(sin) ** 0.92, sin)
            fold = math.degrees(math.atan2(sin, abs(cos)))
            bump = c.tuft * (math.exp(-abs(fold - 22) / 9) + 0.6 * math.exp(-abs(fold - 44) / 8))
            points.append((self.w * x * (1 + c.jowl * sin + bump), self.h * y * (1 + 0.25 * bump)))
        return polygon(points)

    def head(self):
        c, path = self.cat, self.outline()
        self.fill(moved(path, 0, 0.05), self.ink, 0.30, blur=0.04)
        self.shade(path, (-0.12, -0.2), 1.05, self.light, mix(self.fur, self.dark, 0.45))
        self.canvas.save()
        self.canvas.clipPath(path, skia.ClipOp.kIntersect, True)
        if c.mask > 0.01:
            self.fill(
                ellipse(0, 0.14, 0.34 + 0.1 * c.mask, 0.36), self.mark, 0.85 * c.mask, blur=0.09
            )
        self.stripes()
        for side in (-1, 1):
            self.fill(
                ellipse(side * 0.62 * self.w, 0.2, 0.12, 0.085),
                self.pink,
                0.75 * c.blush,
                blur=0.035,
            )
        self.fill(ellipse(-0.105, 0.24, 0.185, 0.135), self.patch(), 1.0, blur=0.02)
        self.fill(ellipse(0.105, 0.24, 0.185, 0.135), self.patch(), 1.0, blur=0.02)
        self.canvas.restore()
        self.stroke(path, self.ink)

    def stripes(self):
        strength = self.cat.stripes
        if strength < 0.01:
            return
        top = -self.h
        for x, length in ((-0.15, 0.19), (0.0, 0.26), (0.15, 0.19)):
            path = skia.Path()
            path.moveTo(x * 1.15, top - 0.02)
            path.lineTo(x * 0.9, top + 0.04 + length)
            self.stroke(path, self.mark, 0.075, strength)
        for side in (-1, 1):
            for y, length in ((0.06, 0.2), (0.22, 0.17)):
                path = skia.Path()
                path.moveTo(side * (self.w + 0.05), y - 0.04)
                path.lineTo(side * (self.w - length), y)
                self.stroke(path, self.mark, 0.07, strength)

    def ear(self, side):
        c = self.cat
        place = math.radians(c.ear_place)
        x, y = self.w * math.sin(place) * 0.93, -self.h * math.cos(place) * 0.95
        self.canvas.save()
        self.canvas.translate(side * x, y + 0.06)
        self.canvas.scale(side, 1)
        self.canvas.rotate(0.55 * c.ear_place - 12 + c.ear_angle)
        outer = ear_shape(c.ear_width, c.ear_height, c.ear_roundness)
        colour = mix(self.fur, self.mark, c.mask)
        self.shade(outer, (0, -0.1), c.ear_height + 0.1, colour, mix(colour, self.dark, 0.4))
        inner = ear_shape(0.58 * c.ear_width, 0.70 * c.ear_height, c.ear_roundness)
        self.fill(inner, mix(self.pink, self.fur, 0.25), 0.95)
        self.stroke(outer, self.ink)
        self.canvas.restore()

    def eye(self, side):
        c = self.cat
        a, b = c.eye_size, c.eye_size * c.eye_height
        self.canvas.save()
        self.canvas.translate(side * c.eye_spacing, -0.05)
        self.canvas.scale(side, 1)  # +x points outwards for both eyes
        upper, lower = lids(c, a, b)
        opening = polygon(upper + lower[::-1])
        self.canvas.save()
        self.canvas.clipPath(opening, skia.ClipOp.kIntersect, True)
        iris = oklch(0.80, 0.13, c.eye_hue)
        self.shade(
            ellipse(0, 0, 1.3 * a, 1.3 * b),
            (0, 0.35 * b),
            1.5 * b,
            iris,
            oklch(0.55, 0.11, c.eye_hue),
        )
        gaze = 0.32 * a * c.gaze * side
        self.fill(ellipse(gaze, 0, c.pupil * a, (0.55 + 0.4 * c.pupil) * b), oklch(0.16, 0.02, 280))
        self.fill(ellipse(gaze - side * 0.28 * a, -0.3 * b, 0.25 * a, 0.25 * a), (1.0, 1.0, 1.0))
        self.fill(
            ellipse(gaze + side * 0.25 * a, 0.35 * b, 0.14 * a, 0.14 * a), (1.0, 1.0, 1.0), 0.7
        )
        self.canvas.restore()
        self.stroke(opening, self.ink, 0.038)
        self.stroke(curve(upper), self.ink, 0.055)
        brow = skia.Path()
        y, tip = -1.25 * b - 0.03 - 0.10 * c.brow, 0.6 * a * math.tan(math.radians(c.slant))
        brow.moveTo(-0.55 * a, y + tip)
        brow.quadTo(0, y - 0.05, 0.55 * a, y - tip)
        self.stroke(brow, mix(self.fur, self.ink, 0.55), 0.045, 0.85)
        self.canvas.restore()

    def mouth(self):
        c, y, gape = self.cat, 0.16, self.cat.mouth_open
        middle, reach = y + 0.095 - 0.025 * gape, 0.165
        ends = [middle - 0.02 - 0.07 * c.smile - side * 0.04 * c.smirk for side in (-1, 1)]
        depth = (0.052 + 0.066 * c.smile) * (1 - 0.5 * gape)
        left, right = skia.Path(), skia.Path()
        for path, side, end in ((left, -1, ends[0]), (right, 1, ends[1])):
            path.moveTo(0, middle)
            path.cubicTo(
                side * 0.3 * reach,
                middle + depth,
                side * 0.8 * reach,
                middle + depth,
                side * reach,
                end,
            )
        if gape > 0.01:
            half, drop, top = 0.055 + 0.06 * gape, 0.05 + 0.22 * gape, middle + 0.6 * depth
            jaw = skia.Path()
            jaw.moveTo(-half, top)
            jaw.cubicTo(-half, top + 1.2 * drop, half, top + 1.2 * drop, half, top)
            jaw.quadTo(0, top - 0.03, -half, top)
            shown = min(1.0, 4 * gape)
            self.fill(jaw, oklch(0.42, 0.13, 18), shown)
            self.canvas.save()
            self.canvas.clipPath(jaw, skia.ClipOp.kIntersect, True)
            self.fill(
                ellipse(0, top + 0.95 * drop, 0.75 * half, 0.5 * drop), oklch(0.72, 0.15, 15), shown
            )
            self.canvas.restore()
            self.stroke(jaw, self.ink, 0.038, shown)
        stem = skia.Path()
        stem.moveTo(0, y)
        stem.lineTo(0, middle)
        for path in (stem, left, right):
            self.stroke(path, self.ink, 0.042)
        n = c.nose
        nose = skia.Path()
        nose.moveTo(-n, y - 0.62 * n)
        nose.quadTo(0, y - 1.05 * n, n, y - 0.62 * n)
        nose.quadTo(0.75 * n, y + 0.3 * n, 0, y + 0.55 * n)
        nose.quadTo(-0.75 * n, y + 0.3 * n, -n, y - 0.62 * n)
        self.fill(nose, mix(self.pink, oklch(0.62, 0.15, 12), 0.5))
        self.stroke(nose, self.ink, 0.038, 0.7)

    def whiskers(self):
        c = self.cat
        for side in (-1, 1):
            for row in (-1, 0, 1):
                x, y = 0.58 * self.w, 0.225 + 0.075 * row
                reach, rise = c.whisker_length, 0.09 * row
                path = skia.Path()
                path.moveTo(side * x, y)
                path.quadTo(
                    side * (x + 0.55 * reach),
                    y + 0.5 * rise - 0.03,
                    side * (x + reach),
                    y + rise - 0.16 * c.whisker_bend,
                )
                self.stroke(path, self.ink, 0.038, 0.75)


def lids(cat, a, b, n=25):
    """Upper and lower edge of an eye of half axes a, b: the ellipse, cut by the lids. Two lists of points.

    Where the lids meet (upper below lower) both edges lie on their mean: a closed eye is a curved line.
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


def ear_shape(width, height, roundness):
    """An ear standing on the origin, half width `width`, its tip cut and rounded by `roundness` in (0, 1)."""
    r = 0.12 + 0.5 * roundness
    path = skia.Path()
    path.moveTo(-width, 0.16)
    start, end = (-width * r, -height * (1 - r)), (width * r, -height * (1 - r))
    bulge = 0.25 + 0.35 * roundness
    path.quadTo(
        -width * (0.5 + 0.5 * r + 0.2 * bulge), -height * (0.5 - 0.5 * r + 0.1 * bulge), *start
    )
    path.cubicTo(
        -width * r * 0.35, -height * (1 - 0.2 * r), width * r * 0.35, -height * (1 - 0.2 * r), *end
    )
    path.quadTo(
        width * (0.5 + 0.5 * r + 0.2 * bulge), -height * (0.5 - 0.5 * r + 0.1 * bulge), width, 0.16
    )
    path.close()
    return path


def ellipse(x, y, a, b):
    path = skia.Path()
    path.addOval(skia.Rect(x - a, y - b, x + a, y + b))
    return path


def polygon(points):
    path = skia.Path()
    path.addPoly([skia.Point(*map(float, point)) for point in points], True)
    return path


def curve(points):
    path = skia.Path()
    path.addPoly([skia.Point(*map(float, point)) for point in points], False)
    return path


def moved(path, dx, dy):
    other = skia.Path(path)
    other.offset(dx, dy)
    return other
