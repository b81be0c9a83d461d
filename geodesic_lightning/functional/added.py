"""Measurements of curves that follow each other, each from where the last one ended, as that of the whole."""

from collections.abc import Sequence

import torch
from torch import Tensor

from geodesic_lightning.functional.quadrature import Measurement


def added(parts: Sequence[Measurement], alpha: float) -> Measurement:
    """The whole, relative to p = 1 at its start; corners between the parts stay corners.

    Its u are shares of the whole Euclidean length; `turning` is that of the parts' interior nodes alone, and no
    excess is predicted.
    """
    rises = torch.stack([part.log_density[-1] for part in parts]).double().cumsum(0)
    offsets = [0.0, *rises[:-1].tolist()]
    scale = [torch.exp(torch.tensor(-alpha * o, dtype=torch.float64)) for o in offsets]
    euclidean = sum(part.euclidean_length for part in parts)
    share = [part.euclidean_length / euclidean for part in parts]
    starts = torch.tensor([0.0, *share[:-1]], dtype=torch.float64).cumsum(0)

    def rows(values: list[Tensor]) -> Tensor:
        return torch.cat([*(v[:-1] for v in values[:-1]), values[-1]])

    return Measurement(
        u=rows([start + part.u * w for start, part, w in zip(starts, parts, share)]),
        log_density=rows([o + part.log_density for o, part in zip(offsets, parts)]),
        log_density_error=sum(part.log_density_error for part in parts),
        length=sum(float(k) * part.length for k, part in zip(scale, parts)),
        energy=sum(float(k) ** 2 * part.energy / w for k, part, w in zip(scale, parts, share)),
        length_error=sum(float(k) * part.length_error for k, part in zip(scale, parts)),
        euclidean_length=euclidean,
        metric_speed=rows([k * part.metric_speed / w for k, part, w in zip(scale, parts, share)]),
        turning=torch.cat([part.turning for part in parts]),
        score_norm=rows([part.score_norm for part in parts]),
    )
