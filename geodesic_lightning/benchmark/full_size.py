"""Stable Diffusion 2.1-base at full size with random weights: what a sweep costs, no download.

    python -m geodesic_lightning.benchmark.full_size make outputs/full_size      2.6 GB, a minute
    python -m geodesic_lightning.benchmark.full_size run outputs/full_size       on a GPU
    python -m geodesic_lightning.benchmark.full_size step outputs/full_size      on a CPU, minutes

`run` bends a path of 15 interior nodes: latents a second through the UNet, milliseconds a sweep
and the share of it that is spent outside the UNet, peak memory; in the precision of the GPU and in
float32, compiled and not. `step` encodes two pictures and does one iteration with one interior
node. Random weights compute as long as trained ones; their pictures and lengths mean nothing.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from geodesic_lightning.benchmark.timed_process import usage

NODES, SWEEPS = 15, 10


@dataclass(frozen=True)
class Row:
    """One way to run: latents a second, milliseconds a sweep, part outside the UNet, GB at most."""

    dtype: str
    compiled: bool
    latents_per_second: float
    sweep_ms: float
    outside: float
    peak_gb: float


def problem(model: Any, nodes: int) -> Any:
    """A geodesic problem with that many interior nodes between two shipped pictures."""
    from geodesic_lightning.data.frames import shipped_pair
    from geodesic_lightning.geometry.path import Path as Curve
    from geodesic_lightning.problems.boundary_value import Problem
    from geodesic_lightning.score.condition import prompts
    from geodesic_lightning.score.estimator import Score
    from geodesic_lightning.score.fields import NoisePrediction
    from geodesic_lightning.solvers.assemble import sphere

    frames = shipped_pair("pair_cat")
    condition = prompts(model, ("a cat", "a cat"))
    ends = model.invert(model.encode(frames), condition(torch.tensor([0.0, 1.0]))).clone()
    path = Curve(ends[0], ends[1], sphere(model, ends), nodes + 1)
    return Problem(path, Score(model, condition, NoisePrediction()), alpha=0.002)


def run(
    folder: str,
    nodes: int = NODES,
    sweeps: int = SWEEPS,
    ways: Iterable[tuple[str, bool]] = (("auto", False), ("auto", True), ("float32", False)),
) -> Iterator[Row]:
    """Rows as they are found, on the GPU if there is one."""
    from geodesic_lightning.models.diffusion import DiffusionModel
    from geodesic_lightning.models.scheduler import Scheduler

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for dtype, compiled in ways:
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        model = DiffusionModel(folder, Scheduler("ddim", 5), dtype=dtype, compile=compiled)
        posed = problem(model.to(device), nodes)
        posed.path.to(device)
        clock = _Clock(model, device)
        posed.evaluate()  # compiling, and choosing of kernels
        clock.inside, began = 0.0, clock.now()
        _sweep(posed, sweeps, nodes)
        total = clock.now() - began
        peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else usage()[1]
        denoiser = model._placement.dtype_of(model._network.denoiser_name)
        name = str(denoiser).removeprefix("torch.")
        yield Row(
            name, compiled, sweeps * nodes / clock.inside, 1e3 * total / sweeps,
            1 - clock.inside / total, peak / 1e9,
        )  # fmt: skip


def _sweep(posed: Any, sweeps: int, nodes: int) -> None:
    """Iterations of the fast optimizer on its finest level alone, none of which ends early."""
    from geodesic_lightning.optimizers.semi_implicit import SemiImplicit

    optimizer = SemiImplicit(posed.path, nodes + 1, tolerance=1e-30, mode="fast")
    optimizer._now["level"] = len(optimizer.levels) - 1
    for _ in range(sweeps):
        optimizer.step(posed.evaluate().legs[0])


class _Clock:
    """Seconds inside a model's denoiser, waited for at both ends."""

    def __init__(self, model: Any, device: torch.device) -> None:
        self.device, self.inside = device, 0.0
        self._predict = model._network.predict
        model._network.predict = self

    def now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def __call__(self, *inputs: Any) -> Any:
        began = self.now()
        found = self._predict(*inputs)
        self.inside += self.now() - began
        return found


def step(folder: str) -> dict[str, float]:
    """Load, encode, one iteration with one interior node: seconds of each, and GB at most."""
    from geodesic_lightning.models.diffusion import DiffusionModel
    from geodesic_lightning.models.scheduler import Scheduler

    began = time.perf_counter()
    model = DiffusionModel(folder, Scheduler("ddim", 2))
    loaded = time.perf_counter()
    posed = problem(model, 1)
    encoded = time.perf_counter()
    before = posed.path.points()
    _sweep(posed, 1, 1)
    solved = time.perf_counter()
    moved = float((posed.path.points() - before).norm() / before.norm())
    return {
        "load": loaded - began,
        "encode": encoded - loaded,
        "iteration": solved - encoded,
        "moved": moved,
        "unet_evaluations": model.evaluations,
        "peak_gb": usage()[1] / 1e9,
    }


def table(rows: Iterable[Row]) -> str:
    """Rows in Markdown."""
    lines = [
        "| UNet | compiled | latents/s | a sweep of 15, ms | outside the UNet | peak, GB |",
        "|---|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {r.dtype} | {'yes' if r.compiled else 'no'} | {r.latents_per_second:.1f} "
        f"| {r.sweep_ms:.0f} | {r.outside:.1%} | {r.peak_gb:.1f} |"
        for r in rows
    ]
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> None:
    """make, run or step, on a folder."""
    parser = argparse.ArgumentParser(
        prog="python -m geodesic_lightning.benchmark.full_size",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("task", choices=("make", "run", "step"))
    parser.add_argument("folder", help="of the pipeline")
    given = parser.parse_args(words)
    task, folder = given.task, given.folder
    if task == "make":
        from geodesic_lightning.models.diffusion.full_size import make

        print(make(Path(folder)))
    elif task == "run":
        print(table(run(folder)))
    else:
        print(json.dumps(step(folder)))


if __name__ == "__main__":
    main()
