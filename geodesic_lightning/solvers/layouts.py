"""From frames to a path at the model's noise level: encode, ask for the prompts, invert, and lay
the latents out.

    stops    two ends, or keyframes: a Path, or a PiecewisePath of legs
    film     the frames of a clip, each a node of one Path
    star     images around their mean: a StarPath of legs

A solver's class names the layout it takes its frames in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from geodesic_lightning.data.clip import Clip
from geodesic_lightning.data.frames import Frames
from geodesic_lightning.decoding.decoder import Decoder, plain
from geodesic_lightning.errors import UserError
from geodesic_lightning.geometry.path import Path
from geodesic_lightning.geometry.piecewise_path import PiecewisePath
from geodesic_lightning.geometry.star_path import StarPath
from geodesic_lightning.protocols import MakeCondition, MakeManifold, Model
from geodesic_lightning.score.condition import Condition, Piecewise, embedded

if TYPE_CHECKING:
    from geodesic_lightning.integrators.initial_velocity import View

MANY = 64  # frames of a clip that are encoded and inverted at a time
STILL = 1e-4  # of the mean step: a frame that moves less is the former one again


@dataclass(frozen=True)
class Layout:
    """A path, the condition along it, and what shows it.

    Attributes:
        own: what solvers of this layout take by name besides.
    """

    path: Path | PiecewisePath | StarPath
    condition: Condition | Piecewise
    decoder: Decoder
    own: dict[str, Any] = field(default_factory=dict)


def stops_with_clean(
    model: Model,
    frames: Frames,
    condition: MakeCondition,
    manifold: MakeManifold,
    decoder: Callable[..., Decoder] = plain,
) -> Layout:
    """As `stops`, with the clean latents for solvers that ask for them."""
    latents, embedded, given, clean = _inverted(model, _images(frames, "joins"), condition)
    space = manifold(model, latents)
    ring = torch.cat([latents, latents[:1]]) if frames.closed else latents
    if len(ring) == 2:
        path: Path | PiecewisePath = Path(ring[0], ring[1], space)
    else:
        path = PiecewisePath(latents, space, closed=frames.closed, rounding=frames.rounding)
    places = torch.linspace(0, 1, len(ring), dtype=torch.float64).tolist()
    norms = space.statistics(ring.flatten(1))
    return Layout(
        path, embedded, decoder(model, embedded, given, norms, places, clean), {"clean": clean}
    )


def stops(
    model: Model,
    frames: Frames,
    condition: MakeCondition,
    manifold: MakeManifold,
    decoder: Callable[..., Decoder] = plain,
) -> Layout:
    """All frames as fixed stops at even places, the first again where the path is closed."""
    return replace(stops_with_clean(model, frames, condition, manifold, decoder), own={})


def star(
    model: Model,
    frames: Frames,
    condition: MakeCondition,
    manifold: MakeManifold,
    decoder: Callable[..., Decoder] = plain,
) -> Layout:
    """All frames around one point. Distances want one density: the prompts' mean, everywhere."""
    latents, embedded, given, _ = _inverted(model, _images(frames, "averages"), condition)
    if isinstance(embedded, Piecewise):
        ends = [leg.start for leg in embedded.legs] + [embedded.legs[-1].end]
    else:
        ends = [embedded.start, embedded.end]
    middle = torch.stack(ends).mean(0)
    same = Condition(middle, middle)
    space = manifold(model, latents)
    norms = space.statistics(latents.flatten(1))
    places = torch.linspace(0, 1, len(latents), dtype=torch.float64).tolist()
    path = StarPath(latents, space)
    return Layout(path, same, decoder(model, same, given, norms, places, clean=None))


def film(
    model: Model,
    frames: Frames | Clip,
    condition: MakeCondition,
    manifold: MakeManifold,
    decoder: Callable[..., Decoder] = plain,
) -> Layout:
    """Every frame a node, under one prompt, but for those that repeat the former one."""
    clean = torch.cat([model.encode(part) for part in _parts(frames, model)])
    embedded = condition(model, (frames.prompts[0],) * 2, clean[[0, -1]])
    parts = [model.invert(c, embedded(torch.zeros(len(c)))) for c in clean.split(MANY)]
    latents = torch.cat(parts).clone()
    space = manifold(model, latents)
    norms = space.statistics(latents.flatten(1))
    points = space.projx(latents.flatten(1))
    moved = space.dist(points[1:], points[:-1])
    if not moved.any():
        raise UserError("data: all frames of the clip are the same picture: give one that moves.")
    kept = torch.cat([moved.new_ones(1, dtype=torch.bool), moved > STILL * moved.mean()])
    if float(space.dist(points[0], points[-1])) < float(moved.mean()) * STILL:
        raise UserError(
            "data: the clip ends where it began, so that nothing lies between its ends to compare "
            "it with: "
            "give data.range= of a part of it."
        )
    path = Path(latents[0], latents[kept][-1], space)
    path.set_nodes(points[kept][1:-1])
    numbers = torch.nonzero(kept).flatten().tolist()
    shows = Decoder(model, embedded, None, norms[[0, -1]])
    return Layout(path, embedded, shows, {"numbers": numbers})


def view(
    model: Model, frames: Frames | Clip, condition: MakeCondition, manifold: MakeManifold
) -> tuple[View, Tensor | None]:
    """What a velocity is made from, and the images themselves: one, two, keyframes, or a clip's."""
    if isinstance(frames, Clip):
        frames = Frames(
            torch.cat(list(frames.chunks(model.image_size, MANY))), frames.prompts[:1] * len(frames)
        )
    from geodesic_lightning.integrators.initial_velocity import View

    latents, embedded, given, clean = _inverted(model, frames, condition)
    return View(model, clean, latents, manifold(model, latents), embedded), given


def _images(frames: Frames, verb: str) -> Frames:
    if isinstance(frames, Clip) or len(frames) < 2:
        what = "a clip" if isinstance(frames, Clip) else "1 image"
        raise UserError(
            f"data: got {what}, expected two images or more: this solver {verb} images; "
            "choose data=pair, data=keyframes, or solver=clip for a clip."
        )
    return frames


def _inverted(
    model: Model, frames: Frames, condition: MakeCondition
) -> tuple[Tensor, Condition | Piecewise, Tensor | None, Tensor]:
    """Latents (n, …) at the path's level, condition through all prompts, images, clean latents.

    Frames that are prompts alone are sampled down to the path's level, so that nothing is inverted.
    """
    frames = frames.at(model.image_size) if frames.pictures else frames
    texts, sampled = frames.prompts, None
    if frames.seeds:
        asked = embedded(model, texts, _long(condition))
        sampled = model.sample(asked, frames.seeds, frames.guidance).clone()
        clean, given = model.denoise(sampled, asked).clone(), None
    else:
        clean, given = model.encode(frames), model.given(frames)
    if len(clean) != len(frames):
        raise UserError(
            f"model={model.name} has {len(clean)} points of its own for {len(frames)} images: give "
            "data=keyframe_points "
            "or data=clip_points."
        )
    if frames.closed:
        clean, texts = torch.cat([clean, clean[:1]]), (*texts, texts[0])
        given = None if given is None else torch.cat([given, given[:1]])
    along = condition(model, texts, clean)
    if sampled is not None:
        return sampled, along, given, clean
    u = torch.linspace(0, 1, len(clean), device=clean.device)
    # Inference tensors may not become parameters; a clone made here is an ordinary tensor.
    latents = model.invert(clean, along(u)).clone()
    return latents[: len(frames)], along, given, clean


def _long(condition: MakeCondition) -> str:
    """What becomes of prompts that are too long, as the condition has it."""
    return getattr(condition, "keywords", {}).get("long_prompts", "refuse")


def _parts(frames: Frames | Clip, model: Model) -> Iterator[Frames]:
    """Frames in chunks of at most MANY."""
    if isinstance(frames, Frames):
        yield frames.at(model.image_size) if frames.pictures else frames
        return
    for images in frames.chunks(model.image_size, MANY):
        yield Frames(images, ("",) * len(images))
