"""Latents shared out over the processes of a distributed run: each scores its part, all get all.

What is exchanged is the answers, some kB a call; every process then takes the same step from the
same numbers. A process asks alone inside `alone()`, where the others do not ask at all.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, distributed

_alone = False


def sharing() -> bool:
    """Calls are shared out: several processes, and all of them here."""
    return (
        not _alone
        and not torch.is_grad_enabled()
        and distributed.is_available()
        and distributed.is_initialized()
        and distributed.get_world_size() > 1
    )


@contextmanager
def alone() -> Iterator[None]:
    """This process computes all by itself: what the others do meanwhile is none of its business."""
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


def shared(call: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """call(*tensors), (n, …) like the first of the tensors, each process asked for its part of the n.

    All processes hold the same tensors. Parts are contiguous, the first ones of ⌈n/processes⌉; a
    call that does not care how its items are batched answers to the last bit as one process would.
    """
    if not sharing():
        return call(*tensors)
    rank, world = distributed.get_rank(), distributed.get_world_size()
    count = len(tensors[0])
    size = -(-count // world)
    own = [t[rank * size : (rank + 1) * size] for t in tensors]
    part = tensors[0].new_zeros(size, *tensors[0].shape[1:])
    if len(own[0]):
        part[: len(own[0])] = call(*own)
    parts = [torch.empty_like(part) for _ in range(world)]
    distributed.all_gather(parts, part.contiguous())
    return torch.cat(parts)[:count]
