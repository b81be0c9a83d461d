"""Many latents through a network in as few calls as memory allows."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from geodesic_lightning.errors import UserError, out_of_memory

log = logging.getLogger("geodesic_lightning")


class Chunks:
    """Calls of at most `size` items; with `auto` the size is halved where memory runs out.

    Args:
        what: is said of the size in messages, as in "model.batch_size".
        size: items a call, or "auto".

    Attributes:
        size: items a call at present; None before `start` says where auto begins.
    """

    def __init__(self, what: str, size: int | str = "auto") -> None:
        if size != "auto" and (isinstance(size, str) or size < 1):
            raise UserError(f"{what}: got {size}, expected auto or a number of at least 1.")
        self.what, self.auto = what, size == "auto"
        self.size: int = 1 if size == "auto" else int(size)

    def start(self, size: int) -> None:
        """Where auto begins; a number that was asked for stays."""
        if self.auto:
            self.size = max(1, size)

    def map(self, call: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
        """call(*chunks of tensors), joined along the first dimension.

        What was computed before memory ran out is kept; the rest goes on in halves.

        Raises:
            UserError: memory does not suffice for one item, or for the size asked for.
        """
        done: list[Tensor] = []
        at, count = 0, len(tensors[0])
        while at < count or not done:
            try:
                done.append(call(*(t[at : at + self.size] for t in tensors)))
                at += self.size
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                self._halve(error)
        return done[0] if len(done) == 1 else torch.cat(done)

    def _halve(self, error: Exception) -> None:
        if not self.auto or self.size == 1:
            raise UserError(
                f"Out of memory at {self.what}={self.size}: "
                + (
                    "take a smaller number or auto"
                    if self.size > 1
                    else "take a smaller model.size or model.dtype"
                )
                + ", model.offload=true, or model.attention_slicing=true and model.vae_tiling=true."
            ) from error
        self.size //= 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        log.warning("Out of memory: going on with %s=%d; nothing is lost.", self.what, self.size)
