"""What is found of a clip: how long it is beside its rivals, where and how it departs from the geodesic, its pace.

Lengths are compared in the metric p^(−α)|dx|, whole and integrated; bends are compared frame by frame, and feel any
trembling of the frames far more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from geodesic_lightning.functional.quadrature import Measurement
from geodesic_lightning.protocols import AnyPath

if TYPE_CHECKING:
    from geodesic_lightning.solvers.clip import ClipSolver

NEAR, ROUGHLY = (
    0.05,
    0.25,
)  # relative excess of length: below, a clip is near a geodesic, or roughly one
FINE = 4  # points of a path for each of its nodes, when distances to it are measured


def numbers(solver: ClipSolver) -> dict[str, Any]:
    """All that summary.json says of a clip under "clip"; the solver has been validated."""
    found, bent, best = solver.measurement, solver.departure, solver.rivals["geodesic"]
    assert found is not None, "validate first"
    assert bent is not None
    assert best is not None
    lengths = {k: v.measurement.length if v else None for k, v in solver.rivals.items()}
    ratio = {k: found.length / v if v else None for k, v in lengths.items()}
    metric = _metric_steps(found)
    away = distances_to(solver.path.points(), best.path)
    geodesic = best.measurement.euclidean_length
    degrees = torch.rad2deg(bent.angle)
    excess = found.length / best.measurement.length - 1
    widest = int(away.argmax())
    return {
        "frames": solver.numbers,
        "length": found.length,
        "length_error": found.length_error,
        "lengths": lengths,
        "length_over": ratio,
        "excess": excess,
        "verdict": verdict(excess),
        "bend": bent.bend.tolist(),
        "pull": bent.pull.tolist(),
        "residual": bent.residual.tolist(),
        "angle_degrees": degrees.tolist(),
        "angle_median_degrees": float(degrees.median()),
        "imbalance": bent.imbalance,
        "zigzag_degrees": float(torch.rad2deg(bent.zigzag).median()),
        "turning": bent.turning,
        "log_density": found.log_density.tolist(),
        "least_probable": _least_probable(found.log_density, solver.numbers),
        "log_density_rivals": {
            k: v.measurement.log_density.tolist() if v else None for k, v in solver.rivals.items()
        },
        "from_geodesic": (away / geodesic).tolist(),
        "departs_most_at": solver.numbers[widest],
        "departs_most_by": float(away[widest] / geodesic),
        "departs": _stretches(away / geodesic, solver.numbers),
        "pace": (metric / metric.mean()).tolist(),
        "pace_spread": float(metric.std() / metric.mean()),
    }


def verdict(excess: float) -> str:
    """near, roughly or not: by the relative excess of the clip's length over the geodesic's."""
    return "near" if excess < NEAR else "roughly" if excess < ROUGHLY else "not"


def _least_probable(rise: Tensor, frames: list[int]) -> dict[str, Any]:
    """The frame whose log density lies lowest under the line between the ends', in nats."""
    line = torch.lerp(rise[0], rise[-1], torch.linspace(0, 1, len(rise)).to(rise))
    below = line - rise
    return {"frame": frames[int(below.argmax())], "below": float(below.max())}


def _metric_steps(found: Measurement) -> Tensor:
    """Metric length of each step between frames, (N,)."""
    speed = found.metric_speed
    return (speed[1:] + speed[:-1]) / 2 * found.u.diff()


def distances_to(points: Tensor, path: AnyPath) -> Tensor:
    """Distance of points (n, d) to the nearest point of a path, (n,) float64."""
    u = torch.linspace(0, 1, FINE * path.segments + 1)
    curve = path.at(u).cpu().double()
    a, b = curve[:-1], curve[1:] - curve[:-1]
    near = []
    for part in points.cpu().double().split(256):
        along = ((part[:, None] - a) * b).sum(-1) / b.square().sum(-1).clamp_min(1e-30)
        foot = a + along.clamp(0, 1)[..., None] * b
        near.append((part[:, None] - foot).norm(dim=-1).min(1).values)
    return torch.cat(near).cpu()


def _stretches(away: Tensor, frames: list[int]) -> list[list[int]]:
    """Runs of frames, [first, last], more than half as far from the geodesic as the farthest."""
    far = (away > 0.5 * away.max()).tolist()
    runs, first = [], None
    for i, here in enumerate([*far, False]):
        if here and first is None:
            first = i
        elif not here and first is not None:
            runs.append([frames[first], frames[i - 1]])
            first = None
    return runs
