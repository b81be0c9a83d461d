"""FreeMorph's noisy latents: frames that are inverted together (Cao et al., ICCV 2025, arXiv 2507.01953).

Frames begin as the great circle between the two clean latents, sin((1−u)θ)/sin θ z_A + sin(uθ)/sin θ z_B,
and climb the ODE side by side under their prompts, in three stages of the way up:

    to 3/8          as they are
    3/8 to 3/4      every frame attends to what all attend to: the mean over frames of Attn(Q, K, V)
    from 3/4 on     every frame attends to both ends alike, ½ Attn(Q, K_A, V_A) + ½ Attn(Q, K_B, V_B)

so that inner frames come to look like one picture. Then the high frequencies of their latents are taken
from fresh noise, the same for all, which lets them be drawn anew on the way down. (The stages are those of
the authors' program, 0.3 and 0.6 of an inversion that ends at 0.8.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from geodesic_lightning.decoding.morphs.attention import attend, mixing
from geodesic_lightning.errors import UserError
from geodesic_lightning.models import parallel
from geodesic_lightning.protocols import AnyCondition

if TYPE_CHECKING:
    from geodesic_lightning.models.diffusion import DiffusionModel

SHARED, SPLIT = 3 / 8, 3 / 4  # of the way up, where the second and the third stage begin
KNOTS = (0.0, 1 / 6, 1 / 3, 2 / 3, 5 / 6, 1.0)
KEPT = (1.0, 44 / 48, 42 / 48, 42 / 48, 44 / 48, 1.0)  # of the spectrum's half width, at KNOTS


class Gatherer:
    """Attention of all frames in one batch, the two ends first and last.

    Args:
        count: of the frames.

    Attributes:
        stage: own, shared or split.
    """

    def __init__(self, count: int) -> None:
        self.count, self.stage = count, "own"
        self.kept: dict = {}  # nothing: all frames are in the batch

    def takes(self, name: str) -> bool:
        """All layers."""
        return True

    def __call__(self, name: str, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Heads (n, h, tokens, d) → the same."""
        if self.stage == "own":
            return attend(q, k, v)
        if len(q) != self.count:
            raise UserError(
                f"solver=freemorph: {self.count} frames have to pass through the network in one batch, got "
                f"{len(q)}: give model.batch_size={self.count}, or fewer solver.segments."
            )
        return gathered(q, k, v, self.stage)


def gathered(q: Tensor, k: Tensor, v: Tensor, stage: str) -> Tensor:
    """The second and the third stage's attention of heads (n, h, tokens, d)."""
    if stage == "shared":
        return attend(q, k, v).mean(0, keepdim=True).expand_as(q)
    first, last = (
        attend(q, k[e : e + 1].expand_as(k), v[e : e + 1].expand_as(v)) for e in (0, len(k) - 1)
    )
    return (first + last) / 2


def great_circle(ends: Tensor, u: Tensor) -> Tensor:
    """(n, *shape) at places u (n,) between ends (2, *shape); norms are not kept."""
    a, b = ends.flatten(1).cpu().double()
    angle = torch.arccos((a @ b / (a.norm() * b.norm())).clamp(-1, 1))
    if float(angle.sin()) < 1e-6:
        return torch.lerp(ends[:1], ends[1:], u.to(ends).reshape(-1, *[1] * (ends.dim() - 1)))
    u = u.to(a)[:, None]
    points = (((1 - u) * angle).sin() * a + (u * angle).sin() * b) / angle.sin()
    return points.to(ends).reshape(-1, *ends.shape[1:])


def kept_width(u: Tensor) -> Tensor:
    """Half width of the frequencies that a frame keeps, of the spectrum's own: (n,) at places u (n,)."""
    return torch.from_numpy(np.interp(u.cpu().double(), KNOTS, KEPT)).to(u)


def with_high_frequencies(x: Tensor, noise: Tensor, width: Tensor) -> Tensor:
    """Latents x (n, C, H, W) whose frequencies outside a centred box are those of noise (C, H, W).

    Args:
        width: (n,) half widths of the boxes, in parts of the spectrum's.
    """
    spectrum, fresh = (torch.fft.fftshift(torch.fft.fft2(z), (-2, -1)) for z in (x, noise.to(x)))
    rows, columns = (_central(size, width.to(x)) for size in x.shape[-2:])
    inside = rows[:, None, :, None] & columns[:, None, None, :]
    mixed = torch.where(inside, spectrum, fresh)
    return torch.fft.ifft2(torch.fft.ifftshift(mixed, (-2, -1))).real


def _central(size: int, width: Tensor) -> Tensor:
    """Which of `size` frequencies lie within these half widths (n,) of the middle: (n, size)."""
    place = torch.arange(size, device=width.device) - size // 2
    half = (width * (size // 2) + 1e-4).floor()[:, None]
    return (place >= -half) & (place < half)


def frames(
    model: DiffusionModel, condition: AnyCondition, clean: Tensor, u: Tensor, seed: int = 0
) -> Tensor:
    """Noisy latents (n, *shape) at places u (n,) from 0 to 1, of clean latents (2, *shape).

    Raises:
        UserError: the denoiser is no UNet, or all frames do not fit into one batch.
    """
    gatherer, prompts = Gatherer(len(u)), condition(u.to(clean))

    def noise(x: Tensor, t: int) -> Tensor:
        way = t / model.timestep
        gatherer.stage = "own" if way <= SHARED else "shared" if way <= SPLIT else "split"
        return model.noise_prediction(x, t, prompts)

    with torch.no_grad(), parallel.alone(), mixing(model.denoiser, gatherer):
        x = model.climb(great_circle(clean, u), noise)
    fresh = torch.randn(x.shape[1:], generator=torch.Generator().manual_seed(seed))
    inner = with_high_frequencies(x[1:-1].float(), fresh, kept_width(u[1:-1].to(x)))
    return torch.cat([x[:1], inner.to(x), x[-1:]])
