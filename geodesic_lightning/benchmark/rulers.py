"""Which rulers agree, over the frames of finished runs (metrics/agreement.py).

    python -m geodesic_lightning.benchmark.rulers outputs/benchmark/morphs/*/*

Folders are those of runs with their frames (callbacks=frames). Rulers beside those of agreement.py:

    step_encoder   d of a frame to both neighbours, by the embedded model's own encoder
    step_network   the same by EfficientNet-Lite0, trained on photographs (the extra rulers)
    redraw         distance from the nearest drawable cat, where the benchmark of morphs has left it
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from geodesic_lightning.benchmark.markdown import markdown
from geodesic_lightning.decoding.perceptual import EfficientNet, embedded
from geodesic_lightning.errors import UserError
from geodesic_lightning.metrics.agreement import Agreement, agreement, readings
from geodesic_lightning.report.terminal import forgiving


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table of agreement over the runs in the folders."""
    forgiving()
    parser = argparse.ArgumentParser(
        prog="python -m geodesic_lightning.benchmark.rulers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folders", nargs="+", type=Path, help="finished runs with their frames/")
    try:
        found = measured(parser.parse_args(arguments).folders)
    except UserError as error:
        sys.exit(str(error))
    print(f"{markdown(*found.table())}\n\nMeans over {found.films.max()} films.")


def measured(folders: Sequence[Path]) -> Agreement:
    """The rulers' agreement over the films in those of these folders that hold a finished run.

    Raises:
        UserError: none does, one has no film of three frames or more, or the extra rulers is missing.
    """
    from geodesic_lightning.models.diffusion import (
        embedded as cats,
    )  # late: diffusers takes a while

    finished = [folder for folder in folders if (folder / "summary.json").is_file()]
    if not finished:
        raise UserError(
            f"{' '.join(map(str, folders))}: got no finished run, expected folders with a summary.json."
        )
    network, model = EfficientNet(), cats()
    films = []
    for folder in finished:
        frames = film(folder)
        steps = {
            "step_encoder": embedded(model, frames).sqrt(),
            "step_network": network(model, frames).sqrt(),
        }
        films.append(readings(frames, steps) | redrawn(folder, len(frames)))
    return agreement(films)


def film(folder: Path) -> Tensor:
    """The frames that a run has left, (m, 3, H, W) float32 in [0, 1], in their order.

    Raises:
        UserError: there are fewer than three.
    """
    from geodesic_lightning.data.read_image import read_image

    files = sorted((folder / "frames").glob("*.png"))
    if len(files) < 3:
        raise UserError(
            f"{folder} holds {len(files)} frames, expected at least 3: run with callbacks=frames."
        )
    pictures = np.stack([np.asarray(read_image(file)) for file in files])
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255


def redrawn(folder: Path, count: int) -> dict[str, np.ndarray]:
    """Redraw errors of the inner frames, (count − 2,), NaN where none was measured; {} where none at all."""
    kept = folder / "redraw.json"
    if not kept.exists():
        return {}
    values = np.full(count - 2, np.nan)
    values[::2] = json.loads(kept.read_text(encoding="utf-8"))["errors"]
    return {"redraw": values}


if __name__ == "__main__":
    main()
