"""Ways to morph × pairs of drawn cats × measures, all through the same frozen model.

A way is a name and the settings that make it; every way is one sweep over the pairs, run by the
command line itself under outputs/benchmark/morphs/<way>/<pair>: interrupt it, start it again, and
what is done is not done again.

Passes are the denoiser's evaluations of one latent in a whole run: inversion, solving, decoding,
and what a way trains. Redraw errors are those of every other inner frame, in per cent of the range
of a pixel; intervals are 95 % bootstrap intervals of the mean over pairs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geodesic_lightning.benchmark import morphs_page
from geodesic_lightning.benchmark.kept import HELD_OUT
from geodesic_lightning.benchmark.markdown import markdown
from geodesic_lightning.errors import UserError
from geodesic_lightning.report import run_settings

PAIRS = HELD_OUT
EVEN = ("retime=perceptual", "retime.rounds=2")
"""Frames that differ equally to the eye, for all ways alike: otherwise a way that jumps has few bad frames."""
OWN_COLOURS = ("decoder.colours=path",)
GUIDED = ("score=guided", "solver.strength=2", *OWN_COLOURS)
STRONGER = ("solver.strength=2",)
"""Chosen on the four hand-made pairs of docs/strength.md, as the default's colours were."""

WAYS: dict[str, tuple[str, ...]] = {
    "lerp": ("solver=lerp",),
    "slerp": ("solver=slerp",),
    "noise_diffusion": ("solver=noise_diffusion",),
    "aid": ("solver=aid",),
    "diffmorpher": ("solver=diffmorpher",),
    "impus": ("solver=impus", "condition.cache=null"),
    "freemorph": ("solver=freemorph",),
    "smooth_diffusion": ("solver=smooth_diffusion",),
    "published": ("solver=bvp", "experiment=paper", "condition.cache=null"),
    "geodesic": ("solver=bvp",),
    "geodesic_stronger": ("solver=bvp", *STRONGER),
    "geodesic_own_colours": ("solver=bvp", *OWN_COLOURS),
    "geodesic_guided": ("solver=bvp", *GUIDED),
    "lerp_even": ("solver=lerp", *EVEN),
    "slerp_even": ("solver=slerp", *EVEN),
    "noise_diffusion_even": ("solver=noise_diffusion", *EVEN),
    "aid_even": ("solver=aid", *EVEN),
    "freemorph_even": ("solver=freemorph", *EVEN),
    "smooth_diffusion_even": ("solver=smooth_diffusion", *EVEN),
    "diffmorpher_even": ("solver=diffmorpher", *EVEN),
    "geodesic_even": ("solver=bvp", *EVEN),
    "geodesic_stronger_even": ("solver=bvp", *STRONGER, *EVEN),
    "geodesic_own_colours_even": ("solver=bvp", *OWN_COLOURS, *EVEN),
    "geodesic_guided_even": ("solver=bvp", *GUIDED, *EVEN),
    "geodesic_attention_even": ("solver=bvp", "decoder=attention_interpolation", *EVEN),
}
DEFAULT = "default"
ABLATIONS: dict[str, tuple[str, ...]] = {
    DEFAULT: (),
    "strength_0.75": ("solver.strength=0.75",),
    "strength_2.5": ("solver.strength=2.5",),
    "manifold_euclidean": ("manifold=euclidean",),
    "manifold_means_and_norm": ("manifold=means_and_norm",),
    "noise_level_0.4": ("scheduler.noise_level=0.4",),
    "noise_level_0.8": ("scheduler.noise_level=0.8",),
    "field_contrast": ("score=contrast",),
    "field_guided": ("score=guided",),
    "sampler_heun": ("scheduler=heun",),
    "segments_8": ("solver.segments=8",),
    "segments_32": ("solver.segments=32",),
    "no_prompts": ("condition=unconditional",),
    "own_colours": OWN_COLOURS,
    "ends_given": ("decoder.ends=given",),
    "ends_decoded": ("decoder.ends=decoded",),
}
"""The default and what becomes of it by one setting, for the benchmark of ablations."""

MEASURES = (
    "ppl_diffmorpher",
    "pdv",
    "aid_smoothness",
    "aid_consistency",
    "fid_inputs",
    "crossfade",
    "log_density",
    "residual",
    "ppl_independent",
    "seam_independent",
    "lightness",
)
SHOWN = {
    "redraw": ("redraw error, %", False, 2),
    "crossfade": ("crossfade", False, 3),
    "ppl_diffmorpher": ("PPL", False, 3),
    "pdv": ("PDV × 10³", False, 2),
    "ppl_independent": ("PPL'", False, 2),
    "seam_independent": ("seam'", False, 2),
    "fid_inputs": ("FID of inputs × 10³", False, 2),
    "log_density": ("log density", True, 0),
    "lightness": ("lightness", True, 3),
    "passes": ("passes", False, 0),
}
"""Columns of the tables: their heading, whether high is good, and digits. PPL' and seam' are by EfficientNet."""
OURS = "geodesic_even"
JUDGED = tuple(name for name in SHOWN if name not in ("log_density", "passes"))
SCALE = {"pdv": 1e3, "fid_inputs": 1e3}


@dataclass(frozen=True)
class Cell:
    """One way on one pair: its measures by name, passes and redraw error among them."""

    way: str
    pair: str
    measures: Mapping[str, float]


def available() -> dict[str, tuple[str, ...]]:
    """The ways whose solver is one of the configuration's."""
    from geodesic_lightning.cli.app import CONF

    solvers = {file.stem for file in (CONF / "solver").glob("*.yaml")}
    return {name: words for name, words in WAYS.items() if words[0].split("=")[1] in solvers}


def sweep(way: str, words: Sequence[str], pairs: Sequence[str], folder: Path) -> None:
    """Run one way over the pairs; jobs that are done are skipped, a failing one is told and left out."""
    command = [
        *(sys.executable, "-m", "geodesic_lightning", "-m", *words),
        *("data=pair_cat", f"data.name={','.join(pairs)}", "callbacks=frames", "logger=none"),
        *("metrics=default", f"metrics.names=[{','.join(MEASURES)}]", "sweep.resume=true"),
        *(f"hydra.sweep.dir={folder / way}", "hydra.sweep.subdir=${data.name}"),
    ]
    # One thread each: two processes with two threads each wait for one another on two cores.
    quiet = os.environ | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, env=quiet)


def cell(way: str, pair: str, folder: Path, redraw: bool = True) -> Cell | None:
    """What a job left, its redraw errors added once; None where it failed."""
    home = folder / way / pair
    if not (home / "summary.json").exists():
        return None
    summary = json.loads((home / "summary.json").read_text(encoding="utf-8"))
    found = measured(summary)
    if redraw:
        found["redraw"] = 100 * float(np.mean(_redrawn(home)))
    return Cell(way, pair, found)


def measured(summary: Mapping) -> dict[str, float]:
    """A job's measures by name, the passes among them."""
    return summary["measures"] | {"passes": float(summary["unet_evaluations"])}


def collected(folder: Path) -> list[Cell]:
    """Every finished job of a sweep over a collection of pairs, as of experiment=morphbench.

    Raises:
        UserError: there is none.
    """
    cells = []
    for file in sorted(folder.glob("*/summary.json")):
        summary = json.loads(file.read_text(encoding="utf-8"))
        data = run_settings.config(file.parent).get("data", {})
        if "number" not in data or "measures" not in summary:
            continue
        pair = str(data["number"])
        cells.append(Cell(summary["solver"], pair, measured(summary)))
    if not cells:
        raise UserError(
            f"--sweep: {folder} holds no measured run of a numbered pair: make some with "
            "experiment=morphbench data.root=<folder>."
        )
    shared = set.intersection(
        *({c.pair for c in cells if c.way == way} for way in {c.way for c in cells})
    )
    if not shared:
        raise UserError(
            f"--sweep: no pair in {folder} is finished for every way: let the sweep go on."
        )
    return [c for c in cells if c.pair in shared]


def _redrawn(home: Path) -> list[float]:
    """Redraw errors of every other inner frame, kept beside the frames."""
    kept = home / "redraw.json"
    if kept.exists():
        return json.loads(kept.read_text(encoding="utf-8"))["errors"]
    import torch
    from PIL import Image

    from geodesic_lightning.models.embedded.redraw import error
    from geodesic_lightning.report.files import write_json

    files = sorted((home / "frames").iterdir())[1:-1][::2]
    pictures = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
    errors = error(torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255).tolist()
    write_json(kept, {"errors": errors})
    return errors


def interval(values: Sequence[float], seed: int = 0, draws: int = 2000) -> tuple[float, float]:
    """The 95 % bootstrap interval of the mean."""
    known = np.asarray(values)
    index = np.random.default_rng(seed).integers(len(known), size=(draws, len(known)))
    low, high = np.percentile(known[index].mean(1), [2.5, 97.5])
    return float(low), float(high)


def paired(cells: Iterable[Cell], way: str, other: str, measure: str) -> tuple[float, float, float]:
    """Mean of way − other over their common pairs, and its 95 % interval."""
    by = {(c.way, c.pair): c.measures[measure] for c in cells}
    common = [pair for w, pair in by if w == way and (other, pair) in by]
    gaps = [by[way, pair] - by[other, pair] for pair in common]
    return float(np.mean(gaps)), *interval(gaps)


def rows(cells: Sequence[Cell]) -> tuple[list[str], list[list[str]]]:
    """Heading and rows: means and half widths of their intervals; the best of a column is bold, and what ties.

    A way ties with the best where the interval of their paired difference holds 0.
    """
    ways = list(dict.fromkeys(c.way for c in cells))
    shown = [name for name in SHOWN if all(name in c.measures for c in cells)]
    columns = {name: _column(cells, ways, name) for name in shown}
    head = ["way", *(SHOWN[name][0] for name in shown)]
    return head, [[way, *(columns[name][way] for name in shown)] for way in ways]


def table(cells: Sequence[Cell]) -> str:
    """`rows` in Markdown."""
    return markdown(*rows(cells))


def differences(
    cells: Sequence[Cell], ours: str, swapped: bool = False
) -> tuple[list[str], list[list[str]]]:
    """Heading and rows: `ours` minus each other way, pair by pair, with 95 % intervals.

    Bold where the way from which the other is subtracted is better beyond its interval.

    Args:
        swapped: each other way minus ours instead, as a setting is compared with the default.
    """
    others = [way for way in dict.fromkeys(c.way for c in cells) if way != ours]
    shown = [name for name in JUDGED if all(name in c.measures for c in cells)]
    body = []
    for way in others:
        first, second = (way, ours) if swapped else (ours, way)
        line = [way]
        for name in shown:
            _, high_wins, digits = SHOWN[name]
            scale = SCALE.get(name, 1.0)
            mean, low, high = (scale * x for x in paired(cells, first, second, name))
            text = f"{mean:+,.{digits}f} [{low:+,.{digits}f}, {high:+,.{digits}f}]"
            line.append(f"**{text}**" if (low > 0 if high_wins else high < 0) else text)
        body.append(line)
    title = f"minus {ours}" if swapped else f"{ours} −"
    return [title, *(SHOWN[name][0] for name in shown)], body


def _column(cells: Sequence[Cell], ways: Sequence[str], measure: str) -> dict[str, str]:
    _, high_wins, digits = SHOWN[measure]
    values = {way: [c.measures[measure] for c in cells if c.way == way] for way in ways}
    best = (max if high_wins else min)(ways, key=lambda way: np.mean(values[way]))
    scale, texts = SCALE.get(measure, 1.0), {}
    for way in ways:
        low, high = interval(values[way])
        text = (
            f"{scale * np.mean(values[way]):,.{digits}f} ± {scale * (high - low) / 2:,.{digits}f}"
        )
        if measure == "passes":
            text = f"{np.mean(values[way]):,.0f}"
        _, least, most = paired(cells, way, best, measure)
        texts[way] = f"**{text}**" if least <= 0 <= most else text
    return texts


def draw(cells: Sequence[Cell], path: Path) -> None:
    """One panel a measure: means with their intervals, a row a way."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    ways = list(dict.fromkeys(c.way for c in cells))[::-1]
    shown = [name for name in SHOWN if all(name in c.measures for c in cells)]
    columns = 4
    rows = -(-len(shown) // columns)
    figure = Figure(
        figsize=(3 * columns, (0.9 + 0.25 * len(ways)) * rows), dpi=110, layout="constrained"
    )
    panels = np.atleast_1d(figure.subplots(rows, columns, sharey=True)).flatten()
    for panel, name in zip(panels, shown):
        for row, way in enumerate(ways):
            values = [SCALE.get(name, 1.0) * c.measures[name] for c in cells if c.way == way]
            mean, (low, high) = np.mean(values), interval(values)
            colour = "#1f4e9c" if way.startswith("geodesic") else "#b07b1e"
            panel.errorbar(
                mean, row, xerr=[[mean - low], [high - mean]], fmt="o", color=colour, ms=4
            )
        panel.set_title(
            f"{SHOWN[name][0]} ({'high' if SHOWN[name][1] else 'low'} is good)", fontsize=8
        )
        panel.set_yticks(range(len(ways)), ways, fontsize=7)
        panel.tick_params(axis="x", labelsize=7)
        panel.grid(alpha=0.3)
    for panel in panels[len(shown) :]:
        panel.set_visible(False)
    FigureCanvasAgg(figure).print_figure(path)


def tables(cells: Sequence[Cell], ours: str = OURS) -> list[tuple[str, list[str], list[list[str]]]]:
    """Title, heading and rows: the ways as their authors have them, re-timed alike, and ours against each.

    Args:
        ours: the re-timed geodesic among ways to morph, or the default among ablations.
    """
    settings = ours == DEFAULT
    found = []
    for title, suffix in (
        ("One setting at a time" if settings else "As published", ""),
        ("Re-timed alike", "_even"),
    ):
        part = [c for c in cells if c.way.endswith("_even") == bool(suffix)]
        ways, mine = {c.way for c in part}, ours.removesuffix("_even") + suffix
        if part:
            found.append((title, *rows(part)))
        if mine in ways and len(ways) > 1:
            against = "each minus the default" if settings else f"{mine} against each"
            found.append((f"{against}, pair by pair", *differences(part, mine, settings)))
    return found


def run(
    ways: Sequence[str],
    pairs: Sequence[str],
    folder: Path,
    redraw: bool = True,
    jobs: int = 1,
    ablations: bool = False,
) -> str:
    """Run what is not done, write cells.json, tables.md, measures.png and page.html into the folder; the tables.

    Args:
        jobs: ways that run side by side.
        ablations: of these rather than of ways to morph.

    Raises:
        UserError: an unknown way, or none that finished.
    """
    from geodesic_lightning.report.files import write_json

    known, ours = (ABLATIONS, DEFAULT) if ablations else (available(), OURS)
    if unknown := [way for way in ways if way not in known]:
        raise UserError(f"--ways: got {', '.join(unknown)}, expected some of {', '.join(known)}.")
    cells, chosen = [], list(ways or known)
    with ThreadPoolExecutor(jobs) as pool:  # each waits for a process of its own
        swept = [pool.submit(sweep, way, known[way], pairs, folder) for way in chosen]
        for way, sweeping in zip(chosen, swept):
            sweeping.result()
            done = [cell(way, pair, folder, redraw) for pair in pairs]
            cells += [one for one in done if one is not None]
            print(f"{way}: {sum(one is not None for one in done)} of {len(pairs)}", file=sys.stderr)
    if not cells:
        raise UserError(f"No way finished on any pair; what went wrong stands under {folder}.")
    write_json(
        folder / "cells.json",
        {"cells": [{"way": c.way, "pair": c.pair, **c.measures} for c in cells]},
    )
    found = tables(cells, ours)
    text = "\n\n".join(f"{title}:\n\n{markdown(head, body)}" for title, head, body in found)
    (folder / "tables.md").write_text(text + "\n", encoding="utf-8")
    draw(cells, folder / "measures.png")
    page = morphs_page.render(found, folder / "measures.png", folder, chosen, pairs)
    (folder / "page.html").write_text(page, encoding="utf-8")
    return text
