"""Re-timing: which places on the path the frames of a film show, so that something grows evenly
along it.

Let q(u) be a quantity that never falls along the path, q(0) = 0. Frames at the places q⁻¹(j q(1)/(m
− 1)), j = 0 … m − 1, share it evenly:

    u                    q = u: the distance along the path in latent units, as it is
    metric_length        q = ∫ |γ'| p(γ)^(−α) du: slow where the density is low
    perceptual           q = Σ d(f_j, f_{j−1}) over the film's own frames f, d as in perceptual.py
    beta                 q the distribution function of the Beta distribution nearest to
                         Σ d(f_j, f_{j−1}) (AID: He et al., 2024, who add frames one by one)

The last two are known only after decoding: places are found from rough films, of a few passes a frame, and the
film itself is decoded where they say. A jump between two frames hides where it happens: another round
looks into it.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geodesic_lightning.decoding.perceptual import Perceptual, check_installed
from geodesic_lightning.errors import UserError
from geodesic_lightning.protocols import AnyPath

__all__ = [
    "BetaPrior",
    "EvenInDistance",
    "EvenInMetricLength",
    "EvenlyPerceived",
    "Timing",
    "inverse",
    "snapped",
]


def inverse(knots: np.ndarray, quantity: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Places where a quantity (n,) that never falls, known at increasing knots (n,), has the given
    shares of its last.

    Piecewise linear; the first and the last knot belong to shares 0 and 1 exactly. A quantity that
    does not grow at all is taken to grow evenly.
    """
    if not quantity[-1] > quantity[0]:
        quantity = knots
    # A sliver of even growth keeps the inverse single-valued where the quantity stands still.
    grown = (quantity - quantity[0]) / (quantity[-1] - quantity[0])
    even = (knots - knots[0]) / (knots[-1] - knots[0])
    return np.interp(shares, (1 - 1e-9) * grown + 1e-9 * even, knots)


class Timing(ABC):
    """From even shares of the film to places on the path."""

    name: str

    @abstractmethod
    def __call__(self, shares: Tensor, solver: Any) -> Tensor:
        """Places (m,) for shares (m,) of the film, both increasing in [0, 1].

        Args:
            solver: with `path`, `measurement` (after validation) and `decoder`.
        """


class EvenInDistance(Timing):
    """retime=u: frames at equal distances along the path."""

    name = "u"

    def __call__(self, shares: Tensor, solver: Any) -> Tensor:
        return along(solver.path, shares)


class EvenInMetricLength(Timing):
    """retime=metric_length: frames at equal lengths in the metric p^(−α)|dx|."""

    name = "metric_length"

    def __call__(self, shares: Tensor, solver: Any) -> Tensor:
        found = solver.measurement
        u, speed = found.u.numpy(), found.metric_speed.numpy()
        length = np.concatenate([[0.0], np.cumsum((speed[1:] + speed[:-1]) / 2 * np.diff(u))])
        return along(solver.path, torch.from_numpy(inverse(u, length, shares.double().numpy())))


class EvenlyPerceived(Timing):
    """retime=perceptual: frames that differ equally to the eye.

    Args:
        perceptual: what a difference is measured by.
        rounds: how often a rough film is decoded and its places moved, each time from the last ones.

    Raises:
        UserError: no round, or the package of its weights is not installed.
    """

    name = "perceptual"

    def __init__(self, perceptual: Perceptual, rounds: int = 1) -> None:
        if rounds < 1:
            raise UserError(f"retime.rounds: got {rounds}, expected at least 1.")
        check_installed(perceptual)
        self.perceptual, self.rounds = perceptual, rounds

    def __call__(self, shares: Tensor, solver: Any) -> Tensor:
        even, found = shares.double().numpy(), shares
        for _ in range(self.rounds):
            q = travelled(self.perceptual, solver, found.to(shares))
            found = torch.from_numpy(inverse(found.double().numpy(), q, even))
        return along(solver.path, found)


class BetaPrior(Timing):
    """retime=beta: places are quantiles of a Beta distribution that is fitted to the film.

    Least squares between the distribution's function at even places and the share of the film's
    whole difference that lies before them.

    Args:
        perceptual: what a difference is measured by.

    Raises:
        UserError: the package of its weights is not installed.
    """

    name = "beta"

    def __init__(self, perceptual: Perceptual) -> None:
        check_installed(perceptual)
        self.perceptual = perceptual

    def __call__(self, shares: Tensor, solver: Any) -> Tensor:
        from geodesic_lightning.decoding.beta import (  # late: scipy's distributions take a while
            fitted,
            quantile,
        )

        even = shares.double()
        a, b = fitted(even.numpy(), travelled(self.perceptual, solver, shares))
        return along(solver.path, quantile(even, a, b))


def travelled(perceptual: Perceptual, solver: Any, shares: Tensor) -> np.ndarray:
    """Σ d(f_j, f_{j−1}) up to each frame of the film at these shares of the distance: (m,), from 0."""
    film = solver.rough(along(solver.path, shares).to(shares))
    moved = perceptual(solver.problem.score.model, film).sqrt().numpy()
    return np.concatenate([[0.0], np.cumsum(moved)])


def snapped(places: Tensor, stops: Tensor) -> Tensor:
    """Places (m,) with the nearest one to each of the stops put on it, so that a film shows them.

    A frame moves by at most half the way to its neighbours. Where there are too few frames for all
    stops they stay as they are.
    """
    nearest = (places[:, None] - stops.to(places)).abs().argmin(0)
    if len(nearest.unique()) < len(nearest):
        return places
    found = places.clone()
    found[nearest] = stops.to(places)
    return found


def along(path: AnyPath, shares: Tensor) -> Tensor:
    """Places on the path at these parts of its distance; a path of one piece has u for both."""
    return path.by_distance(shares)
