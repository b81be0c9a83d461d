"""What is said of a clip, for reading: one paragraph and three plots of the numbers in its summary.

The paragraph answers three questions: is the clip as short as the geodesic between its ends, do its
bends follow the density, and where does it leave the geodesic. Lengths are compared in the metric
p^(−α)|dx|, whole and integrated; bends are compared frame by frame, and feel any trembling of the
frames far more.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from geodesic_lightning.report.files import _whole as whole

EVEN = 0.25  # spread of the steps relative to their mean
UNBALANCED = 40.0  # percent of bend and pull together
ZIGZAG = 45.0  # degrees between steps above which frames tremble
ALONG, ACROSS = (
    45.0,
    75.0,
)  # degrees between −γ'' and Ps: below, bends follow the density; above, they do not


def paragraph(said: dict[str, Any]) -> str:
    """The answer in plain words."""
    over = said["length_over"]
    excess = 100 * said["excess"]
    how = {
        "near": "The clip is near a geodesic",
        "roughly": "The clip roughly follows a geodesic",
        "not": "The clip is not near a geodesic",
    }[said["verdict"]]
    size = f"{abs(excess):.1f} % {'longer' if excess >= 0 else 'shorter'} than"
    if excess > 100:
        size = f"{over['geodesic']:.1f} times as long as"
    text = [f"{how}: it is {size} the geodesic found between its first and last frame"]
    others = [
        f"{over[way]:.2f} times the {name}"
        for way, name in (("slerp", "great circle"), ("lerp", "straight line"))
        if over[way]
    ]
    text[0] += f", and {' and '.join(others)}." if others else "."
    away = 100 * said["departs_most_by"]
    runs = ", ".join(f"{a}–{b}" if a != b else f"{a}" for a, b in said["departs"])
    if said["verdict"] == "near" and away < 5:
        text.append(f"No frame is farther from that geodesic than {away:.1f} % of its length.")
    else:
        text.append(
            f"It departs most at frame {said['departs_most_at']}, {away:.0f} % of the geodesic's "
            "length away "
            f"from it; frames {runs} are more than half as far."
        )
    angle, share = said["angle_median_degrees"], 100 * said["imbalance"]
    if angle < ALONG and share < UNBALANCED:
        text.append(
            "Its bends follow the density: the median angle between −γ'' and Ps is "
            f"{angle:.0f}°, and bend and pull leave {share:.0f} % of each other unbalanced."
        )
    elif angle < ALONG:
        text.append(
            "At most frames it bends the way the density asks (the median angle between −γ'' and "
            f"Ps is {angle:.0f}°), "
            f"but not as much, or not everywhere: bend and pull leave {share:.0f} % of each other "
            "unbalanced."
        )
    elif angle < ACROSS:
        text.append(
            "Its bends follow the density in part: the median angle between −γ'' and Ps is "
            f"{angle:.0f}° (90° would "
            "be chance)."
        )
    else:
        text.append(
            "Its bends have little to do with the density, frame by frame: the median angle "
            "between "
            f"−γ'' and Ps is {angle:.0f}° (90° is chance)."
        )
    if said["zigzag_degrees"] > ZIGZAG:
        text.append(
            f"Its frames tremble: each step leaves {said['zigzag_degrees']:.0f}° from the last, "
            "more "
            "than a path sampled as finely as its motion would, which lengthens it and hides its "
            "bends."
        )
    low, high = min(said["pace"]), max(said["pace"])
    even = "even" if said["pace_spread"] < EVEN else "uneven"
    text.append(
        f"Its pace is {even}: in the metric its steps are {low:.2f} to {high:.2f} times their mean."
    )
    rise, least = said["log_density"], said["least_probable"]
    text.append(
        f"The log density goes from {min(rise):+.1f} to {max(rise):+.1f} nats along it, relative "
        "to its "
        f"first frame; frame {least['frame']} lies lowest under the line between its ends, by "
        f"{least['below']:.1f} nats."
    )
    return " ".join(text)


def table(said: dict[str, Any]) -> str:
    """Lengths as a Markdown table."""
    rows = [("clip", said["length"], 1.0)]
    rows += [(k, v, v / said["length"]) for k, v in said["lengths"].items() if v]
    head = "| path | length | over the clip's |\n| --- | ---: | ---: |\n"
    return head + "".join(
        f"| {name} | {length:.4g} | {share:.3f} |\n" for name, length, share in rows
    )


def write(summary: dict[str, Any], folder: str | Path) -> Path:
    """folder/report.md and its plots report_bends.png, report_angles.png, report_density.png.

    Args:
        summary: of a ClipSolver, validated.
    """
    folder = Path(folder)
    said = summary["clip"]
    for name, draw in (("bends", _bends), ("angles", _angles), ("density", _density)):
        _plot(folder / f"report_{name}.png", draw, said)
    known = math.isfinite(said["length_error"])
    error = f", the clip's to ± {said['length_error']:.2g}" if known else ""
    text = [
        "# Is this clip a geodesic?\n",
        "\n" + paragraph(said) + "\n\n",
        table(said),
        f"\n{len(said['frames'])} frames; strength {summary['strength']:.3g}, α = "
        f"{summary['alpha']:.3g} with the field {summary['score']}; lengths in the metric p^(−α)|dx|, relative to the "
        f"first frame{error}.\n",
        "\n![bend and pull](report_bends.png)\n",
        "\n![angles](report_angles.png)\n",
        "\n![log density](report_density.png)\n",
    ]
    with whole(folder / "report.md") as temporary:
        temporary.write_text("".join(text), encoding="utf-8")
    return folder / "report.md"


def _plot(path: Path, draw: Callable[[Any, dict[str, Any]], None], said: dict[str, Any]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 2.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    draw(axes, said)
    axes.spines[["top", "right"]].set_visible(False)
    with whole(path) as temporary:
        figure.savefig(temporary, format="png")


def _bends(axes: Any, said: dict[str, Any]) -> None:
    frames = said["frames"][1:-1]
    for key, colour, label in (
        ("bend", "#4269d0", "bend |Pγ''|/|γ'|²"),
        ("pull", "#3ca951", "pull |αPs|"),
        ("residual", "#ff725c", "what is left, |P(γ''/|γ'|² + αs)|"),
    ):
        axes.plot(frames, said[key], color=colour, lw=1.6, label=label)
    axes.set(xlabel="frame", ylabel="radians a latent unit", ylim=(0, None))
    axes.set_title("A geodesic leaves nothing: bend and pull cancel", fontsize=9, loc="left")
    axes.legend(fontsize=7, frameon=False)


def _angles(axes: Any, said: dict[str, Any]) -> None:
    axes.axhline(90, color="#999999", lw=0.8, ls="--")
    axes.plot(said["frames"][1:-1], said["angle_degrees"], color="#a463f2", lw=1.6)
    axes.set(xlabel="frame", ylabel="degrees", ylim=(0, 180), yticks=[0, 45, 90, 135, 180])
    axes.set_title(
        "Angle between −γ'' and Ps: 0 on a geodesic, 90 by chance", fontsize=9, loc="left"
    )


def _density(axes: Any, said: dict[str, Any]) -> None:
    frames = said["frames"]
    axes.plot(frames, said["log_density"], color="#222222", lw=2, label="clip")
    for (way, values), colour in zip(
        said["log_density_rivals"].items(), ("#ff725c", "#4269d0", "#97bbf5")
    ):
        if values:
            axes.plot(
                np.linspace(frames[0], frames[-1], len(values)),
                values,
                color=colour,
                lw=1.2,
                label=way,
            )
    axes.set(xlabel="frame", ylabel="nats")
    axes.set_title("Log density relative to the first frame", fontsize=9, loc="left")
    axes.legend(fontsize=7, frameon=False)
