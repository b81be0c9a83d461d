"""Does a film darken on its way? CIE lightness, averaged over a frame.

    L* = 116 f(Y) − 16,   f(Y) = Y^⅓ above (6/29)³, else Y/(3 (6/29)²) + 4/29

of the relative luminance Y = 0.2126 R + 0.7152 G + 0.0722 B of linear sRGB (IEC 61966-2-1; white is
Y = 1, L* = 100). Equal steps of L* look equal, so that a dark middle counts as the eye sees it.
"""

import torch
from torch import Tensor

LUMINANCE = (0.2126, 0.7152, 0.0722)
KNEE = 6 / 29


def lightness(images: Tensor) -> Tensor:
    """Mean L* of images (n, 3, H, W), sRGB in [0, 1]: (n,) float64 in [0, 100]."""
    srgb = images.double()
    linear = torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    y = torch.einsum("c,nchw->nhw", linear.new_tensor(LUMINANCE), linear)
    f = torch.where(y > KNEE**3, y.clamp_min(1e-12) ** (1 / 3), y / (3 * KNEE**2) + 4 / 29)
    return (116 * f - 16).mean((-2, -1))


def least_lightness(frames: Tensor) -> float:
    """The darkest inner frame's mean L* over the darker end's; below 1 the film darkens on its way.

    1 where nothing lies between the ends, or the darker end is black.

    Args:
        frames: (m, 3, H, W) in [0, 1], the ends among them.
    """
    found = lightness(frames)
    ends, inner = found[[0, -1]].min(), found[1:-1]
    return float(inner.min() / ends) if len(inner) and ends > 1e-9 else 1.0
