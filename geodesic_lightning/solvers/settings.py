"""Settings of the Python interface: which there are and what each may be, checked before anything is loaded.

KINDS has a row for every setting of every function by its name: what is taken for it (caller/kinds.py), and
what is said to be expected where something else is given. Ranges are the constructors' own (rehearsal.py).
"""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import torch

from geodesic_lightning.caller.kinds import (
    flag,
    made,
    maker,
    number,
    one_of,
    optional,
    pair,
    shown,
    text,
    texts,
    whole,
    wholes,
)
from geodesic_lightning.data.resize import ANCHORS, FITS
from geodesic_lightning.decoding.decoder import Decoder
from geodesic_lightning.decoding.retime import Timing
from geodesic_lightning.errors import UserError
from geodesic_lightning.integrators.geodesic_ode import PARAMETRIZATIONS
from geodesic_lightning.models.scheduler import Scheduler
from geodesic_lightning.protocols import (
    Functional,
    MakeCondition,
    MakeManifold,
    MakeOptimizer,
    MakeScore,
    Metrics,
)
from geodesic_lightning.score.fields import Contrast, NoiseFree, NoisePrediction, ScoreDistillation

__all__ = ["FIELDS", "KINDS", "Kind", "Progress", "Settings", "checked"]

Progress = Callable[[int, dict[str, float]], object]  # (step, figures by name)
FIELDS = {field.name: field for field in (NoisePrediction, Contrast, ScoreDistillation, NoiseFree)}
SEEDS = 2**32  # seeds of a run, as on the command line


class Settings(TypedDict, total=False):
    """What every function takes by name.

    Whole numbers and numbers may be numpy's, or tensors of one number; 8.0 is whole.

    Attributes:
        model: "embedded" (the default: the shipped model of drawn cats), a diffusers folder or hub
            id, a loaded diffusers pipeline, which is given back as it came and which nobody else uses
            meanwhile, a log density of your own (docs/own_density.md), whose images are points, or a model
            object with the same verbs. The last one made by its name is kept for the next call with the same
            name, size and device; `forget()` lets it go.
        score: noise_prediction, contrast, sds or nfsd; or a maker (model, condition) → Score.
        strength: how hard the density pulls at the path: the angle, radians ≥ 0, by which it asks the straightest way
            to turn (functional/strength.py); None is the default, 1.5.
        alpha: density exponent ≥ 0, in place of a strength.
        segments, frames: pieces of the path, images of the film; 16 and 17.
        scheduler: sampler and noise level of the path; None is Scheduler().
        optimizer: maker (path, segments=) → PathOptimizer, as partial(SemiImplicit, memory=5), in place of
            the solver's usual one.
        condition, manifold: makers as for `assemble.assemble`.
        timing: which places of the path the film shows (decoding/retime.py); None is equal distances.
        decoder: maker of what turns the path between two images into frames (decoding/morphs/decoder.py);
            None is decoding/decoder.py's, with the colours of the images where it leads from one to the next.
        functional: what is bent in place of the density's length (functional/alternatives.py), by `interpolate`.
        metrics: what else a morph is measured by (metrics.Measures); summary["measures"] has the figures.
        device: where to compute; None is a GPU if there is one.
        seed: of whatever is random.
        progress: is told of every step of solving: its number, and figures by name as in metrics.csv.
        fit, anchor: how pictures of another shape become the model's: crop (the default), pad or
            stretch; at center (the default), top, bottom, left or right.
        size: of the images, for a model given by name: (height, width) in px, or auto for the
            pictures' own shape; None is the model's own.
    """

    model: Any
    score: str | MakeScore
    strength: float | None
    alpha: float | None
    segments: int
    frames: int
    scheduler: Scheduler | None
    optimizer: MakeOptimizer | None
    condition: MakeCondition
    manifold: MakeManifold
    timing: Timing | None
    decoder: Callable[..., Decoder] | None
    functional: Functional | None
    metrics: Metrics | None
    device: str | torch.device | None
    seed: int
    progress: Progress | None
    fit: str | None
    anchor: str | None
    size: int | tuple[int, int] | str | None


@dataclass(frozen=True)
class Kind:
    """What a setting may be.

    Attributes:
        take: returns a value as it is used; raises TypeError for one of another kind, or a UserError of its own.
        expected: what is, and an example, as a sentence has it after "expected".
    """

    take: Callable[[Any], Any]
    expected: str


def _model(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _score(value: Any) -> Any:
    return one_of(FIELDS)(value) if isinstance(value, str) else maker(value)


def _scheduler(value: Any) -> Scheduler:
    if not isinstance(value, Scheduler):
        raise TypeError
    return value


def _device(value: Any) -> torch.device:
    """A device that is there."""
    if not isinstance(value, str | torch.device):
        raise TypeError
    try:
        found = torch.device(value)
    except RuntimeError as error:  # torch knows no such word
        raise TypeError from error
    there = {
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }
    if found.type not in there:
        raise TypeError
    if not there[found.type]:
        raise UserError(
            f"device: got {shown(value)}, but torch finds no such device here, expected 'cpu', or None "
            "for the best there is: leave device out."
        )
    if (found.index or 0) >= there[found.type]:
        last = there[found.type] - 1
        raise UserError(
            f"device: got {shown(value)}, expected one of '{found.type}:0' to '{found.type}:{last}': choose "
            "one that is here."
        )
    return found


def _seed(value: Any) -> int:
    if (found := whole(value)) < 0:
        raise TypeError
    return found % SEEDS


def _size(value: Any) -> int | tuple[int, int] | str:
    if isinstance(value, str):
        return one_of(["auto"])(value)
    try:
        found: int | tuple[int, int] = whole(value)
    except TypeError:
        found = pair(value)
    if min(found if isinstance(found, tuple) else (found,)) < 1:
        raise TypeError
    return found


NUMBER = "a finite number"
WHOLE = "a whole number"
PROMPT = "text: write it in quotes"
KINDS = {
    "model": Kind(_model, ""),
    "score": Kind(_score, f"one of {', '.join(FIELDS)}, or a maker (model, condition) → Score"),
    "strength": Kind(optional(number), f"{NUMBER} of radians, or None: write strength=1.5"),
    "alpha": Kind(optional(number), f"{NUMBER}, or None: write alpha=0.002"),
    "segments": Kind(whole, f"{WHOLE}: write segments=16"),
    "frames": Kind(whole, f"{WHOLE}: write frames=17"),
    "scheduler": Kind(
        optional(_scheduler),
        "a Scheduler, or None: write scheduler=Scheduler('ddim', 50), with Scheduler from "
        "geodesic_lightning.models.scheduler",
    ),
    "optimizer": Kind(
        optional(maker),
        "a maker (path, segments=) → PathOptimizer, or None: write optimizer=partial(SemiImplicit, memory=5)",
    ),
    "condition": Kind(
        maker, "a maker (model, prompts, clean latents) → Condition: write condition=prompts, of "
        "geodesic_lightning.score.condition",
    ),
    "manifold": Kind(
        maker, "a maker (model, noisy latents) → Manifold: write manifold=sphere, of "
        "geodesic_lightning.geometry.choose_manifold",
    ),
    "timing": Kind(
        optional(made("name")), "a Timing that is made, or None: write timing=EvenInMetricLength()"
    ),
    "decoder": Kind(
        optional(maker), "a maker of a Decoder, or None: write decoder=partial(plain, ends='given')"
    ),
    "functional": Kind(
        optional(made("name")), "a Functional that is made, or None: write functional=Temperature(10.0)"
    ),
    "metrics": Kind(
        optional(made("check")), "Metrics that are made, or None: write metrics=Measures(['pdv'])"
    ),
    "device": Kind(optional(_device), "'cpu', 'cuda', 'cuda:1' or 'mps', or None for the best: write device='cpu'"),
    "seed": Kind(_seed, f"{WHOLE} of at least 0: write seed=0"),
    "progress": Kind(optional(maker), "a function of (step, figures), or None: write progress=print"),
    "fit": Kind(optional(one_of(FITS)), f"one of {', '.join(FITS)}, or None"),
    "anchor": Kind(optional(one_of(ANCHORS)), f"one of {', '.join(ANCHORS)}, or None"),
    "size": Kind(
        optional(_size),
        "(height, width) in px, one number for both, 'auto' or None: write size=(512, 768)",
    ),
    "tolerance": Kind(number, f"{NUMBER} above 0: write tolerance=1e-4"),
    "rounds": Kind(whole, f"{WHOLE} of at least 1: write rounds=30"),
    "closed": Kind(flag, "True or False"),
    "rounding": Kind(number, f"{NUMBER} from 0 to 1: write rounding=0.3"),
    "seeds": Kind(wholes, "whole numbers, one a prompt: write seeds=[0, 1]"),
    "guidance": Kind(optional(number), f"{NUMBER} of at least 1, or None: write guidance=4"),
    "velocity": Kind(
        optional(made()), "a maker View → Launch, or None: write velocity=Onward('outputs/cat')"
    ),
    "length": Kind(number, f"{NUMBER} other than 0: write length=1"),
    "gauge": Kind(one_of(PARAMETRIZATIONS), f"one of {', '.join(PARAMETRIZATIONS)}"),
    "floor": Kind(optional(number), f"{NUMBER} of standard deviations, or None: write floor=6"),
    "stride": Kind(whole, f"{WHOLE} of at least 1: write stride=1"),
    "range": Kind(optional(pair), "the first frame and the last + 1, or None: write range=(0, 48)"),
    "resize": Kind(one_of(FITS), f"one of {', '.join(FITS)}"),
    "prompts": Kind(texts, "a list of texts: write prompts=['a cat', 'a dog']"),
    **dict.fromkeys(("prompt", "prompt_start", "prompt_end", "prompt_toward"), Kind(optional(text), PROMPT)),
}  # fmt: skip


def checked(
    function: Callable[..., Any], args: Sequence[Any], named: dict[str, Any]
) -> inspect.BoundArguments:
    """Arguments of a call of this interface, settings as they are used; what is no setting is left alone.

    Raises:
        UserError: a setting that the function does not know, or one of another kind.
        TypeError: arguments that are missing, or given twice.
    """
    signature = inspect.signature(function)
    places = list(signature.parameters.values())
    names = [
        one.name for one in places if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
    ]
    names += Settings.__annotations__
    for name in named:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            raise UserError(
                f"{function.__name__}() got the setting {name!r}, expected some of {', '.join(names)}: "
                + (f"did you mean {near[0]}?" if near else "leave it out.")
            )
    try:
        bound = signature.bind(*args, **named)
    except TypeError as error:
        raise TypeError(f"{function.__name__}() {error}") from None
    for place in places:
        if place.name not in bound.arguments:
            continue
        given = bound.arguments[place.name]
        if place.kind is place.VAR_KEYWORD:
            given.update({name: taken(name, value) for name, value in given.items()})
            continue
        if place.kind is place.VAR_POSITIONAL and len(given) == 1 and not isinstance(given[0], str):
            given = given[0]  # a list in their place
        bound.arguments[place.name] = taken(place.name, given)
    return bound


def taken(name: str, value: Any) -> Any:
    """The value of a setting as it is used; of what has no row in KINDS, itself.

    Raises:
        UserError: it is of another kind.
    """
    if (kind := KINDS.get(name)) is None:
        return value
    try:
        return kind.take(value)
    except TypeError:
        raise UserError(f"{name}: got {shown(value)}, expected {kind.expected}.") from None
