"""A caller's surroundings: kept from what is computed in a call, and as they were after it.

    modes      grad mode, inference mode, autocast, default dtype, default device: OURS within
    random     states of torch, of GPUs in use, of numpy and of Python
    warnings   their filters
    signals    their handlers, where the call is made from the main thread

The default dtype alone is the whole process's: where it is not float32, other threads see that it is for a while.
"""

from __future__ import annotations

import random
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import numpy as np
import torch

__all__ = ["OURS", "Modes", "callers_dtype", "kept", "theirs"]

AUTOCAST = ("cpu", "cuda", "mps", "xpu")  # kinds of device that torch.autocast is for


@dataclass(frozen=True)
class Modes:
    """In which modes torch computes.

    Attributes:
        grad: gradients are followed.
        inference: tensors are made without what autograd needs.
        autocast: kinds of device for which it is on, each with its dtype.
        dtype, device: of tensors that say nothing else.
    """

    grad: bool = True
    inference: bool = False
    autocast: tuple[tuple[str, torch.dtype], ...] = ()
    dtype: torch.dtype = torch.float32
    device: torch.device = torch.device("cpu")  # noqa: RUF009 (it never changes)

    @classmethod
    def present(cls) -> Modes:
        """Those of this thread now."""
        return cls(
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            tuple(
                (kind, torch.get_autocast_dtype(kind))
                for kind in AUTOCAST
                if torch.is_autocast_enabled(kind)
            ),
            torch.get_default_dtype(),
            torch.get_default_device(),
        )

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, torch computes so; afterwards as before."""
        before, cast = Modes.present(), dict(self.autocast)
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode(self.inference))
            stack.enter_context(torch.set_grad_enabled(self.grad))
            for kind in {kind for kind, _ in before.autocast} | set(cast):
                stack.enter_context(
                    torch.autocast(kind, dtype=cast.get(kind), enabled=kind in cast)
                )
            if self.device != before.device:  # asked, since it makes every call of torch slower
                stack.enter_context(self.device)
            stack.enter_context(_default_dtype(self.dtype))
            yield


OURS = Modes()
_caller: ContextVar[Modes | None] = ContextVar("caller", default=None)


@contextmanager
def kept() -> Iterator[None]:
    """Inside, OURS are the modes; afterwards all surroundings are as they were, whatever happened."""
    token = _caller.set(Modes.present())
    try:
        with _random_states(), warnings.catch_warnings(), _handlers(), OURS.applied():
            yield
    finally:
        _caller.reset(token)


@contextmanager
def theirs() -> Iterator[None]:
    """Inside, the modes are those of the caller of `kept`: what they handed in to be told sees its own."""
    caller = _caller.get()
    with ExitStack() as stack:
        if caller is not None:
            stack.enter_context(caller.applied())
        yield


@contextmanager
def callers_dtype() -> Iterator[None]:
    """Inside, tensors that say nothing else have the caller's default dtype: a density may be written for it."""
    caller = _caller.get()
    with _default_dtype(torch.get_default_dtype() if caller is None else caller.dtype):
        yield


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(dtype)
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def _random_states() -> Iterator[None]:
    # GPUs that nobody has used are not woken: a process that has could not fork any more.
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 (theirs, whatever it is)
    try:
        with torch.random.fork_rng(gpus):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


@contextmanager
def _handlers() -> Iterator[None]:
    main = threading.current_thread() is threading.main_thread()
    before = {one: signal.getsignal(one) for one in signal.valid_signals()} if main else {}
    try:
        yield
    finally:
        for one, handler in before.items():
            # None is a handler that Python did not install, and cannot.
            if handler is not None and signal.getsignal(one) != handler:
                signal.signal(one, handler)
