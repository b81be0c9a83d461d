"""Anderson acceleration of a fixed-point iteration x ← x + F(x).

With the last differences dX, dF of iterates and steps, the next step is F − (dX + dF) g where
g = argmin |F − dF g|² + ρ tr(dFᵀdF)|g|². Source: Walker & Ni, SIAM J. Numer. Anal. 49 (2011) 1715.
"""

import torch
from torch import Tensor


def extrapolate(
    step: Tensor, iterates: list[Tensor], steps: list[Tensor], ridge: float = 1e-8
) -> Tensor:
    """The accelerated step, of `step`'s shape, from differences of iterates dX and of steps dF, oldest first.

    The small normal equations are solved in float64: their condition is the square of the problem's.
    """
    if not steps:
        return step
    differences = torch.stack([s.flatten() for s in steps]).cpu().double()
    gram = differences @ differences.T
    gram = gram + ridge * gram.diagonal().sum() * torch.eye(len(gram), dtype=gram.dtype)
    right = differences @ step.flatten().cpu().double()
    weights = torch.linalg.lstsq(gram, right[:, None]).solution
    weights = weights.flatten().to(step)
    change = torch.stack([x + f for x, f in zip(iterates, steps)])
    return step - torch.tensordot(weights, change, dims=1)
