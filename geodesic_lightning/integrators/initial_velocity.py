"""Where a shot starts, and with which velocity: the makers that `velocity=` chooses from.

    toward     the logarithm at the first image of the last one: from one towards another
    continue   the velocity at the end of a solved path: past its second image
    prompt     the way an image's latent goes when its prompt becomes another
    clip       the velocity over a clip's last frames: what comes next
    random     tangents of random direction

A maker returns unit directions and the distance that solver.length=1 stands for; solver.length
says how far, negative the other way.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geodesic_lightning.data.paths import expanded
from geodesic_lightning.data.text import check_text
from geodesic_lightning.errors import UserError
from geodesic_lightning.geometry import spline
from geodesic_lightning.geometry.manifold import Manifold
from geodesic_lightning.protocols import AnyCondition


@dataclass(frozen=True, eq=False)
class View:
    """What a velocity may be made from.

    Attributes:
        model: the frozen model.
        clean, latents: (n, *shape), the frames' latents before and after inversion.
        manifold: of the path.
        condition: prompts, from the first frame's at u = 0 to the last one's at 1.
    """

    model: Any
    clean: Tensor
    latents: Tensor
    manifold: Manifold
    condition: AnyCondition

    def point(self, index: int) -> Tensor:
        """Frame `index` on the manifold, flat: (d,)."""
        return self.manifold.projx(self.latents[index].flatten())

    def chart(self, point: Tensor) -> Tensor:
        """A flat point (d,) in the latent's own shape."""
        return point.reshape(self.latents.shape[1:])


@dataclass(frozen=True, eq=False)
class Launch:
    """Start, directions and the unit of length of a shot.

    Attributes:
        start: of the latent's own shape, on the manifold.
        directions: (n, d) unit tangents at the start: one, or a fan.
        unit: the distance that a length of 1 means, in latent units.
        frame: which of the frames stands at the start.
        prompt: the place of the start's prompt on the frames' condition.
        prompt_rate: how far the prompt goes along the condition in one unit of length.
        alpha: of the path that the shot goes on from; None where there is none.
    """

    start: Tensor
    directions: Tensor
    unit: float
    frame: int = 0
    prompt: float = 0.0
    prompt_rate: float = 0.0
    alpha: float | None = None


class Along:
    """A condition as a shot follows it: u of the shot is the place first + rate·u of the condition.

    Prompts go no further than those that were given: past the last one it stays.
    """

    def __init__(self, condition: AnyCondition, first: float, rate: float) -> None:
        self.condition, self.first, self.rate = condition, first, rate

    def __call__(self, u: Tensor) -> Tensor:
        """Embeddings (n, tokens, width) at places u (n,)."""
        return self.condition((self.first + self.rate * u).clamp(0, 1))


Velocity = Callable[[View], Launch]


class Fan:
    """Directions about one: the first is itself, the others turn away from it at random.

    Args:
        count: how many in all; 1 is the direction alone.
        spread: radians between it and the others.
        seed: of their directions.
    """

    def __init__(self, count: int = 1, spread: float = 0.5, seed: int = 0) -> None:
        if count < 1:
            raise UserError(f"velocity.count: got {count}, expected at least 1.")
        if not 0 <= spread <= math.pi:
            raise UserError(f"velocity.spread: got {spread}, expected radians from 0 to pi.")
        self.count, self.spread, self.seed = count, spread, seed

    def __call__(self, start: Tensor, way: Tensor, manifold: Manifold) -> Tensor:
        """Unit tangents (count, d) at start (d,), about the direction of way (d,)."""
        ahead = _unit(manifold.proju(start, way))
        if not torch.isfinite(ahead).all():
            raise UserError("velocity: the direction has no length; move one of the images.")
        aside = manifold.proju(start, _normal((self.count - 1, len(start)), self.seed, start))
        aside = _unit(aside - (aside @ ahead)[:, None] * ahead)
        around = math.cos(self.spread) * ahead + math.sin(self.spread) * aside
        return torch.cat([ahead[None], around])


class Toward:
    """From the first frame towards the last; a length of 1 is their distance.

    The prompt goes from the first frame's to the last one's over that distance.

    Args:
        count, spread, seed: of the Fan.
    """

    def __init__(self, count: int = 1, spread: float = 0.5, seed: int = 0) -> None:
        self.fan = Fan(count, spread, seed)

    def __call__(self, view: View) -> Launch:
        if len(view.latents) < 2:
            raise UserError(
                "velocity=toward: got 1 image, expected 2: give data=pair, or velocity=random."
            )
        start = view.point(0)
        way = view.manifold.logmap(start, view.point(-1))
        ways = self.fan(start, way, view.manifold)
        return Launch(view.chart(start), ways, float(way.norm()), prompt_rate=1.0)


class Onward:
    """From the end of a solved path, on with its velocity; a length of 1 is the path's own.

    Args:
        path: the run's folder, or its path.safetensors; data= and model= as in that run.
        reverse: leave the path at its start instead, away from it.
        count, spread, seed: of the Fan.
    """

    def __init__(
        self, path: str, reverse: bool = False, count: int = 1, spread: float = 0.5, seed: int = 0
    ) -> None:
        self.path, self.reverse, self.fan = path, reverse, Fan(count, spread, seed)
        self.points, self.alpha = read_path(path)

    def __call__(self, view: View) -> Launch:
        points = self.points.to(view.latents)
        if points.shape[1] != view.latents[0].numel():
            raise UserError(
                f"velocity.path: {self.path} has latents of {points.shape[1]} numbers, the model's "
                f"have {view.latents[0].numel()}: give the model= of its run."
            )
        points = points.flip(0) if self.reverse else points
        start = view.manifold.projx(points[-1])
        if (start - points[-1]).norm() > 1e-3 * start.norm():
            raise UserError(
                f"velocity.path: {self.path} lies on another manifold: give the data= and manifold= "
                "of its run."
            )
        knots = spline.chord_knots(points)
        way = spline.evaluate(points, np.ones(1), order=1, knots=knots)[0]
        ways = self.fan(start, way, view.manifold)
        unit = float(view.manifold.dist(points[:-1], points[1:]).sum())
        frame, prompt = (0, 0.0) if self.reverse else (-1, 1.0)
        return Launch(view.chart(start), ways, unit, frame, prompt, alpha=self.alpha)


class PromptChange:
    """From the first frame, the way its latent goes when the prompt becomes another.

    x_τ decoded under the new prompt c' is another picture; inverted again under its own prompt c,

        x' = invert(denoise(x_τ, c'), c),

    that picture is a latent which c alone explains. The direction is from x_τ to x', a length of 1
    their distance, and the prompt stays c: what changes on the way changes by the latent.

    Args:
        prompt: the new prompt.
        count, spread, seed: of the Fan.
    """

    def __init__(self, prompt: str, count: int = 1, spread: float = 0.5, seed: int = 0) -> None:
        if not prompt.strip():
            raise UserError("velocity.prompt: got none, expected what the image is to become.")
        check_text("velocity.prompt", prompt)
        self.prompt, self.fan = prompt, Fan(count, spread, seed)

    def __call__(self, view: View) -> Launch:
        own = view.condition(torch.zeros(1).to(view.clean))
        other = view.model.embed([self.prompt]).to(own)
        edited = view.model.denoise(view.latents[:1], other)
        there = view.model.invert(edited, own).clone().to(view.latents)
        start = view.point(0)
        way = view.manifold.logmap(start, view.manifold.projx(there.flatten()))
        if way.norm() <= 1e-6 * start.norm():
            raise UserError(
                "velocity=prompt: the new prompt does not change the image: give another "
                "velocity.prompt (an exact density has no prompts)."
            )
        ways = self.fan(start, way, view.manifold)
        return Launch(view.chart(start), ways, float(way.norm()))


class ClipEnd:
    """From a clip's last frame, with the velocity of its last frames; a length of 1 is the clip's.

    A parabola through the last frame is fitted to the others in the tangent space there.

    Args:
        last: frames looked at, at least 2.
        count, spread, seed: of the Fan.
    """

    def __init__(self, last: int = 4, count: int = 1, spread: float = 0.5, seed: int = 0) -> None:
        if last < 2:
            raise UserError(f"velocity.last: got {last}, expected at least 2.")
        self.last, self.fan = last, Fan(count, spread, seed)

    def __call__(self, view: View) -> Launch:
        if len(view.latents) < 2:
            raise UserError("velocity=clip: got 1 frame, expected at least 2: give data=clip.")
        points = view.manifold.projx(view.latents.flatten(1))
        start = points[-1]
        back = view.manifold.logmap(start, points[-self.last : -1])
        time = torch.arange(-len(back), 0).to(back)
        design = torch.stack([time, time**2], -1)[:, : min(2, len(back))]
        way = torch.linalg.lstsq(design, back).solution[0]
        ways = self.fan(start, way, view.manifold)
        unit = float(view.manifold.dist(points[:-1], points[1:]).sum())
        return Launch(view.chart(start), ways, unit, frame=-1, prompt=1.0)


class Random:
    """From the first frame in random tangent directions.

    A length of 1 is the distance to the last frame, or with one frame its latent's norm.

    Args:
        count: shots.
        seed: of their directions.
    """

    def __init__(self, count: int = 1, seed: int = 0) -> None:
        self.fan = Fan(count, 0.0, seed)

    def __call__(self, view: View) -> Launch:
        start = view.point(0)
        alone = len(view.latents) == 1
        unit = float(start.norm() if alone else view.manifold.dist(start, view.point(-1)))
        if not unit > 0:
            raise UserError("velocity=random: the image's latent is 0: give two different points.")
        ways = _normal((self.fan.count, len(start)), self.fan.seed, start)
        return Launch(view.chart(start), _unit(view.manifold.proju(start, ways)), unit)


def read_path(path: str) -> tuple[Tensor, float | None]:
    """Points (N+1, d) of a path.safetensors, or of the run's folder it is in, and the path's α."""
    from safetensors import SafetensorError, safe_open

    file = expanded(path)
    file = file / "path.safetensors" if file.is_dir() else file
    if not file.is_file():
        raise UserError(f"velocity.path: {file} does not exist; give the folder of a solved run.")
    try:
        with safe_open(file, "pt") as found:
            nodes, ends = (found.get_tensor(name).flatten(1) for name in ("nodes", "ends"))
            alpha = (found.metadata() or {}).get("alpha")
    except (SafetensorError, OSError) as error:
        raise UserError(f"velocity.path: {file} holds no path: give that of a run.") from error
    return torch.cat([ends[:1], nodes, ends[1:]]), None if alpha is None else float(alpha)


def _unit(v: Tensor) -> Tensor:
    return v / v.norm(dim=-1, keepdim=True)


def _normal(shape: tuple[int, int], seed: int, like: Tensor) -> Tensor:
    """Normal numbers that depend on the seed alone, not on the device or the dtype."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(like)
