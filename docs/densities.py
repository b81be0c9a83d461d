"""Two densities that samplers are tried on, as anybody would write them."""

import torch


def banana(x):
    return -(x[..., 0] ** 2) / 8 - (x[..., 1] - x[..., 0] ** 2 / 2 + 2) ** 2 / 0.18


class Funnel:
    dimension = 3

    def log_density(self, x):
        v, rest = x[..., 0], x[..., 1:]
        return -(v**2) / 18 - v - rest.square().sum(-1) * torch.exp(-v) / 2
