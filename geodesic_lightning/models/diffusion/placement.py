"""Where the parts of a frozen pipeline stand, and in which precision.

    networks   bfloat16 on a CUDA GPU that computes in it, float16 on an older one, float32 on a CPU and
               on Apple's GPUs
    VAE        float32 unless asked otherwise: in float16 its activations overflow, in bfloat16 a
               picture keeps two digits; it is called a few times a run, the network hundreds

Outside, nodes and geometry are float32, always.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from geodesic_lightning.errors import UserError

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def dtype_named(key: str, name: str) -> torch.dtype | None:
    """The dtype of a configuration value, None for auto."""
    if name != "auto" and name not in DTYPES:
        raise UserError(f"model.{key}: got {name!r}, expected one of auto, {', '.join(DTYPES)}.")
    return DTYPES.get(name)


def fastest(device: torch.device) -> torch.dtype:
    """The precision in which networks run where nothing else was asked for."""
    cuda = device.type == "cuda"
    return precision(device.type, cuda and torch.cuda.is_bf16_supported(including_emulation=False))


def precision(kind: str, bfloat16: bool) -> torch.dtype:
    """The same by the kind of device, as cuda, and whether its hardware computes in bfloat16.

    Older GPUs (V100, T4) only emulate bfloat16, at a fraction of float16's speed.
    """
    if kind != "cuda":
        return torch.float32
    return torch.bfloat16 if bfloat16 else torch.float16


class Lent:
    """Parts of a pipeline that is somebody else's: they stay where and as they are.

    Args:
        parts: modules by name.
        device: where the pipeline computes.
    """

    def __init__(self, parts: dict[str, nn.Module], device: torch.device) -> None:
        self.parts, self.device = parts, device

    def to(self, device: torch.device) -> None:
        """Nothing."""

    def dtype_of(self, name: str) -> torch.dtype:
        """The precision of a part."""
        part: Any = self.parts[name]  # a module of diffusers or transformers, which knows
        return part.dtype

    def ready(self, *names: str) -> None:
        """Nothing: whoever offloads them has hooks for that."""


class Placement:
    """Parts of a model on their device.

    Args:
        parts: modules by name; the one named "vae" has a precision of its own.
        dtype, vae_dtype: None chooses by device.
        offload: only the part at work is on the device, the others wait in main memory.
    """

    def __init__(
        self,
        parts: dict[str, nn.Module],
        dtype: torch.dtype | None,
        vae_dtype: torch.dtype | None,
        offload: bool = False,
    ) -> None:
        self.parts, self.offload = parts, offload
        self._dtype, self._vae_dtype = dtype, vae_dtype
        self.device = torch.device("cpu")

    def to(self, device: torch.device) -> None:
        """Put every part where it belongs and into its precision for that device."""
        self.device = device
        rest = torch.device("cpu") if self.offload else device
        for name, part in self.parts.items():
            part.to(rest, self.dtype_of(name))
            if self.dtype_of(name) == torch.float16:
                _spare(part)

    def dtype_of(self, name: str) -> torch.dtype:
        """The precision of a part."""
        if name == "vae":
            return self._vae_dtype or torch.float32
        return self._dtype or fastest(self.device)

    def ready(self, *names: str) -> None:
        """The named parts are on the device after this; with offloading, no other is."""
        if not self.offload:
            return
        for name, part in self.parts.items():
            if name not in names:
                part.to("cpu")
        for name in names:
            self.parts[name].to(self.device)


def _spare(part: nn.Module) -> None:
    """Layers back in float32 which their own library says overflow in float16, as one of T5's does."""
    kept = getattr(part, "_keep_in_fp32_modules", None) or ()
    for name, module in part.named_modules():
        if name.rpartition(".")[2] in kept:
            module.float()
