"""Fréchet distance of two sets of features: how far a film's frames are from the given images."""

import torch
from torch import Tensor


def frechet(a: Tensor, b: Tensor) -> float:
    """|μ_a − μ_b|² + tr(C_a + C_b − 2 (C_a C_b)^½) of features (n, d) and (m, d).

    tr (C_a C_b)^½ is the nuclear norm of the product of the centred features over √(nm), so that no
    matrix of d × d is made. (Dowson and Landau, 1982; FID by Heusel et al., 2017, with Inception's
    features and covariances over n − 1; over n here, since a pair is a set of two.)
    """
    a, b = a.double(), b.double()
    mean = (a.mean(0) - b.mean(0)).square().sum()
    a, b = a - a.mean(0), b - b.mean(0)
    spread = a.square().sum() / len(a) + b.square().sum() / len(b)
    shared = torch.linalg.matrix_norm(a @ b.T, "nuc") / (len(a) * len(b)) ** 0.5
    return float(mean + spread - 2 * shared)


def pooled(features: list[Tensor]) -> Tensor:
    """One vector an image, of features (n, C, H, W) a layer: (n, Σ C).

    Of every layer the mean over places of the features, normalised over channels as in perceptual.py.
    """
    layers = (layer.cpu().double() for layer in features)
    return torch.cat(
        [torch.nn.functional.normalize(x, dim=1).mean((-2, -1)) for x in layers], dim=1
    )
