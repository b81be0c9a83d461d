"""`python -m geodesic_lightning.distance IMAGE … | FOLDER [group=choice …] [folder=…]`.

An image is a file or an http(s) address. Words with "=" that are neither are settings, those of
`python -m geodesic_lightning`; of them HEEDED are, others are refused. Without images, those of data= are taken.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from geodesic_lightning.data.address import is_address
from geodesic_lightning.data.paths import PICTURES, expanded, pictures_in
from geodesic_lightning.data.text import check_typed
from geodesic_lightning.errors import UserError
from geodesic_lightning.report.terminal import forgiving

USAGE = """Distances between images in the metric of a model's density.

  python -m geodesic_lightning.distance a.png b.png [c.png ...]
  python -m geodesic_lightning.distance folder/ [group=choice ...] [folder=where/to/write]
  python -m geodesic_lightning.distance experiment=distance

prints the matrix and writes distance.json and distance.png (the matrix and its map)."""

MOST = 64  # images: 2016 pairs
HEEDED = (
    *("model", "score", "scheduler", "manifold", "optimizer", "solver.alpha", "solver.strength"),
    *("solver.segments", "data", "experiment", "folder", "seed", "debug"),
)


def main(words: Sequence[str] | None = None) -> None:
    """Run, and tell the user's errors in one sentence."""
    forgiving()
    words = list(sys.argv[1:] if words is None else words)
    if not words or {"-h", "--help"} & set(words):
        print(USAGE)
        return
    try:
        run(words)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        from geodesic_lightning.cli.error_messages import sentence

        told = sentence(error)
        if told is None or "debug=true" in words:
            raise
        sys.exit(f"Error: {told}")


def run(words: Sequence[str]) -> dict[str, Any]:
    """Measure and write; returns what distance.json says."""
    began = time.perf_counter()
    check_typed(words)
    given = [word for word in words if "=" not in word or is_address(word) or Path(word).exists()]
    files = images_of(given) if given else []
    cfg = configured([word for word in words if word not in given])
    folder = Path(cfg.folder)
    if (folder / "distance.json").exists():
        raise UserError(f"{folder} already holds distances: give another folder=.")

    from hydra.utils import instantiate

    from geodesic_lightning.data.frames import Frames
    from geodesic_lightning.data.read_image import name_of, read_image
    from geodesic_lightning.distance import between, embed
    from geodesic_lightning.distance.picture import draw
    from geodesic_lightning.report.files import write_image, write_json

    if files:
        names = tuple(Path(name_of(file, "")).stem for file in files)
        pictures = tuple(read_image(file) for file in files)
    else:
        found = instantiate(cfg.data)
        if not (isinstance(found, Frames) and found.pictures and len(found) > 1):
            raise UserError("distance: data= has no images to compare: give files or a folder.")
        names, pictures = tuple(Path(name).stem for name in found.names), found.pictures
    frames = Frames(None, ("",) * len(names), names, pictures=pictures)
    model = instantiate(cfg.model)(scheduler=instantiate(cfg.scheduler))
    model.to(device())
    found = between(
        model,
        frames,
        instantiate(cfg.score),
        instantiate(cfg.manifold),
        instantiate(cfg.optimizer),
        cfg.solver.alpha,
        cfg.solver.segments,
        cfg.solver.strength,
    )
    plane = embed(found.distances.matrix)
    content = said(names, files, found, plane) | {
        "model": model.name,
        "seconds": time.perf_counter() - began,
    }
    write_json(folder / "distance.json", content)
    samples = frames.samples(model.image_size)
    assert samples is not None, "frames with pictures have images at a size"
    write_image(draw(found.distances, plane, names, samples[1]), folder / "distance.png")
    show(names, found, folder)
    return content


def images_of(words: Sequence[str]) -> list[Path | str]:
    """Files from files and folders, and addresses, in their order; folders by name, without what is hidden."""
    files: list[Path | str] = []
    for word in words:
        path = expanded(word)
        if is_address(word):
            files.append(word)
        elif path.is_dir():
            files += pictures_in(path, (*PICTURES, ".gif"))
        else:
            files.append(path)
    if not 2 <= len(files) <= MOST:
        raise UserError(
            f"distance: got {len(files)} images, expected 2 to {MOST}: give files or a folder."
        )
    return files


def configured(overrides: Sequence[str]) -> Any:
    """The configuration of these settings, checked."""
    from geodesic_lightning.cli.compose import composed
    from geodesic_lightning.cli.words import as_typed

    for word in overrides:
        name = word.split("=")[0].lstrip("+~")
        if not any(name == one or name.startswith(f"{one}.") for one in HEEDED):
            raise UserError(
                f"distance: {name} changes no distance (prompts are empty, nothing is decoded), "
                f"expected settings of {', '.join(HEEDED)}: leave it out."
            )
    now = datetime.now()
    return composed([f"folder=outputs/{now:%Y-%m-%d}/{now:%H-%M-%S}", *as_typed(overrides)])


def device() -> Any:
    """A GPU if there is one."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def said(
    names: Sequence[str], files: Sequence[Path | str], found: Any, plane: Any
) -> dict[str, Any]:
    """The content of distance.json."""
    distances = found.distances
    return {
        "names": list(names),
        "files": [str(file) for file in files],
        "same": [[names[i], names[k]] for k, i in enumerate(found.first) if i != k],
        "alpha": found.alpha,
        "strength": found.strength,
        "distance": distances.matrix.tolist(),
        "log_density": distances.log_density.tolist(),
        "curl": distances.curl,
        "triangle": distances.triangle,
        "embedding": plane.points.tolist(),
        "embedding_explained": plane.explained,
        "embedding_curved": plane.curved,
        "score_evaluations": found.evaluations,
        "pairs": [
            {
                "images": [names[i], names[j]],
                "length": m.length,
                "length_error": m.geodesic_error,
                "euclidean_length": m.euclidean_length,
                "log_density_rise": float(m.log_density[-1]),
                "log_density_error": m.log_density_error,
                "converged": converged,
            }
            for (i, j), m, converged in zip(found.numbers, found.measured, found.converged)
        ],
    }


def show(names: Sequence[str], found: Any, folder: Path) -> None:
    """The matrix on the screen."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, padding=(0, 1))
    table.add_column("", max_width=24, no_wrap=True)
    for heading in ("log p", *range(1, len(names) + 1)):
        table.add_column(str(heading), justify="right", no_wrap=True)
    distances = found.distances
    rows = zip(names, distances.log_density.tolist(), distances.matrix.tolist())
    for number, (name, density, row) in enumerate(rows, 1):
        cells = ("·" if k == number else f"{value:.4g}" for k, value in enumerate(row, 1))
        table.add_row(f"{number} {name}", f"{density:+.1f}", *cells)
    console = Console(highlight=False)
    console.print(table)
    console.print(str(folder / "distance.png"), soft_wrap=True, markup=False)
    if not all(found.converged):
        console.print(
            f"{found.converged.count(False)} of {len(found.converged)} paths did not converge."
        )


if __name__ == "__main__":
    main()
