"""What was measured along a path, drawn over u: log density, metric speed, residual."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from geodesic_lightning.functional.quadrature import Measurement

__all__ = ["draw"]

PATH, START, GRID = "#1f4e9c", "#b9862f", "#d9dde5"


def draw(path: Measurement, start: Measurement | None = None, name: str = "path") -> Tensor:
    """A picture (3, H, W) in [0, 1] of three panels; the start is dotted. Needs no display.

    The band about log p is its error estimate. Metric speed |γ'|p^(−α) is per unit of u at even
    Euclidean speed, so it is the index times the Euclidean length. The residual is the turning
    that the density does not explain, in degrees over the whole path: 0 on a geodesic.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.2), dpi=110)
    figure.subplots_adjust(left=0.045, right=0.99, bottom=0.135, top=0.91, wspace=0.15)
    canvas = FigureCanvasAgg(figure)
    panels = figure.subplots(1, 3)
    titles = ("log density, nats", "metric speed", "residual, degrees")
    shown = [(path, PATH, "-", name)]
    if start is not None:
        shown.append((start, START, ":", "start"))
    for measured, colour, style, label in shown:
        u = measured.u.numpy()
        for panel, (at, values) in zip(panels, _lines(measured)):
            marker = "." if measured is path and len(u) < 40 else ""
            panel.plot(u[at], values, style, color=colour, lw=1.6, marker=marker, label=label)
        error = measured.log_density_error
        if np.isfinite(error):
            density = measured.log_density.numpy()
            panels[0].fill_between(u, density - error, density + error, color=colour, alpha=0.15)
    for panel, title in zip(panels, titles):
        panel.set_title(title, fontsize=10)
        panel.set_xlabel("u", fontsize=9)
        panel.grid(color=GRID, lw=0.6)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8, length=2)
    panels[0].legend(frameon=False, fontsize=9)
    panels[1].set_ylim(bottom=0)
    panels[2].set_ylim(bottom=0)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255


def _lines(measured: Measurement) -> list[tuple[slice, np.ndarray]]:
    """The places (a slice of u) and values of each panel."""
    degrees = torch.rad2deg(measured.turning)
    return [
        (slice(None), measured.log_density.numpy()),
        (slice(None), measured.metric_speed.numpy()),
        (slice(1, -1), degrees.numpy()),
    ]
