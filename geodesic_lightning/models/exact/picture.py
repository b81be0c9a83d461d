"""A path over its density, drawn: in place of decoded frames, and as a still with the reference.

The colour is log p relative to the path's start, in nats, on the plane of chart.py; values far
below what the straight line meets run into the darkest colour. matplotlib is used through its
objects, without pyplot, so that nothing is global, and is loaded at the first picture.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from geodesic_lightning.models.exact.chart import Chart, chart_of
from geodesic_lightning.models.exact.density import Density

__all__ = ["draw", "draw_frames"]

PATH, REFERENCE, STRAIGHT, DARK = "#ffffff", "#ffd23f", "#9fb8d9", "#10131f"
GRID = 112


def _flat(density: Density, points: Tensor) -> Tensor:
    return points.detach().double().cpu().reshape(len(points), density.dimension)


def _straight(density: Density, path: Tensor) -> Tensor:
    ends = path[[0, -1]] if len(path) > 1 else density.ends
    return density.manifold.geodesic(ends[0], ends[1], torch.linspace(0, 1, 65))


def _canvas(pixels: int) -> tuple[Any, Any]:
    """A figure of pixels x pixels and its Agg canvas."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(pixels / 100, pixels / 100), dpi=100, facecolor=DARK)
    return figure, FigureCanvasAgg(figure)


def _pixels(canvas: Any) -> Tensor:
    """What was drawn on the canvas, (3, H, W) float32 in [0, 1]."""
    image = np.asarray(canvas.buffer_rgba())[..., :3]
    return torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 255


def _window(chart: Chart, curves: list[Tensor]) -> tuple[float, float, float, float]:
    """A square (left, right, bottom, top) around all curves, with a margin."""
    if chart.density.dimension == 2 and chart.density.guide is not None:
        curves = [*curves, chart.density.guide]
    xy = chart.coordinates(torch.cat(curves))
    low, high = xy.min(0).values, xy.max(0).values
    middle, half = (low + high) / 2, 0.68 * float((high - low).max())
    return (
        float(middle[0]) - half,
        float(middle[0]) + half,
        float(middle[1]) - half,
        float(middle[1]) + half,
    )


def _backdrop(axes: Any, chart: Chart, path: Tensor, straight: Tensor, window: tuple) -> Any:
    """log p relative to the start as a filled picture with thin level lines; returns the image."""
    left, right, bottom, top = window
    x = torch.linspace(left, right, GRID, dtype=torch.float64)
    y = torch.linspace(bottom, top, GRID, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).reshape(-1, 2)
    parts = [chart.density.log_density(chart.points(part)) for part in grid.split(4096)]
    values = torch.cat(parts).reshape(GRID, GRID) - chart.density.log_density(path[:1])
    line = chart.density.log_density(straight) - chart.density.log_density(path[:1])
    # Somebody's own density may be 0 or undefined away from the path.
    low = float(line[line.isfinite()].min())
    high = max(float(values[values.isfinite()].max()), low + 1e-6)
    low -= 0.5 * (high - low)
    heights = values.nan_to_num(low, high, low).clamp(low, high).numpy()
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    axes.set_aspect("equal")
    thin = {"colors": "white", "linewidths": 0.5, "linestyles": "-", "alpha": 0.18}
    axes.contour(x, y, heights, levels=12, **thin)
    return axes.imshow(
        heights,
        extent=window,
        origin="lower",
        cmap=_colours(),
        vmin=low,
        vmax=high,
        interpolation="bicubic",
    )


def _colours() -> Any:
    """Magma without its palest fifth, so that a white path stays legible on the highest density."""
    import matplotlib
    from matplotlib.colors import ListedColormap

    return ListedColormap(matplotlib.colormaps["magma"](np.linspace(0.03, 0.8, 256)))


def _line(
    axes: Any, xy: np.ndarray, colour: str, width: float, style: Any = "-", **more: Any
) -> Any:
    """A line with a dark edge."""
    from matplotlib.patheffects import Normal, Stroke

    (line,) = axes.plot(xy[:, 0], xy[:, 1], color=colour, lw=width, ls=style, **more)
    line.set_path_effects([Stroke(linewidth=width + 1.6, foreground=DARK, alpha=0.7), Normal()])
    return line


def draw_frames(density: Density, points: Tensor, pixels: int = 256) -> Tensor:
    """Pictures (n, 3, pixels, pixels) in [0, 1]: the path of all points (n, d), the i-th marked."""
    path = _flat(density, points)
    chart, straight = chart_of(density, path), _straight(density, path)
    figure, canvas = _canvas(pixels)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    _backdrop(axes, chart, path, straight, _window(chart, [path, straight]))
    xy = chart.coordinates(path).numpy()
    _line(axes, xy, PATH, 1.6)
    axes.plot(*xy[[0, -1]].T, "o", ms=4, mfc=DARK, mec=PATH, mew=1.2)
    (marker,) = axes.plot([], [], "o", ms=9, mfc=REFERENCE, mec=DARK, mew=1.2, animated=True)
    canvas.draw()
    unmarked = canvas.copy_from_bbox(figure.bbox)
    frames = []
    for place in xy:
        canvas.restore_region(unmarked)
        marker.set_data([place[0]], [place[1]])
        axes.draw_artist(marker)
        frames.append(_pixels(canvas))
    return torch.stack(frames)


def draw(
    density: Density, points: Tensor, reference: Tensor | None = None, pixels: int = 512
) -> Tensor:
    """A still (3, pixels, pixels) in [0, 1]: path (n, d), reference (m, d) and straight start."""
    path = _flat(density, points)
    known = None if reference is None else _flat(density, reference)
    straight = _straight(density, path)
    curves = [path, straight] if known is None else [path, straight, known]
    chart = chart_of(density, path if known is None else known)
    figure, canvas = _canvas(pixels)
    axes = figure.add_axes((0.02, 0.12, 0.86, 0.8))
    axes.set(xticks=[], yticks=[])
    image = _backdrop(axes, chart, path, straight, _window(chart, curves))

    xy = [chart.coordinates(curve).numpy() for curve in curves]
    _line(axes, xy[1], STRAIGHT, 1.2, (0, (1, 2)), label="straight start")
    if known is not None:
        _line(axes, xy[2], REFERENCE, 5.5, label="reference")
    _line(axes, xy[0], PATH, 1.4, marker="o", ms=3.6, mec=DARK, mew=0.6, label="path")
    axes.plot(*xy[0][[0, -1]].T, "o", ms=7, mfc=DARK, mec=PATH, mew=1.6)

    dimension = density.dimension
    place = "the plane" if dimension == 2 else f"a plane through the ends, d = {dimension}"
    figure.text(0.02, 0.945, f"{density.name}", color="white", size=12, weight="bold")
    figure.text(0.88, 0.945, place, color=STRAIGHT, size=8, ha="right")
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc="lower center",
        bbox_to_anchor=(0.45, 0.025),
        ncols=3,
        frameon=False,
        labelcolor="white",
        fontsize=9,
    )
    bar = figure.colorbar(image, cax=figure.add_axes((0.895, 0.12, 0.025, 0.8)))
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors="white", labelsize=7, length=0, pad=2)
    figure.text(0.98, 0.06, "log p, nats", color="white", size=8, ha="right")
    canvas.draw()
    return _pixels(canvas)
