"""What the frozen model is asked for along the path: the embedding c(u) of a prompt at place u.

    c(u) = (1 − u) c_A + u c_B   (lerp; slerp and constant are the other ways)

c_A and c_B are the embeddings of the ends' prompts, or start from them and are bent by textual inversion until
they describe their image better.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from geodesic_lightning.errors import UserError
from geodesic_lightning.models.prompt_length import check_long
from geodesic_lightning.protocols import Model

WAYS = ("lerp", "slerp", "constant")


class Condition:
    """Embeddings along the path.

    Args:
        start, end: embeddings (tokens, width) at u = 0 and 1.
        interpolation: lerp; slerp, token by token; constant, the mean of the two everywhere.
    """

    def __init__(self, start: Tensor, end: Tensor, interpolation: str = "lerp") -> None:
        check_way(interpolation)
        self.start, self.end, self.interpolation = start, end, interpolation

    def __call__(self, u: Tensor) -> Tensor:
        """Embeddings (n, tokens, width) at places u (n,)."""
        u = u.to(self.start)[:, None, None]
        if self.interpolation == "constant":
            return ((self.start + self.end) / 2).expand(len(u), -1, -1)
        if self.interpolation == "slerp":
            return _slerp(self.start, self.end, u)
        return torch.lerp(self.start, self.end, u)


class Piecewise:
    """Embeddings along a path through n stops at even places: from each to the next as a Condition.

    Args:
        stops: embeddings (n, tokens, width), n ≥ 2.
        interpolation: as for Condition; constant is the mean of all, everywhere.
    """

    def __init__(self, stops: Tensor, interpolation: str = "lerp") -> None:
        if interpolation == "constant":
            stops = stops.mean(0, keepdim=True).expand(len(stops), *stops.shape[1:])
        self.legs = [Condition(a, b, interpolation) for a, b in pairwise(stops)]

    def __call__(self, u: Tensor) -> Tensor:
        """Embeddings (n, tokens, width) at places u (n,)."""
        place = u.cpu().double() * len(self.legs)
        leg = place.floor().clamp(0, len(self.legs) - 1)
        found = self.legs[0].start.new_empty(len(u), *self.legs[0].start.shape)
        for k, part in enumerate(self.legs):
            here = (leg == k).to(found.device)
            found[here] = part((place - k)[leg == k])
        return found


def through(stops: Tensor, interpolation: str = "lerp") -> "Condition | Piecewise":
    """The condition through embeddings (n, tokens, width) at even places; one alone holds everywhere."""
    if len(stops) > 2:
        return Piecewise(stops, interpolation)
    return Condition(stops[0], stops[-1], interpolation)


def check_way(interpolation: str) -> None:
    """Raise UserError for a way of interpolation that there is not."""
    if interpolation not in WAYS:
        raise UserError(
            f"condition.interpolation: got {interpolation!r}, expected one of {', '.join(WAYS)}."
        )


def _slerp(start: Tensor, end: Tensor, u: Tensor) -> Tensor:
    """Token by token: directions along the great circle, norms linearly."""
    a, b = start.norm(dim=-1, keepdim=True), end.norm(dim=-1, keepdim=True)
    tiny = torch.finfo(start.dtype).tiny  # a token of zeros has no direction: it stays zero
    x, y = start / a.clamp_min(tiny), end / b.clamp_min(tiny)
    angle = 2 * torch.atan2((x - y).norm(dim=-1, keepdim=True), (x + y).norm(dim=-1, keepdim=True))
    near = angle < 1e-4
    safe = torch.where(near, 1.0, angle)
    turned = (torch.sin((1 - u) * safe) * x + torch.sin(u * safe) * y) / torch.sin(safe)
    return torch.where(near, torch.lerp(x, y, u), turned) * torch.lerp(a, b, u)


def prompts(
    model: Model,
    texts: Sequence[str],
    latents: Tensor | None = None,
    *,
    interpolation: str = "lerp",
    long_prompts: str = "refuse",
) -> Condition | Piecewise:
    """The prompts as they stand, one an image of the path; `latents` are not looked at.

    `long_prompts` is what becomes of those that the text encoder does not take in one piece: refuse,
    truncate, or chunks (models/prompt_length.py).
    """
    return through(embedded(model, texts, long_prompts), interpolation)


def embedded(model: Any, texts: Sequence[str], long_prompts: str = "refuse") -> Tensor:
    """Embeddings (n, rows, width) of the texts; a model is told only of what is not usual."""
    check_long(long_prompts)
    return model.embed(texts) if long_prompts == "refuse" else model.embed(texts, long=long_prompts)


def fixed(model: Any, text: str, condition: Any) -> Tensor:
    """The embedding (1, rows, width) of what is not to be seen, with as many rows as the condition's."""
    embedding = model.embed([text], negative=True)
    rows = condition(torch.zeros(1)).shape[1]
    return embedding if embedding.shape[1] == rows else model.lengthen(embedding, rows)


def unconditional(
    model: Model, texts: Sequence[str], latents: Tensor | None = None
) -> Condition | Piecewise:
    """No prompt anywhere: the embedding of the empty text at every u."""
    return prompts(model, ["", ""])
