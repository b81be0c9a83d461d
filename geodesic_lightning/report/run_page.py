"""report.html: one run on one page."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from statistics import fmean
from typing import TYPE_CHECKING, Any

from geodesic_lightning.report.charts import Line, chart
from geodesic_lightning.report.summary_rows import length

if TYPE_CHECKING:
    from jinja2 import Template

    from geodesic_lightning.functional.quadrature import Measurement


@dataclass(frozen=True)
class Film:
    """A film, mp4 or gif, and what it shows."""

    name: str
    mp4: bytes

    @property
    def kind(self) -> str:
        """Its media type: a gif is what is written where there is no ffmpeg."""
        return "image/gif" if self.mp4.startswith(b"GIF8") else "video/mp4"


@dataclass(frozen=True)
class Run:
    """What a page tells.

    Attributes:
        summary: of the solver, as in summary.json.
        command: that makes the run again, "" where it was not started from a command line.
        films: the path's, and one to compare it with if there is one.
        strip: PNG of all frames; picture: PNG of an exact density's; either may be None.
        first: curves of the path that solving started from: u, log_density, metric_speed, residual.
        first_name: what that path is.
        history: reports of all steps.
    """

    summary: Mapping[str, Any]
    command: str = ""
    films: Sequence[Film] = ()
    strip: bytes | None = None
    picture: bytes | None = None
    first: Mapping[str, Sequence[float]] = field(default_factory=dict)
    first_name: str = "start"
    history: Sequence[Mapping[str, float]] = ()


def render(run: Run) -> str:
    """The page, one string of HTML that refers to nothing outside itself."""
    return template("run.html.j2").render(
        title=f"{run.summary['solver']} · {run.summary.get('model', '')}",
        warning=run.summary.get("not_converged"),
        command=run.command,
        films=[
            {"name": film.name, "kind": film.kind, "data": encoded(film.mp4, film.kind)}
            for film in run.films
        ],
        strip=run.strip and encoded(run.strip, "image/png"),
        picture=run.picture and encoded(run.picture, "image/png"),
        charts=charts(run),
        rows=list(rows(run.summary)),
    )


def first_curves(start: Measurement | None) -> dict[str, list[float]]:
    """Curves of the path that solving started from, as Run.first has them; {} where it was not measured."""
    if start is None:
        return {}
    return {
        "u": start.u.tolist(),
        "log_density": start.log_density.tolist(),
        "metric_speed": start.metric_speed.tolist(),
        "residual": start.turning.tolist(),
    }


def charts(run: Run) -> list[str]:
    """Inline SVGs of whatever there is to draw."""
    summary, first = run.summary, run.first
    name, found = str(summary["solver"]), []
    u = summary["u"]
    for key, title in (("log_density", "Log density, nats"), ("metric_speed", "Metric speed")):
        if len(summary.get(key, ())) == len(u):
            lines = [Line(name, u, summary[key])]
            if first:
                lines.append(Line(run.first_name, first["u"], first[key], dotted=True))
            found.append(chart(lines, title))
    if len(summary.get("residual", ())) == len(u) - 2 > 0:
        lines = [Line(name, u[1:-1], summary["residual"])]
        if first:
            lines.append(Line(run.first_name, first["u"][1:-1], first["residual"], dotted=True))
        found.append(chart(lines, "Geodesic residual, radians"))
    steps = [one for one in run.history if "length" in one and "score_evaluations" in one]
    if len(steps) > 1:
        spent = [one["score_evaluations"] for one in steps]
        lengths = [Line("length", spent, [one["length"] for one in steps])]
        found.append(chart(lengths, "Length while solving", x="score evaluations"))
    excess = [(one["score_evaluations"], one["predicted_excess"]) for one in run.history
              if one.get("predicted_excess", 0) > 0]  # fmt: skip
    if len(excess) > 1:
        at, foreseen = zip(*excess)
        line = Line("predicted excess", at, foreseen)
        found.append(chart([line], "Predicted excess of length", x="score evaluations", log=True))
    return found


def rows(summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Names and values of the summary's table."""
    bends = ("strength", "alpha")
    for name in ("solver", "model", "weights", "score", *bends, "segments", "frames", "seed"):
        if name in bends and name in summary:
            yield name, f"{summary[name]:.4g}"
        elif summary.get(name) is not None:
            yield name, f"{summary[name]}"
    yield "length", length(summary)
    if summary.get("length_reference_error") is not None:
        yield "excess over the known geodesic", f"{summary['length_reference_error']:+.3%}"
    gain = fmean(summary["log_density"]) - fmean(summary["log_density_start"])
    yield (
        "mean log density",
        f"{fmean(summary['log_density']):+.4g} nats, {gain:+.4g} against the start",
    )
    yield "converged", "yes" if summary["converged"] else "no"
    yield "score evaluations", f"{summary['score_evaluations']:,}"
    each = summary.get("unet_evaluations_by_stage", {})
    spent = ", ".join(f"{stage} {count:,}" for stage, count in each.items())
    yield "network passes", f"{summary['unet_evaluations']:,}" + (f": {spent}" if spent else "")
    for name, value in summary.get("measures", {}).items():
        yield name, f"{value:.4g}"
    seconds = summary.get("seconds", {})
    yield "seconds", ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())


def encoded(data: bytes, kind: str) -> str:
    """A data URI."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


@cache
def template(name: str) -> Template:
    """A template of this package; what is put in is escaped."""
    from jinja2 import Environment, PackageLoader, select_autoescape

    loader = PackageLoader("geodesic_lightning.report", "templates")
    environment = Environment(
        loader=loader,
        autoescape=select_autoescape(("html", "j2")),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
