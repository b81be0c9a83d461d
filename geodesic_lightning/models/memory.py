"""What fits into a machine's memory, said before it is tried.

Needs are lower bounds: whoever is refused would have run out of memory, or been killed for it.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import torch

from geodesic_lightning.errors import UserError

LIMIT = Path("/sys/fs/cgroup/memory.max")  # of a container, where the machine has more


def free_bytes(device: torch.device) -> float:
    """Bytes that may be had on a device now, at most; infinite where nothing tells."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
    return min(_machine(), _container()) if device.type == "cpu" else math.inf


def _machine() -> float:
    """What is available of the main memory; without psutil all of it."""
    try:
        import psutil
    except ImportError:
        try:
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, ValueError, OSError):  # Windows has no sysconf
            return math.inf
    return psutil.virtual_memory().available


def _container() -> float:
    try:
        return float(LIMIT.read_text())
    except (OSError, ValueError):  # no container, or "max"
        return math.inf


def require(needed: float, device: torch.device, what: str, way: str) -> None:
    """Raise UserError where `needed` bytes cannot be had.

    Args:
        what: names the setting and who needs the memory, as "model.size: …".
        way: what to do, as "take a smaller model.size".
    """
    if needed > (free := free_bytes(device)):
        where = "the GPU" if device.type in ("cuda", "mps") else "this machine"
        raise UserError(
            f"{what} needs at least {_size(needed)} at once, expected at most the {_size(free)} that are "
            f"free on {where}: {way}."
        )


def _size(count: float) -> str:
    return f"{count / 1e9:,.0f} GB" if count > 10e9 else f"{count / 1e9:.1f} GB"
