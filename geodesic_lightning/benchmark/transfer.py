"""Did the default strength carry over to another model? What a sweep over strengths says, as one anonymous file.

    python -m geodesic_lightning experiment=transfer model=sd2 data=pair data.start=a.png … hydra.sweep.dir=transfer
    python -m geodesic_lightning.benchmark.transfer transfer

writes transfer/transfer.json: figures, versions and the names of model, weights and device; no
picture, prompt, path or name of a person or machine. docs/transfer.md says what to look at.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from geodesic_lightning.benchmark.markdown import markdown
from geodesic_lightning.errors import UserError
from geodesic_lightning.geometry.manifold import Sphere
from geodesic_lightning.models.diffusion.loading import HUB_ID
from geodesic_lightning.report.terminal import forgiving

KEPT = (
    "solver", "score", "model", "prediction", "segments", "frames", "strength", "alpha", "length",
    "length_start", "converged", "score_evaluations", "unet_evaluations", "measures", "seconds",
)  # fmt: skip


def bend(file: Path) -> float:
    """Largest distance of a path on a sphere, path.safetensors, from the great circle, over that one's length."""
    found = load_file(file)
    ends, nodes = found["ends"].flatten(1).double(), found["nodes"].flatten(1).double()
    sphere = Sphere(float(ends.norm(dim=-1).mean()))
    ends = sphere.projx(ends)
    first = sphere.geodesic(ends[0], ends[1], torch.linspace(0, 1, len(nodes) + 2).double())
    moved = (nodes - first[1:-1]).norm(dim=-1).max()
    return float(moved / sphere.dist(ends[0], ends[1]))


def row(folder: Path) -> dict[str, Any]:
    """What one job's folder says, without what is anybody's own."""
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    said = {name: summary[name] for name in KEPT if name in summary}
    density = summary["log_density"], summary["log_density_start"]
    gain = sum(density[0]) / len(density[0]) - sum(density[1]) / len(density[1])
    weights = str(summary.get("weights"))
    named = weights if HUB_ID.fullmatch(weights.partition("@")[0]) else None
    return said | {
        "weights": named,  # a repository of the hub; a folder is nobody's business
        "log_density_gain": gain,
        "bend": bend(folder / "path.safetensors"),
        "versions": summary["versions"],
        "noise_level": _noise_level(summary["overrides"]),
    }


def _noise_level(overrides: Any) -> float | None:
    words = overrides if isinstance(overrides, list) else str(overrides).split(",")
    given = [w.split("=")[1] for w in words if w.startswith("scheduler.noise_level=")]
    return float(given[-1]) if given else None


def collected(sweep: Path) -> dict[str, Any]:
    """All jobs of a sweep, weakest first, and the device.

    Raises:
        UserError: there is none.
    """
    jobs = [row(file.parent) for file in sorted(sweep.glob("*/summary.json"))]
    if not jobs:
        raise UserError(
            f"{sweep} holds no finished run: make them with experiment=transfer hydra.sweep.dir={sweep}."
        )
    cuda = torch.cuda.is_available()
    return {
        "device": torch.cuda.get_device_name() if cuda else "CPU",
        "rows": sorted(jobs, key=lambda job: job["strength"]),
    }


def table(found: Mapping[str, Any]) -> str:
    """The rows in Markdown."""
    names = ("ppl_diffmorpher", "pdv", "crossfade", "lightness", "seam")
    head = ("strength", "α", "bend", "gain, nats", "evaluations", "passes", "seconds", *names)
    return markdown(
        head,
        [
            (
                f"{job['strength']:.3g}", f"{job['alpha']:.3g}", f"{job['bend']:.3f}",
                f"{job['log_density_gain']:+.1f}", str(job["score_evaluations"]),
                str(job["unet_evaluations"]), f"{job['seconds']['total']:.0f}",
                *(f"{job['measures'][name]:.3g}" for name in names),
            )
            for job in found["rows"]
        ],
    )  # fmt: skip


def main(words: Sequence[str] | None = None) -> None:
    """Print the table of a sweep's folder, and write its file."""
    from geodesic_lightning.report.files import write_json

    forgiving()
    parser = argparse.ArgumentParser(
        prog="python -m geodesic_lightning.benchmark.transfer",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="of the sweep")
    folder = parser.parse_args(words).folder
    try:
        found = collected(folder)
    except UserError as error:
        sys.exit(f"Error: {error}")
    write_json(folder / "transfer.json", found)
    print(table(found))
    print(f"\n{folder / 'transfer.json'}")


if __name__ == "__main__":
    main()
