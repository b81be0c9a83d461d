"""A matrix of distances and the map it draws, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geodesic_lightning.distance.embedding import Embedding
from geodesic_lightning.distance.normalization import Distances

__all__ = ["draw"]

SHOWN = 24  # images more than which cells have no numbers


def draw(
    found: Distances, plane: Embedding, names: Sequence[str], images: Tensor | None = None
) -> Tensor:
    """A picture (3, H, W) in [0, 1]: the matrix, and the plane with the images (n, 3, h, w)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5.2), dpi=110, layout="tight")
    canvas = FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.1))
    _matrix(figure, left, found.matrix.numpy(), names)
    _plane(right, plane, names, images)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255


def _matrix(figure: Any, axes: Any, matrix: np.ndarray, names: Sequence[str]) -> None:
    shown = axes.imshow(matrix, cmap="Blues", vmin=0)
    figure.colorbar(shown, ax=axes, shrink=0.8)
    axes.set_title("distance", fontsize=10)
    places = range(len(names))
    axes.set_xticks(places, names, rotation=40, ha="right", fontsize=7)
    axes.set_yticks(places, names, fontsize=7)
    if len(names) > SHOWN:
        return
    for i in places:
        for j in places:
            dark = matrix[i, j] > 0.6 * matrix.max()
            colour = "white" if dark else "#333a48"
            axes.text(
                j, i, f"{matrix[i, j]:.3g}", ha="center", va="center", fontsize=6, color=colour
            )


def _plane(axes: Any, plane: Embedding, names: Sequence[str], images: Tensor | None) -> None:
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    xy = plane.points.numpy()
    axes.scatter(xy[:, 0], xy[:, 1], s=18, color="#1f4e9c", zorder=3)
    for k, (place, name) in enumerate(zip(xy, names)):
        if images is not None:
            picture = images[k].permute(1, 2, 0).clamp(0, 1).numpy()
            zoom = 44 / max(picture.shape[:2])
            axes.add_artist(AnnotationBbox(OffsetImage(picture, zoom=zoom), place, frameon=False))
        axes.annotate(
            name,
            place,
            (0, -30 if images is not None else -10),
            textcoords="offset points",
            ha="center",
            fontsize=7,
        )
    wide = max(float(np.ptp(xy, axis=0).max()), 1e-12)
    for low, high, limit in zip(xy.min(0), xy.max(0), (axes.set_xlim, axes.set_ylim)):
        middle = (low + high) / 2
        limit(middle - 0.62 * wide, middle + 0.62 * wide)
    axes.set_aspect("equal")
    axes.grid(color="#d9dde5", lw=0.6)
    axes.tick_params(labelsize=7, length=2)
    axes.set_title(
        f"classical scaling: the plane shows {plane.explained:.0%}, {plane.curved:.0%} is curved",
        fontsize=10,
    )
