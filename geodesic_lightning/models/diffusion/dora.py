"""Low-rank weights with a magnitude of their own (DoRA): W ← m · V / ‖V‖, V = W + s · B A.

The norm is taken over each output's inputs, where m is (out, 1, …), or over each input's outputs, where m
is (1, in, …). diffusers reads the first from its own layout, and drops both from kohya's (`dora_scale`).

Sources: Liu et al., DoRA, 2024; the two axes as LyCORIS writes them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def merged(weight: Tensor, down: Tensor, up: Tensor, magnitude: Tensor, scale: float) -> Tensor:
    """The layer's new weight, like the former one (out, in, …), computed in float64.

    Args:
        down: A, (r, in, …). up: B, (out, r, …).
        magnitude: m, with out elements, or of shape (1, in, …).
        scale: s.

    Raises:
        ValueError: the sizes do not fit.
    """
    was = weight.double()
    v = was + scale * (up.double().flatten(1) @ down.double().flatten(1)).reshape(was.shape)
    axis = 1 if magnitude.dim() > 1 and magnitude.shape[0] == 1 else 0
    if magnitude.numel() != v.shape[axis]:
        raise ValueError(f"{magnitude.numel()} magnitudes for {v.shape[axis]}")
    sides = [side for side in range(v.dim()) if side != axis]
    shape = [-1 if side == axis else 1 for side in range(v.dim())]
    norm = torch.linalg.vector_norm(v, dim=sides, keepdim=True)
    return (magnitude.double().reshape(shape) * v / norm).to(weight)


@torch.no_grad()
def merge(layer: nn.Module, down: Tensor, up: Tensor, magnitude: Tensor, scale: float) -> None:
    """Give a layer its merged weight for good."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    device = weight.device
    weight.copy_(merged(weight, down.to(device), up.to(device), magnitude.to(device), scale))
