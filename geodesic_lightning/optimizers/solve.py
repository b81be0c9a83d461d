"""The boundary value solver's loop without a Trainer."""

import torch

from geodesic_lightning.optimizers.batched import Batched
from geodesic_lightning.problems.boundary_value import Problem
from geodesic_lightning.protocols import MakeOptimizer


@torch.no_grad()
def solve(problem: Problem, optimizer: MakeOptimizer, segments: int = 16) -> Batched:
    """Step all legs of the problem until each is finished; returns the optimizer.

    Args:
        problem: its path's nodes are moved.
        optimizer: makes a leg's optimizer from (path, segments=).
        segments: N of each leg.
    """
    made = Batched(optimizer, problem, segments)
    made.prepare()
    while not made.finished:
        made.step(problem.evaluate(made.awake))
    return made
