"""Make the references: the shortest geodesics of the nine problems, computed once and shipped.

    python -m geodesic_lightning.models.exact.make_references [name ...]

Method. N segments with nodes x_i; the discrete energy, whose minimiser is evenly spaced in the
metric,

    E = N sum_i dist(x_i, x_{i+1})^2 n_i n_{i+1},   n_i = exp(-alpha (log p(x_i) - log p(x_0))),

is minimised in float64 by L-BFGS with a strong Wolfe line search and the exact gradient. The
unknowns are the coefficients a_k in x_i = line_i + sum_k a_k sin(k pi i/N)/k, in which the kinetic
part of the Hessian is a multiple of the identity; on a sphere the nodes are brought to the radius.
32 -> 64 -> 128 -> 256 segments, each level from the spline of the one before. The length of the
result is the exact length of the spline through its nodes (curve_length.py). The path is of order
two and the length stationary there, so that its error falls as N^-4: |S_256 - S_128|/S_256 is
recorded as the error estimate, about fifteen times the error of S_256.

Starts: the straight line or great circle; the same with random waves on it, four seeds; the guide
curve through high density; the guide mirrored in the chord. The shortest result is the reference;
the one from the straight start is recorded beside it, and all of them under "starts". Where there
is a closed form, it is the reference, and the error estimate is what the numbers above are off.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from geodesic_lightning.geometry.manifold import Sphere
from geodesic_lightning.models.exact.closed_forms import closed_form
from geodesic_lightning.models.exact.curve_length import curve_length, resample
from geodesic_lightning.models.exact.density import Density
from geodesic_lightning.models.exact.problems import DENSITIES, density
from geodesic_lightning.models.exact.references import NODES, NUMBERS

__all__ = ["SEGMENTS", "Solved", "main", "make", "solve", "starts", "straight"]

SEGMENTS = (32, 64, 128, 256)
KEPT = {1024: 33}  # nodes kept by dimension, 257 otherwise


@dataclass(frozen=True)
class Solved:
    """nodes (N + 1, d) float64 of the last level and the exact length at each level."""

    nodes: Tensor
    lengths: tuple[float, ...]


def straight(problem: Density, segments: int) -> Tensor:
    """The straight line or great circle between the ends, (segments + 1, d)."""
    u = torch.linspace(0, 1, segments + 1, dtype=torch.float64)
    return problem.manifold.geodesic(problem.ends[0], problem.ends[1], u)


def _relax(problem: Density, start: Tensor, iterations: int) -> Tensor:
    """Minimise the discrete energy from the nodes start (N + 1, d)."""
    segments, dimension = len(start) - 1, start.shape[-1]
    k = torch.arange(1, segments, dtype=torch.float64)
    waves = torch.sin(math.pi / segments * k[:, None] * k) / k  # (N - 1 nodes, N - 1 waves)
    origin = problem.log_density(start[:1])

    def nodes_of(a: Tensor) -> Tensor:
        interior = problem.manifold.projx(start[1:-1] + waves @ a)
        return torch.cat((start[:1], interior, start[-1:]))

    def energy(a: Tensor) -> Tensor:
        x = nodes_of(a)
        cost = torch.exp(-problem.alpha * (problem.log_density(x) - origin))
        squared = (x[1:] - x[:-1]).square().sum(-1)
        if isinstance(problem.manifold, Sphere):
            diameter = 2 * problem.manifold.radius
            squared = (diameter * torch.asin((squared.sqrt() / diameter).clamp_max(1))) ** 2
        return segments * (squared * cost[1:] * cost[:-1]).sum()

    a = torch.zeros(segments - 1, dimension, dtype=torch.float64, requires_grad=True)
    scale = float(energy(a).detach())
    optimizer = torch.optim.LBFGS(
        [a],
        max_iter=iterations,
        history_size=30,
        tolerance_grad=1e-10,
        tolerance_change=1e-15,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = energy(a) / scale
        value.backward()
        return value

    optimizer.step(closure)
    return nodes_of(a.detach())


def solve(
    problem: Density, start: Tensor, segments: tuple[int, ...] = SEGMENTS, iterations: int = 400
) -> Solved:
    """The geodesic that descent reaches from the curve start (m, d), coarse to fine."""
    nodes, lengths = start, []
    for count in segments:
        nodes = _relax(problem, resample(problem, nodes, count + 1), iterations)
        lengths.append(curve_length(problem, nodes))
    return Solved(nodes, tuple(lengths))


def starts(problem: Density, seeds: int = 4) -> dict[str, Tensor]:
    """Curves (65, d) to start from, by name; the first is the straight one."""
    line = straight(problem, 64)
    found = {"straight": line}
    u = torch.linspace(0, 1, 65, dtype=torch.float64)[:, None]
    size = 0.25 * float((line[-1] - line[0]).norm()) / math.sqrt(problem.dimension)
    for seed in range(seeds):
        generator = torch.Generator().manual_seed(seed)
        waves = torch.randn(3, problem.dimension, generator=generator, dtype=torch.float64)
        bend = sum(torch.sin((j + 1) * math.pi * u) / (j + 1) * waves[j] for j in range(3))
        curve = problem.manifold.projx(line + size * bend)
        found[f"waves {seed}"] = torch.cat((line[:1], curve[1:-1], line[-1:]))
    if problem.guide is not None:
        guide = resample(problem, problem.guide, 65)
        mirrored = problem.manifold.projx(2 * line - guide)
        found["guide"] = guide
        found["guide mirrored"] = torch.cat((line[:1], mirrored[1:-1], line[-1:]))
    return found


def make(problem: Density) -> tuple[dict, Tensor]:
    """The record of one problem for references.json and the nodes (m, d) float32 to keep."""
    solved = {name: solve(problem, curve) for name, curve in starts(problem).items()}
    best = min(solved.values(), key=lambda found: found.lengths[-1])
    length, known = best.lengths[-1], closed_form(problem)
    error = abs(length - best.lengths[-2]) / length
    curve = best.nodes
    if known is not None:
        curve, exact = known
        length, error = exact, abs(length - exact) / exact
    record = {
        "length": length,
        "length_start": curve_length(problem, straight(problem, SEGMENTS[-1])),
        "length_from_straight_start": solved["straight"].lengths[-1],
        "alpha": problem.alpha,
        "segments": SEGMENTS[-1],
        "error_estimate": error,
        "closed_form": known is not None,
        "method": "closed form" if known is not None else "L-BFGS on the discrete energy, float64",
        "levels": dict(zip(map(str, SEGMENTS), best.lengths)),
        "starts": {name: found.lengths[-1] for name, found in solved.items()},
    }
    kept = resample(problem, curve, KEPT.get(problem.dimension, 257))
    return record, kept.float().contiguous()


def main(words: Sequence[str] | None = None) -> None:
    """Make the references of the problems named (all, if none) and write them beside this file."""
    parser = argparse.ArgumentParser(
        prog="python -m geodesic_lightning.models.exact.make_references",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", help=", ".join(DENSITIES))
    names = parser.parse_args(words).names
    numbers = json.loads(NUMBERS.read_text(encoding="utf-8")) if NUMBERS.exists() else {}
    nodes = load_file(NODES) if NODES.exists() else {}
    for name in names or list(DENSITIES):
        numbers[name], nodes[name] = make(density(name))
        length, error = numbers[name]["length"], numbers[name]["error_estimate"]
        print(f"{name:15s} {length:.9f}  error {error:.1e}", flush=True)
    numbers = {name: numbers[name] for name in DENSITIES if name in numbers}
    NUMBERS.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    save_file({name: nodes[name] for name in numbers}, NODES)


if __name__ == "__main__":
    main()
