"""What is said of a clip: the numbers, one paragraph, and three plots.

The paragraph answers three questions: is the clip as short as the geodesic between its ends, do its
bends follow the density, and where does it leave the geodesic. Lengths are compared in the metric
p^(−α)|dx|, whole and integrated; bends are compared frame by frame, and feel any trembling of the
frames far more.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geodesic_lightning.report.files import _whole as whole

NEAR, ROUGHLY = (
    0.05,
    0.25,
)  # relative excess of length: below, a clip is near a geodesic, or roughly one
EVEN = 0.25  # spread of the steps relative to their mean
UNBALANCED = 40.0  # percent of bend and pull together
ZIGZAG = 45.0  # degrees between steps above which frames tremble
ALONG, ACROSS = (
    45.0,
    75.0,
)  # degrees between −γ'' and Ps: below, bends follow the density; above, they do not
FINE = 4  # points of a path for each of its nodes, when distances to it are measured


def numbers(solver) -> dict[str, Any]:
    """All that report and summary.json say of a clip; `solver` is a ClipSolver, validated."""
    found, bent = solver.measurement, solver.departure
    lengths = {k: v.measurement.length if v else None for k, v in solver.rivals.items()}
    ratio = {k: found.length / v if v else None for k, v in lengths.items()}
    metric = _metric_steps(found)
    away = distances_to(solver.path.points(), solver.rivals["geodesic"].path)
    geodesic = solver.rivals["geodesic"].measurement.euclidean_length
    degrees = torch.rad2deg(bent.angle)
    excess = found.length / solver.rivals["geodesic"].measurement.length - 1
    widest = int(away.argmax())
    return {
        "frames": solver.numbers,
        "length": found.length,
        "length_error": found.length_error,
        "lengths": lengths,
        "length_over": ratio,
        "excess": excess,
        "verdict": verdict(excess),
        "bend": bent.bend.tolist(),
        "pull": bent.pull.tolist(),
        "residual": bent.residual.tolist(),
        "angle_degrees": degrees.tolist(),
        "angle_median_degrees": float(degrees.median()),
        "imbalance": bent.imbalance,
        "zigzag_degrees": float(torch.rad2deg(bent.zigzag).median()),
        "turning": bent.turning,
        "log_density": found.log_density.tolist(),
        "least_probable": _least_probable(found.log_density, solver.numbers),
        "log_density_rivals": {
            k: v.measurement.log_density.tolist() if v else None for k, v in solver.rivals.items()
        },
        "from_geodesic": (away / geodesic).tolist(),
        "departs_most_at": solver.numbers[widest],
        "departs_most_by": float(away[widest] / geodesic),
        "departs": _stretches(away / geodesic, solver.numbers),
        "pace": (metric / metric.mean()).tolist(),
        "pace_spread": float(metric.std() / metric.mean()),
    }


def verdict(excess: float) -> str:
    """near, roughly or not: by the relative excess of the clip's length over the geodesic's."""
    return "near" if excess < NEAR else "roughly" if excess < ROUGHLY else "not"


def _least_probable(rise: Tensor, frames: list[int]) -> dict[str, Any]:
    """The frame whose log density lies lowest under the line between the ends', in nats."""
    line = torch.lerp(rise[0], rise[-1], torch.linspace(0, 1, len(rise)).to(rise))
    below = line - rise
    return {"frame": frames[int(below.argmax())], "below": float(below.max())}


def _metric_steps(found) -> Tensor:
    """Metric length of each step between frames, (N,)."""
    speed = found.metric_speed
    return (speed[1:] + speed[:-1]) / 2 * found.u.diff()


def distances_to(points: Tensor, path) -> Tensor:
    """Distance of points (n, d) to the nearest point of a path, (n,) float64."""
    u = torch.linspace(0, 1, FINE * path.segments + 1)
    curve = path.at(u).cpu().double()
    a, b = curve[:-1], curve[1:] - curve[:-1]
    near = []
    for part in points.cpu().double().split(256):
        along = ((part[:, None] - a) * b).sum(-1) / b.square().sum(-1).clamp_min(1e-30)
        foot = a + along.clamp(0, 1)[..., None] * b
        near.append((part[:, None] - foot).norm(dim=-1).min(1).values)
    return torch.cat(near).cpu()


def _stretches(away: Tensor, frames: list[int]) -> list[list[int]]:
    """Runs of frames, [first, last], more than half as far from the geodesic as the farthest."""
    far = (away > 0.5 * away.max()).tolist()
    runs, first = [], None
    for i, here in enumerate([*far, False]):
        if here and first is None:
            first = i
        elif not here and first is not None:
            runs.append([frames[first], frames[i - 1]])
            first = None
    return runs


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
    rise = said["log_density"]
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


def write(solver, folder: str | Path) -> Path:
    """folder/report.md and its plots report_bends.png, report_angles.png, report_density.png."""
    folder = Path(folder)
    said = numbers(solver)
    for name, draw in (("bends", _bends), ("angles", _angles), ("density", _density)):
        _plot(folder / f"report_{name}.png", draw, said)
    known = math.isfinite(said["length_error"])
    error = f", the clip's to ± {said['length_error']:.2g}" if known else ""
    text = [
        "# Is this clip a geodesic?\n",
        "\n" + paragraph(said) + "\n\n",
        table(said),
        f"\n{len(said['frames'])} frames; α = {solver.problem.alpha:g} with the field "
        f"{solver.problem.score.field.name}; lengths in the metric p^(−α)|dx|, relative to the "
        f"first frame{error}.\n",
        "\n![bend and pull](report_bends.png)\n",
        "\n![angles](report_angles.png)\n",
        "\n![log density](report_density.png)\n",
    ]
    with whole(folder / "report.md") as temporary:
        temporary.write_text("".join(text), encoding="utf-8")
    return folder / "report.md"


def _plot(path: Path, draw, said: dict[str, Any]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 2.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    draw(axes, said)
    axes.spines[["top", "right"]].set_visible(False)
    with whole(path) as temporary:
        figure.savefig(temporary, format="png")


def _bends(axes, said: dict[str, Any]) -> None:
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


def _angles(axes, said: dict[str, Any]) -> None:
    axes.axhline(90, color="#999999", lw=0.8, ls="--")
    axes.plot(said["frames"][1:-1], said["angle_degrees"], color="#a463f2", lw=1.6)
    axes.set(xlabel="frame", ylabel="degrees", ylim=(0, 180), yticks=[0, 45, 90, 135, 180])
    axes.set_title(
        "Angle between −γ'' and Ps: 0 on a geodesic, 90 by chance", fontsize=9, loc="left"
    )


def _density(axes, said: dict[str, Any]) -> None:
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
