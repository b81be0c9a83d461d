"""Colours: pixels of any depth (depth.py) and colour space as 8-bit sRGB.

v ↦ sRGB⁻¹(profile(v))                     by the profile in the file (littleCMS through Pillow)
v ↦ a v + (1 − a) white                    transparency a, over white
"""

from __future__ import annotations

import io
import logging

import numpy as np
from PIL import Image

from geodesic_lightning.data.depth import shallow

__all__ = ["to_srgb"]

log = logging.getLogger("geodesic_lightning")

# A profile's pixels in Pillow, and what may be made such pixels without a guess.
MODES = {"RGB": ("RGB", "P", "L", "1"), "GRAY": ("L", "1"), "CMYK": ("CMYK",), "Lab": ("LAB",)}


def to_srgb(image: Image.Image, name: str, alpha: Image.Image | None = None) -> Image.Image:
    """A decoded picture as a new one of mode RGB.

    Args:
        name: what messages call it.
        alpha: its transparency, L, where the picture itself does not say it.

    Raises:
        UserError: a float picture has pixels that are no numbers.
    """
    profile = image.info.get("icc_profile")
    image = shallow(image, name)
    if alpha is None and image.has_transparency_data:
        grey = image.mode in ("L", "LA", "La", "1")
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
        image = image.convert("L" if grey else "RGB")
    image = _managed(image, profile, name)
    if alpha is not None:
        white = Image.new("RGBA", image.size, "white")
        image.putalpha(alpha)
        image = Image.alpha_composite(white, image).convert("RGB")
    return image


def _managed(image: Image.Image, profile: bytes | None, name: str) -> Image.Image:
    """Mode RGB by the profile; without one, or with one that fits no such pixels, by convention."""
    plain = image.copy() if image.mode == "RGB" else None
    if profile or image.mode == "LAB":
        try:
            found = _through(image, profile)
        except Exception as error:
            # LittleCMS' own, for a profile that is damaged or of other pixels.
            log.warning(
                "%s: its colour profile is not used (%s); colours are taken as sRGB.",
                name,
                " ".join(str(error).split()) or type(error).__name__,
            )
        else:
            # A profile that moves no pixel by more than rounding is sRGB under another name.
            if plain is None or _furthest(plain, found) > 1:
                return found
    return image.convert("RGB") if plain is None else plain


def _through(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The picture in sRGB, as littleCMS has it: relative colorimetric, black onto black."""
    from PIL import ImageCms

    source = ImageCms.ImageCmsProfile(
        io.BytesIO(profile) if profile else ImageCms.createProfile("LAB")
    )
    space = source.profile.xcolor_space.strip()
    modes = MODES.get(space, ())
    if image.mode not in modes:
        raise ValueError(f"it is for {space} pixels, the picture has {image.mode}")
    if image.mode != modes[0]:
        image = image.convert(modes[0])
    made = ImageCms.profileToProfile(
        image,
        source,
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    if made is None:
        raise ValueError("no picture came of it")
    return made


def _furthest(one: Image.Image, other: Image.Image) -> int:
    """The largest difference of two RGB pictures, 0 … 255."""
    from PIL import ImageChops

    return int(np.max(ImageChops.difference(one, other).getextrema()))
