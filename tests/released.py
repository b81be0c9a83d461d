"""The paper's scheme, written down again from its description: numpy, a node at a time, the sphere by angles."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from scipy.interpolate import CubicSpline

from geodesic_lightning.geometry.manifold import Sphere


def angle(a, b):
    return np.arccos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1, 1))


def slerp(a, b, u):
    w = angle(a, b)
    return (np.sin((1 - u) * w) * a + np.sin(u * w) * b) / np.sin(w)


def slerp_velocity(a, b, u):
    """d/du of slerp."""
    w = angle(a, b)
    return w * (-np.cos((1 - u) * w) * a + np.cos(u * w) * b) / np.sin(w)


def reject(v, direction):
    return v - direction * (v @ direction) / (direction @ direction)


def natural(x):
    """The natural cubic spline through x (N+1, d) at even places of [0, 1]."""
    return CubicSpline(np.linspace(0, 1, len(x)), x, bc_type="natural")


def terms(x, score, alpha, sphere, spline=None):
    """P s and P γ''/(α|γ'|²) at the interior nodes of x (N+1, d); γ'' of the spline, by default that through x."""
    count = len(x) - 1
    spline = natural(x) if spline is None else spline
    found = []
    for i in range(1, count):
        if sphere:
            before, after = slerp_velocity(x[i - 1], x[i], 1), slerp_velocity(x[i], x[i + 1], 0)
        else:
            before, after = x[i] - x[i - 1], x[i + 1] - x[i]
        velocity = count * (before + after) / 2
        pull, bend = score[i - 1], spline(i / count, 2) / (velocity @ velocity)
        if sphere:
            pull, bend = reject(pull, x[i]), reject(bend, x[i])
        found.append((reject(pull, velocity), reject(bend, velocity) / alpha))
    return (np.array(part) for part in zip(*found))


def release(problem, segments, lr=0.1, iterations=100, end_early=True, begun=None):
    """The whole scheme; yields the points (N+1, d) of each iteration, at last those of the end.

    The spline is fitted at first through the two ends, then after every step.

    Args:
        begun: (points, level, iterations done) of a run to go on with, its spline through all points.
    """
    sphere = isinstance(problem.manifold, Sphere)
    radius = problem.manifold.radius if sphere else None
    if begun is None:
        x = problem.manifold.geodesic(*problem.ends, torch.tensor([0, 0.5, 1.0]).double()).numpy()
        first, k, spline = 1, 0, natural(x[::2])
    else:
        x, first, k = begun
        spline = natural(x)
    level_count = int(np.log2(segments))
    for level in range(first, level_count + 1):
        while k < level * iterations:
            yield x
            score = problem.score(torch.from_numpy(x[1:-1])).numpy()
            pull, bend = terms(x, score, problem.alpha, sphere, spline)
            n = len(pull)
            rate = lr * (1 - k / (level_count * iterations)) / n
            k += 1
            if end_early and (
                np.linalg.norm(pull, axis=1).mean() < np.linalg.norm(bend, axis=1).mean()
            ):
                break
            inner = x[1:-1] + rate * (pull + bend)
            if sphere:
                inner = radius * inner / np.linalg.norm(inner, axis=1, keepdims=True)
            x = np.concatenate([x[:1], inner, x[-1:]])
            spline = natural(x)
        if level < level_count:
            middle = [slerp(a, b, 0.5) if sphere else (a + b) / 2 for a, b in itertools.pairwise(x)]
            wider = np.empty((2 * len(x) - 1, x.shape[1]))
            wider[::2], wider[1::2] = x, middle
            x = wider
    yield x
