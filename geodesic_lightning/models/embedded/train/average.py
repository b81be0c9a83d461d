"""Exponential moving average of a network's weights."""

import copy
from typing import Generic, TypeVar

import torch

Network = TypeVar("Network", bound=torch.nn.Module)


class Average(torch.nn.Module, Generic[Network]):
    """`network` is a copy whose weights follow w̄ ← d w̄ + (1 − d) w, after n updates.

    d = min(decay, (1 + n)/(10 + n)): a young average forgets faster.
    """

    updates: torch.Tensor

    def __init__(self, network: Network, decay: float) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).requires_grad_(False).eval()
        self.decay = decay
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def update(self, network: Network) -> None:
        """One step towards the weights of `network`."""
        n = int(self.updates.add_(1))
        share = 1.0 - min(self.decay, (1 + n) / (10 + n))
        torch._foreach_lerp_(list(self.network.parameters()), list(network.parameters()), share)
