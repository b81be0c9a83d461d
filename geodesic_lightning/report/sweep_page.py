"""index.html: a sweep's runs in a table that sorts, with thumbnails and small multiples."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from geodesic_lightning.report import run_settings
from geodesic_lightning.report.charts import Line, chart
from geodesic_lightning.report.run_page import encoded, template

MARK = "<!-- geodesic-lightning index -->"
WIDTH = 360  # px of a thumbnail
COLUMNS = (
    "run",
    "settings",
    "length",
    "log density",
    "evaluations",
    "passes",
    "seconds",
    "converged",
)


def write(sweep: Path) -> Path:
    """The page of all runs below the sweep's folder; returns its path.

    Raises:
        UserError: no runs, or an index.html that is not this program's.
    """
    from geodesic_lightning.errors import UserError
    from geodesic_lightning.report.files import write_text

    page = sweep / "index.html"
    if page.exists() and MARK not in page.read_text(encoding="utf-8")[:200]:
        raise UserError(f"{page} is another page: nothing is overwritten, move it first.")
    folders = sorted(
        run_settings.run_folders(sweep) | {file.parent for file in sweep.glob("**/failed.json")},
        key=_natural,
    )
    folders = [
        f for f in folders if f != sweep and "unfinished" not in f.relative_to(sweep).as_posix()
    ]
    if not folders:
        raise UserError(f"{sweep} holds no runs: give the folder of a sweep.")
    write_text(page, render(sweep.name, [entry(sweep, folder) for folder in folders]))
    return page


def entry(sweep: Path, folder: Path) -> dict[str, Any]:
    """What the page says of one run; of one that failed, why."""
    found: dict[str, Any] = {
        "name": folder.relative_to(sweep).as_posix(),
        "words": run_settings.overrides(folder) or [],
    }
    failed = folder / "failed.json"
    if failed.exists():
        why = json.loads(failed.read_text(encoding="utf-8"))
        found["error"] = why["error"]
        found["words"] = found["words"] or [why["overrides"]]
    if (folder / "summary.json").exists():
        found["summary"] = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    if (folder / "report.html").exists():
        found["link"] = f"{found['name']}/report.html"
    found["thumbnail"] = thumbnail(folder / "strip.png")
    return found


def render(title: str, entries: Sequence[Mapping[str, Any]]) -> str:
    """The page of entries."""
    words = [set(one["words"]) for one in entries]
    shared = set.intersection(*words)
    runs = [
        {
            **one,
            "settings": " ".join(w for w in one["words"] if w not in shared),
            "cells": cells(one),
        }
        for one in entries
    ]
    finished = [one for one in runs if "summary" in one]
    return template("index.html.j2").render(
        mark=MARK,
        title=f"Sweep {title}",
        shared=" ".join(w for w in entries[0]["words"] if w in shared),
        columns=COLUMNS,
        runs=runs,
        charts=[multiple(one) for one in finished[:60]],
        failed=sum("summary" not in one for one in runs),
    )


def cells(one: Mapping[str, Any]) -> list[tuple[str, float | str]]:
    """Text and key to sort by of the columns after the settings."""
    if "summary" not in one:
        return [("–", "")] * (len(COLUMNS) - 2)
    s = one["summary"]
    density, seconds = fmean(s["log_density"]), s["seconds"].get("total", 0.0)
    return [
        (f"{s['length']:.4g}", s["length"]),
        (f"{density:+.4g}", density),
        (f"{s['score_evaluations']:,}", s["score_evaluations"]),
        (f"{s['unet_evaluations']:,}", s["unet_evaluations"]),
        (f"{seconds:.1f}", seconds),
        ("yes" if s["converged"] else "no", str(s["converged"])),
    ]


def multiple(one: Mapping[str, Any]) -> str:
    """One run's log density over u, small."""
    s = one["summary"]
    lines = [Line(s["solver"], s["u"], s["log_density"])]
    if len(s.get("log_density_start", ())) == len(s["u"]):
        lines.append(Line("start", s["u"], s["log_density_start"], dotted=True))
    if len(s["log_density"]) != len(s["u"]):
        lines = []
    return chart(lines, f"{one['name']}: log density", size=(2.8, 1.9))


def thumbnail(file: Path) -> str | None:
    """A strip made small, as a data URI."""
    if not file.exists():
        return None
    from PIL import Image

    with Image.open(file) as strip:
        small = strip.convert("RGB")
    frames = max(1, round(small.width / small.height))
    side = small.height
    chosen = [round(k * (frames - 1) / 4) for k in range(5)] if frames > 5 else range(frames)
    row = Image.new("RGB", (side * len(chosen), side), "white")
    step = (small.width - side) / max(1, frames - 1)
    for place, k in enumerate(chosen):
        left = round(k * step)
        row.paste(small.crop((left, 0, left + side, side)), (place * side, 0))
    row.thumbnail((WIDTH, WIDTH))
    data = io.BytesIO()
    row.save(data, "JPEG", quality=85)
    return encoded(data.getvalue(), "image/jpeg")


def _natural(folder: Path) -> tuple:
    """Job 10 after job 9."""
    return tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in folder.parts)
