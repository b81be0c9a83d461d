"""The dashboard's panels without W&B: `python docs/dashboard.py RUN_FOLDER … [--out picture.webp]`.

Reads metrics.csv and the density charts of runs with logger=default, and draws what the sections
"Solving", "Density along the path" and "Outcome" show (docs/dashboard.md).
"""

import argparse
import csv
import json
from pathlib import Path

import matplotlib.pyplot as plt

from geodesic_lightning.report import run_settings
from geodesic_lightning.solvers.scalars import STEP
from geodesic_lightning.tracking.dashboard import FALLING

BARS = ("length", "log_density", "score_evaluations")


def series(
    folder: Path, key: str, axis: str = "solve/score_evaluations"
) -> list[tuple[float, float]]:
    """Points (axis, key) of the steps that say both."""
    with (folder / "metrics.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [(float(r[axis]), float(r[key])) for r in rows if r.get(axis) and r.get(key)]


def density(folder: Path) -> list[tuple[float, float]]:
    """u and log density of the latest chart of a run."""
    charts = folder.glob("wandb/offline-run-*/files/media/table/density/path_table_*.json")
    last = max(charts, key=lambda file: int(file.name.split("_")[2]))
    return [(u, y) for u, name, y in json.loads(last.read_text("utf-8"))["data"] if name == "path"]


def main() -> None:
    """Draw the runs in one picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/figures/dashboard.webp"))
    given = parser.parse_args()
    plt.rcParams.update({"font.size": 8, "axes.grid": True, "grid.alpha": 0.3})
    figure, axes = plt.subplots(3, 3, figsize=(11, 8), layout="constrained")
    panels = iter(axes.flat)
    names = [run_settings.overrides(folder) or [] for folder in given.runs]
    common = set.intersection(*map(set, names))
    labels = [" ".join(word for word in words if word not in common) for words in names]
    for name in (name for name in STEP if name != "score_evaluations"):
        panel = next(panels)
        for folder, label in zip(given.runs, labels):
            points = series(folder, f"solve/{name}")
            panel.plot(*zip(*points), "o-", ms=3, lw=1, label=label)
        panel.set(title=f"solve/{name}", xlabel="score evaluations")
        if name in FALLING:
            panel.set_yscale("log")
    panel = next(panels)
    for folder, label in zip(given.runs, labels):
        panel.plot(*zip(*density(folder)), label=label)
    panel.set(title="density/path, the outcome", xlabel="u", ylabel="nats")
    for name in BARS:
        panel = next(panels)
        values = [series(folder, f"final/{name}", "step")[-1][1] for folder in given.runs]
        panel.barh(range(len(values)), values, color=[f"C{k}" for k in range(len(values))])
        panel.invert_yaxis()
        panel.set(title=f"final/{name}", yticks=[])
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    figure.savefig(given.out, dpi=110)


if __name__ == "__main__":
    main()
