"""A device without float64, as Apple's GPUs are, simulated on the CPU.

Inside `device_without_float64()` the device "meta" computes: a tensor there holds its numbers in the
CPU's memory, and every operation goes through `Device`, which refuses what such a device refuses:

    a tensor of float64 on it, made, converted or computed
    one operation on its tensors and on the CPU's (numbers and indices excepted)
    random numbers on it from a generator of the CPU
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

DEVICE = torch.device("meta")
COPIES = {"aten::copy_", "aten::_to_copy", "aten::index", "aten::index_put", "aten::index_put_"}


class OnDevice(torch.Tensor):
    """A tensor that says it is on the device; `held` are its numbers."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> OnDevice:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device=DEVICE,
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return Device().__torch_dispatch__(function, types, args, kwargs)

    @property
    def data(self) -> torch.Tensor:
        return super().data

    @data.setter
    def data(self, value: OnDevice) -> None:
        torch.Tensor.data.__set__(self, value)
        self.held = value.held

    def __deepcopy__(self, memo: dict) -> torch.Tensor:
        copied = self.detach().clone()
        if isinstance(self, torch.nn.Parameter):
            copied = torch.nn.Parameter(copied, self.requires_grad)
        memo[id(self)] = copied
        return copied

    def tolist(self) -> list:
        return self.held.tolist()

    def __repr__(self) -> str:
        return f"OnDevice({self.held!r})"


class Device(TorchDispatchMode):
    """Computes on the CPU what belongs to the device, and refuses what a device would."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        kwargs = dict(kwargs or {})
        tensors = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, torch.Tensor)]
        here = [x for x in tensors if isinstance(x, OnDevice)]
        name = function._schema.name
        asked = kwargs.get("device")
        there = bool(here) if asked is None else torch.device(asked).type == DEVICE.type
        if name == "aten::copy_":
            there = isinstance(args[0], OnDevice)
        if there and asked is not None:
            kwargs["device"] = "cpu"
        elsewhere = [x for x in tensors if x.dim() and not isinstance(x, OnDevice)]
        if here and elsewhere and name not in COPIES:
            raise RuntimeError(f"{name}: got tensors of the device and of the CPU together")
        if there and kwargs.get("generator") is not None:
            raise RuntimeError(f"{name}: got a generator of the CPU for the device")
        args, kwargs = tree_map_only(OnDevice, lambda x: x.held, (args, kwargs))
        found = function(*args, **kwargs)
        if not there:
            return found.clone() if here and isinstance(found, torch.Tensor) else found
        if function._schema.is_mutable and here and name[-1] == "_":
            return here[0]
        return tree_map_only(torch.Tensor, lambda x: placed(x, name), found)


class Literals(TorchFunctionMode):
    """Numbers that torch itself puts on the device, by way of the CPU: on "meta" they would be lost.

    As in `torch.tensor(numbers, device=…)`, `x.new_tensor(numbers)`, `x[[numbers]]`.
    """

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        kwargs = dict(kwargs or {})
        if function in (torch.tensor, torch.as_tensor) and kwargs.get("device") is not None:
            device = torch.device(kwargs.pop("device"))
            return function(*args, **kwargs).to(device)
        if function is torch.Tensor.new_tensor and isinstance(args[0], OnDevice):
            kind = kwargs.pop("dtype", None) or args[0].dtype
            return torch.tensor(*args[1:], dtype=kind, **kwargs).to(DEVICE)
        if function is torch.Tensor.__getitem__ and isinstance(args[0], OnDevice):
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            index = tuple(torch.tensor(i) if isinstance(i, list) else i for i in index)
            return function(args[0], index, **kwargs)
        return function(*args, **kwargs)


def placed(held: torch.Tensor, name: str) -> OnDevice:
    if held.dtype in (torch.float64, torch.complex128):
        raise TypeError(f"{name}: the device has no float64")
    return OnDevice(held)


@contextmanager
def device_without_float64() -> Iterator[torch.device]:
    """The device; what is on it computes only here.

    Within, inference_mode is no_grad: its tensors bypass the parts of torch that operations are seen in.
    """

    def enter(self: Any) -> None:
        self.instead = torch.no_grad()
        self.instead.__enter__()

    def leave(self: Any, *error: Any) -> None:
        self.instead.__exit__(*error)

    with pytest.MonkeyPatch.context() as patch, Device(), Literals():
        patch.setattr(torch.inference_mode, "__enter__", enter)
        patch.setattr(torch.inference_mode, "__exit__", leave)
        yield DEVICE
