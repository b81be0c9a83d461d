"""Is a morph a crossfade? A blend of the two ends moves evenly and shows two pictures at once.

Outlines tell: in a blend both ends' outlines are there, faint. So pictures are compared by what
stands out from its surroundings, f − blur(f), where a background that changes colour counts
little.
"""

import torch
from torch import Tensor


def crossfade(frames: Tensor, first: Tensor, last: Tensor) -> float:
    """How much of the inner frames a blend of the ends explains beyond either end alone, in [0, 1].

    Per frame f with ends a and b, all as details D = f − blur(f),

        1 − min_w |D_f − (1 − w) D_a − w D_b|² / min(|D_f − D_a|², |D_f − D_b|²),   0 ≤ w ≤ 1,

    the mean over frames: 1 for a crossfade, 0 where a frame is one of the ends, or where blending
    helps nothing.

    Args:
        frames: (n, 3, H, W) in [0, 1], the ends left out.
        first, last: (3, H, W).
    """
    scores = explained(details(frames), details(first[None])[0], details(last[None])[0])
    return float(scores.mean()) if len(scores) else 0.0


def explained(frames: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """The score of each of frames (n, …): (n,) float64."""
    f, a, b = (x.double().flatten(-3) for x in (frames, first, last))
    way = b - a
    length = way.square().sum()
    w = ((f - a) @ way / length.clamp_min(1e-300)).clamp(0, 1)
    blended = (f - a - w[:, None] * way).square().sum(-1)
    alone = torch.minimum((f - a).square().sum(-1), (f - b).square().sum(-1))
    return torch.where(alone > 1e-9 * length, 1 - blended / alone.clamp_min(1e-300), 0.0)


def details(images: Tensor) -> Tensor:
    """Images (n, 3, H, W) without their surroundings' colour: blurred by a sixteenth of the side."""
    from torchvision.transforms.v2.functional import gaussian_blur  # late: a second to import

    sigma = images.shape[-1] / 16
    kernel = 2 * round(2 * sigma) + 1
    return images - gaussian_blur(images, [kernel, kernel], [sigma, sigma])
