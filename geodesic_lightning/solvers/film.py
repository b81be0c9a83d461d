"""Frames of one path, each decoded once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

MANY = 64  # frames decoded at a time


class Film:
    """What has been decoded of a path while it stands still.

    Args:
        points: (N+1, d) of the path.
        timing: the name of what says where its frames are.

    Attributes:
        places: of the film of so many frames, (m,) of the path's u.
        whole: the film of so many frames, (m, 3, H, W).
    """

    def __init__(self, points: Tensor, timing: str) -> None:
        self._points, self._timing = points, timing
        self.places: dict[int, Tensor] = {}
        self.whole: dict[int, Tensor] = {}
        self._frames: dict[int, Tensor] = {}

    def shows(self, points: Tensor, timing: str) -> bool:
        """It is of a path through these points, timed so."""
        same = self._timing == timing and self._points.shape == points.shape
        return same and torch.equal(self._points, points)

    def at(self, places: Tensor, decode: Callable[[Tensor], Tensor]) -> Tensor:
        """Images (m, 3, H, W) at places (m,); `decode` is asked for those that are new, MANY at a time."""
        keys = [round(float(u) * 1e6) for u in places]  # places are float32
        first = {key: k for k, key in reversed(list(enumerate(keys)))}
        new = sorted(k for key, k in first.items() if key not in self._frames)
        done, film = 0, None
        for part in torch.tensor(new, dtype=torch.long).split(MANY) if new else ():
            images = decode(places[part].to(torch.float32))
            if film is None:  # one piece of memory for all
                film = (
                    images
                    if len(part) == len(new)
                    else images.new_empty(len(new), *images.shape[1:])
                )
            film[done : done + len(part)] = images
            self._frames.update(zip((keys[k] for k in part), film[done : done + len(part)]))
            done += len(part)
        if film is not None and len(film) == len(keys):
            return film
        return torch.stack([self._frames[key] for key in keys])
