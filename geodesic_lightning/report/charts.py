"""Curves as inline SVG whose colours are the page's, so that they are read by day and by night."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# Colours that stand for CSS variables until the picture is written.
INK, GRID = "#010203", "#040506"
SERIES = ("#070809", "#0a0b0c", "#0d0e0f", "#101112")
VARIABLES = {INK: "--ink", GRID: "--line"} | {c: f"--series-{k}" for k, c in enumerate(SERIES, 1)}


@dataclass(frozen=True)
class Line:
    """A curve: its name, abscissae and ordinates; dotted ones are to compare with."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    dotted: bool = False


def chart(
    lines: Sequence[Line], title: str, x: str = "u", log: bool = False, size: tuple = (4.2, 2.7)
) -> str:
    """<svg> of the lines, which has a title for those who do not see it."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    style: Any = {
        "svg.fonttype": "none", "svg.hashsalt": title, "font.family": "sans-serif", "font.size": 8.5,
        "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK,
        "ytick.color": INK, "axes.unicode_minus": True,
    }  # fmt: skip
    with rc_context(style):
        figure = Figure(figsize=size)
        FigureCanvasSVG(figure)
        # Room for labels as they come: a layout that looks for it draws everything twice.
        figure.subplots_adjust(left=0.15, right=0.97, top=0.89, bottom=0.17)
        axes = figure.subplots()
        for line, colour in zip(lines, SERIES):
            dash = ":" if line.dotted else "-"
            axes.plot(line.x, line.y, dash, color=colour, lw=1.8, label=line.name)
        if log and any(value > 0 for line in lines for value in line.y):
            axes.set_yscale("log")
        axes.set_title(title, fontsize=9.5, color=INK)
        axes.set_xlabel(x)
        axes.grid(color=GRID, lw=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        if len(lines) > 1:
            axes.legend(frameon=False, fontsize=8)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    return _inline(text.getvalue(), title)


def _inline(text: str, title: str) -> str:
    """The <svg> alone, its colours variables, its names its own, its size the page's."""
    text = text[text.index("<svg") :]
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    own = re.sub(r"\W+", "-", title)
    text = re.sub(r'id="', f'id="{own}-', text)
    text = re.sub(r"url\(#", f"url(#{own}-", text)
    text = re.sub(r'xlink:href="#', f'xlink:href="#{own}-', text)
    return text.replace("<svg", '<svg role="img"', 1).replace(">", f"><title>{title}</title>", 1)
