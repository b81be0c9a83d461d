"""Adaptive instance normalisation of latents between those that are given."""

from collections.abc import Sequence

from torch import Tensor

from geodesic_lightning.decoding.between import between


def adain(x: Tensor, given: Tensor, u: Tensor, places: Sequence[float] = (0.0, 1.0)) -> Tensor:
    """Latents x (n, C, H, W) at places u (n,) with the statistics that lie between those of `given`.

    Every channel gets, over its pixels, the mean and the deviation that go evenly from one given
    latent's to the next's, (1−u) μ_A + u μ_B and (1−u) σ_A + u σ_B between two at 0 and 1:
    interpolated noise has too little contrast, and with it the frame; probable latents have means of
    their own. (Huang and Belongie, 2017; in DiffMorpher, Zhang et al., CVPR 2024, section 3.3.)

    Args:
        given: latents (k, C, H, W) at the first k of the increasing places.
    """
    mean, deviation = _statistics(x)
    wanted_mean, wanted = (
        between(known[..., 0, 0], u, places).to(x.dtype).to(x.device)[..., None, None]
        for known in _statistics(given)
    )
    return (x - mean) / deviation.clamp_min(1e-12) * wanted + wanted_mean


def _statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation over pixels: (n, C, 1, 1) each."""
    return x.mean((-2, -1), keepdim=True), x.std((-2, -1), unbiased=False, keepdim=True)
