"""Curves that are linear in their nodes, by inner products alone: the dimension enters once.

For a curve x = Σ b_j x_j with Σ b_j = 1, whatever is asked of lengths and angles is a form in the
matrix of the nodes' inner products. With x = x_0 + Σ b_j (x_j − x_0) velocities that are short
beside x itself keep their digits.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Curve:
    """A curve at m places, and a field on it; rows belong to places.

    Attributes:
        products: inner products of the vectors (x_0, x_1 − x_0, …), (N+2, N+2).
        crossed: of the scores with these, (N+1, N+2).
        here, velocity: (m, N+2), what the vectors count in x and x'.
        score: (m, N+1), what the scores count in s.
    """

    products: np.ndarray
    crossed: np.ndarray
    here: np.ndarray
    velocity: np.ndarray
    score: np.ndarray

    @property
    def rise(self) -> np.ndarray:
        """s·x', (m,)."""
        return inner(self.score, self.crossed, self.velocity)

    @property
    def square(self) -> np.ndarray:
        """|x'|², (m,)."""
        return inner(self.velocity, self.products, self.velocity)


def curve(points: Tensor, scores: Tensor, value: np.ndarray, slope: np.ndarray) -> Curve:
    """Of points and scores (N+1, d), with weights (m, N+1) as Manifold.rates_along has them."""
    vectors = torch.cat([points[:1], points - points[:1]])
    products = (vectors @ vectors.T).cpu().numpy()
    crossed = (scores @ vectors.T).cpu().numpy()
    pad = np.ones((len(value), 1))
    here = np.concatenate([pad, value], axis=1)
    velocity = np.concatenate([0 * pad, slope], axis=1)
    return Curve(products, crossed, here, velocity, value)


def inner(left: np.ndarray, products: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Row by row left·products·right."""
    return ((left @ products) * right).sum(-1)
