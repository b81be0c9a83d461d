"""A brush for one cat: a canvas, the colours of the coat, and the three ways paint is put on."""

import contextlib
from collections.abc import Iterator

import skia

from geodesic_lightning.models.embedded.cats import Cat
from geodesic_lightning.models.embedded.colour import Colour, mix, oklch
from geodesic_lightning.models.embedded.shapes import Point

LINE = 0.040
"""Width of an outline, in half canvas sides; nothing is drawn thinner than 0.038."""


class Brush:
    """Paints on `canvas` (skia, scaled to [-1, 1]²) in the colours of `cat`.

    Lengths are in half canvas sides, angles in degrees; `alpha` is the opacity in [0, 1].
    """

    def __init__(self, canvas: skia.Canvas, cat: Cat) -> None:
        self.canvas, self.cat = canvas, cat
        lightness, chroma, hue = cat.fur_lightness, cat.fur_chroma, cat.fur_hue
        self.fur = oklch(lightness, chroma, hue)
        self.dark = oklch(0.62 * lightness, 0.9 * chroma, hue)
        self.light = oklch(min(1.0, lightness + 0.07), 0.85 * chroma, hue)
        self.ink = oklch(0.06 + 0.28 * lightness, 0.5 * chroma + 0.015, hue)
        self.mark = mix(self.fur, oklch(0.55 * lightness + 0.02, chroma, hue), 0.9)
        self.patch = mix(self.fur, oklch(0.98, 0.012, 80.0), cat.muzzle)
        self.pink = oklch(0.74, 0.105, 12.0)

    def fill(self, path: skia.Path, colour: Colour, alpha: float = 1.0, blur: float = 0.0) -> None:
        """Fill with one colour, its edge softened by `blur`."""
        paint = skia.Paint(AntiAlias=True, Color4f=skia.Color4f(*colour, alpha))
        if blur:
            paint.setMaskFilter(skia.MaskFilter.MakeBlur(skia.kNormal_BlurStyle, blur))
        self.canvas.drawPath(path, paint)

    def stroke(
        self, path: skia.Path, colour: Colour, width: float = LINE, alpha: float = 1.0
    ) -> None:
        """Draw the outline with round ends."""
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

    def shade(
        self, path: skia.Path, centre: Point, radius: float, inner: Colour, outer: Colour
    ) -> None:
        """Fill with a radial gradient from `inner` to `outer`."""
        colours = [skia.Color4f(*inner, 1.0).toColor(), skia.Color4f(*outer, 1.0).toColor()]
        shader = skia.GradientShader.MakeRadial(skia.Point(*centre), radius, colours)
        self.canvas.drawPath(path, skia.Paint(AntiAlias=True, Shader=shader))

    @contextlib.contextmanager
    def inside(self, path: skia.Path) -> Iterator[None]:
        """What is painted within this context stays inside `path`."""
        self.canvas.save()
        self.canvas.clipPath(path, skia.ClipOp.kIntersect, True)
        yield
        self.canvas.restore()

    @contextlib.contextmanager
    def placed(self, x: float, y: float, turn: float = 0.0, mirror: int = 1) -> Iterator[None]:
        """Paint about (x, y), mirrored left to right if `mirror` is −1, turned by `turn`°."""
        self.canvas.save()
        self.canvas.translate(x, y)
        self.canvas.scale(mirror, 1)
        self.canvas.rotate(turn)
        yield
        self.canvas.restore()
