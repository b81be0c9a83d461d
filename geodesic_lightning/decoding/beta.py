"""Beta distributions of places in [0, 1]: AID's prior of where a morph changes (He et al., 2024)."""

import numpy as np
import torch
from scipy.optimize import least_squares
from scipy.stats import beta
from torch import Tensor


def quantile(u: Tensor, a: float, b: float) -> Tensor:
    """Where Beta(a, b) has the share u (n,) of its mass below."""
    return torch.from_numpy(beta.ppf(u.cpu().double().numpy(), a, b)).to(u)


def fitted(places: np.ndarray, quantity: np.ndarray) -> tuple[float, float]:
    """(a, b) of the Beta distribution whose function at places (n,) is nearest to a growing quantity (n,)."""
    if not quantity[-1] > quantity[0]:
        return 1.0, 1.0
    grown = (quantity - quantity[0]) / (quantity[-1] - quantity[0])
    # In logarithms a and b stay positive; e^±5 keeps quantiles apart in float64.
    found = least_squares(
        lambda ab: beta.cdf(places, *np.exp(ab)) - grown, np.zeros(2), bounds=(-5.0, 5.0)
    )
    a, b = np.exp(found.x)
    return float(a), float(b)
