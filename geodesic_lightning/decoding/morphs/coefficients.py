"""NoiseDiffusion's interpolation of noisy latents (Zheng et al., ICLR 2024, arXiv 2403.08840)."""

import math

import torch
from torch import Tensor

BOUND = 2.0  # standard deviations of the latents that are kept
BOOST = 1.2


def noise_diffusion(noisy: Tensor, clean: Tensor, signal: float, u: Tensor) -> Tensor:
    """Latents (n, *shape) at places u (n,), from the ends' noisy and clean latents (2, *shape).

        x(u) = a x_A + b x_B + √ᾱ ((μ − a) z_A + (ν − b) z_B),    a = cos πu/2, b = sin πu/2,
        μ = 1.2 a/(a + b), ν = 1.2 b/(a + b)

    a and b keep the noise's variance where x_A and x_B are independent, but add up to more than 1,
    which makes the picture too strong in the middle: what is too much of it is taken out again at
    the clean images' scale √ᾱ (`signal`). The noisy latents are clipped to ±2 first.
    """
    shape = (-1, *[1] * (noisy.dim() - 1))
    a, b = (f(math.pi * u.to(noisy) / 2).reshape(shape) for f in (torch.cos, torch.sin))
    mu, nu = BOOST * a / (a + b), BOOST * b / (a + b)
    kept = noisy.clamp(-BOUND, BOUND)
    z = signal * clean.to(noisy)
    return a * kept[0] + b * kept[1] + (mu - a) * z[0] + (nu - b) * z[1]
