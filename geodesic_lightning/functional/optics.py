"""A measured path read as a light ray (Fermat): p^(−α) is the refractive index of the latent space.

    index n(u) = p(γ(u))^(−α)      optical path length S = ∫ n |dγ|      mean index S/∫|dγ|

relative to n = 1 at the start: light is slow where images are improbable, and the geodesic is the
ray. The start is no better than the end, so S is not symmetric: from b to a it is S·e^{αΔ}, with
Δ = log p(b) − log p(a). Where the index is 1 at the geometric mean of the ends' densities,

    distance d(a, b) = S e^{αΔ/2} = d(b, a).

For more than two images distances want one common normalization: see distance/parametrization.py.
"""

import math

import torch

from geodesic_lightning.functional.quadrature import Measurement


def distance(measured: Measurement, alpha: float) -> float:
    """d(a, b): the length in the parametrization where √(p(a)p(b)) = 1, the same in both directions."""
    rise = float(measured.log_density[-1] - measured.log_density[0])
    return measured.length * math.exp(alpha * rise / 2)


def reading(measured: Measurement, alpha: float) -> dict[str, object]:
    """What summary.json says of a path as a ray, beside its `length`, the optical path length.

    euclidean_length in latent units; metric_speed and index at the nodes, mean_index along the
    path, all three relative to the start; distance, the same in both directions.
    """
    return {
        "euclidean_length": measured.euclidean_length,
        "metric_speed": measured.metric_speed.tolist(),
        "index": torch.exp(-alpha * measured.log_density).tolist(),
        "mean_index": measured.length / measured.euclidean_length,
        "distance": distance(measured, alpha),
    }
