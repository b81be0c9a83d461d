"""Redraw error: how far a picture is from any drawable cat.

A cat is fitted to the picture: a small network proposes its parameters, least squares over the
drawing itself refine them, and what remains is the error. Needs skia-python (the extra `train`).

    error = √ mean |picture − drawing|²  over pixels and colours in [0, 1], at SIZE px
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from geodesic_lightning.models.embedded.cats import RANGES, Cat

SIZE, COARSE = 64, 32  # px: of what the network sees, and of what is fitted
CIRCULAR = [name for name in RANGES if name in ("fur_hue", "background_hue")]
NAMES = list(RANGES)
HUES = [NAMES.index(name) for name in CIRCULAR]
WEIGHTS = Path(__file__).parent / "redraw.safetensors"
STEP = 0.04  # of the finite differences, in unit parameters
ROUNDS, ENOUGH = 12, 0.02  # at most; and until one takes less than this part of the square error
DAMPINGS = (1e-3, 1e-2, 1e-1, 1.0)  # in parts of the mean curvature
Drawing = Callable[[NDArray[np.float64]], NDArray[np.float64]]  # unit parameters (35,) → pixels


@dataclass(frozen=True)
class Redrawn:
    """The cat that was fitted to a picture.

    Attributes:
        cat: its parameters.
        error: what the drawing does not explain, in [0, 1].
        drawing: (3, SIZE, SIZE) in [0, 1].
    """

    cat: Cat
    error: float
    drawing: Tensor


class Proposer(nn.Sequential):
    """Pictures (n, 3, SIZE, SIZE) in [0, 1] → (n, 33 + 2·2): parameters, and sine and cosine of hues."""

    def __init__(self, width: int = 24) -> None:
        layers: list[nn.Module] = []
        before = 3
        for after in (width, 2 * width, 3 * width, 4 * width):
            layers += [nn.Conv2d(before, after, 3, 2, 1), nn.GroupNorm(4, after), nn.SiLU()]
            before = after
        side = SIZE // 2**4
        outputs = len(NAMES) + len(HUES)
        layers += [
            nn.Flatten(),
            nn.Linear(before * side**2, 192),
            nn.SiLU(),
            nn.Linear(192, outputs),
        ]
        super().__init__(*layers)


def target(vectors: Tensor) -> Tensor:
    """Unit parameters (n, 35) as the network gives them (n, 37)."""
    plain = [k for k in range(len(NAMES)) if k not in HUES]
    angle = 2 * torch.pi * vectors[:, HUES]
    return torch.cat([vectors[:, plain], angle.sin(), angle.cos()], dim=1)


def parameters(output: Tensor) -> Tensor:
    """The inverse of `target`: (n, 37) → unit parameters (n, 35)."""
    plain = [k for k in range(len(NAMES)) if k not in HUES]
    found = output.new_empty(len(output), len(NAMES))
    found[:, plain] = output[:, : len(plain)].clamp(0, 1)
    sine, cosine = output[:, len(plain) :].chunk(2, dim=1)
    found[:, HUES] = torch.atan2(sine, cosine) / (2 * torch.pi) % 1
    return found


def proposer() -> Proposer:
    """The shipped network."""
    from safetensors.torch import load_file

    network = Proposer()
    network.load_state_dict({k: v.float() for k, v in load_file(WEIGHTS).items()})
    return network.eval().requires_grad_(False)


def redraw(pictures: Tensor, rounds: int = ROUNDS) -> list[Redrawn]:
    """Fit a cat to each of pictures (n, 3, H, W) in [0, 1].

    Args:
        rounds: of least squares at most; each draws 39 cats a picture.
    """
    seen = resized(pictures, SIZE)
    first = parameters(proposer()(seen)).double().numpy()
    return [_fitted(picture, start, rounds) for picture, start in zip(seen, first)]


def error(pictures: Tensor, rounds: int = ROUNDS) -> Tensor:
    """Redraw errors (n,) of pictures (n, 3, H, W)."""
    return torch.tensor([found.error for found in redraw(pictures, rounds)], dtype=torch.float64)


def resized(pictures: Tensor, size: int) -> Tensor:
    """(n, 3, size, size) float32, by area."""
    return torch.nn.functional.interpolate(pictures.float().cpu(), (size, size), mode="area")


def drawn(vector: NDArray[np.float64], size: int = SIZE) -> Tensor:
    """The cat of unit parameters (35,), hues taken round the circle: (3, size, size) in [0, 1]."""
    from geodesic_lightning.models.embedded.drawing import draw

    return torch.from_numpy(draw(Cat.from_vector(_turned(vector)), size)).permute(2, 0, 1) / 255


def sketch(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """A quick drawing of unit parameters at COARSE px, flat, in [0, 1]: Skia's own anti-aliasing at SIZE."""
    from geodesic_lightning.models.embedded.drawing import draw

    picture = draw(Cat.from_vector(_turned(vector)), SIZE, factor=1).astype(np.float64) / 255
    return picture.reshape(COARSE, SIZE // COARSE, COARSE, -1, 3).mean((1, 3)).ravel()


def _turned(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit parameters with their hues in [0, 1)."""
    vector = vector.copy()
    vector[HUES] %= 1
    return vector


def _slopes(
    drawing: Drawing,
    vector: NDArray[np.float64],
    here: NDArray[np.float64],
    high: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(pixels, 35) differences from what is drawn here, inside the box; wide steps, for drawings of 8 bits."""
    columns = []
    for k in range(len(NAMES)):
        moved, step = vector.copy(), STEP if vector[k] + STEP <= high[k] else -STEP
        moved[k] += step
        columns.append((drawing(moved) - here) / step)
    return np.stack(columns, 1)


def refined(
    goal: NDArray[np.float64],
    start: NDArray[np.float64],
    rounds: int,
    drawing: Drawing = sketch,
) -> NDArray[np.float64]:
    """The unit parameters (35,) of the drawing nearest to goal, from start, by Levenberg–Marquardt in a box.

    Each round takes one Jacobian and tries DAMPINGS; parameters at the edge of the box that would leave
    it stay there. (scipy's trf, which turns aside before every edge, needs twice the drawings.)
    """
    low, high = np.zeros(len(NAMES)), np.ones(len(NAMES))
    low[HUES], high[HUES] = -1.0, 2.0
    here = np.clip(start, low, high)
    drawn_here = drawing(here)
    for _ in range(rounds):
        best, gap = (here, drawn_here), drawn_here - goal
        former = least = gap @ gap
        slopes = _slopes(drawing, here, drawn_here, high)
        curvature, downhill = slopes.T @ slopes, -slopes.T @ gap
        for damping in DAMPINGS:
            damped = curvature + damping * np.trace(curvature) / len(here) * np.eye(len(here))
            tried = np.clip(here + _inside(damped, downhill, here, low, high), low, high)
            drawn_there = drawing(tried)
            left = drawn_there - goal
            if left @ left < least:
                best, least = (tried, drawn_there), left @ left
        here, drawn_here = best
        if not least < (1 - ENOUGH) * former:
            break
    return here


def _inside(
    damped: NDArray[np.float64],
    downhill: NDArray[np.float64],
    here: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The step of the normal equations without the parameters that it would push out of the box."""
    free = np.ones(len(here), dtype=bool)
    while True:
        step = np.zeros(len(here))
        step[free] = np.linalg.solve(damped[np.ix_(free, free)], downhill[free])
        out = free & (((here <= low) & (step < 0)) | ((here >= high) & (step > 0)))
        if not out.any():
            return step
        free &= ~out


def _fitted(picture: Tensor, start: NDArray[np.float64], rounds: int) -> Redrawn:
    goal = resized(picture[None], COARSE)[0].permute(1, 2, 0).double().numpy().ravel()
    best = refined(goal, start, rounds)
    candidates = [(float((drawn(v) - picture).square().mean().sqrt()), v) for v in (start, best)]
    size, vector = min(candidates, key=lambda pair: pair[0])
    return Redrawn(Cat.from_vector(_turned(vector)), size, drawn(vector))
