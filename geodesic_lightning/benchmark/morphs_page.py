"""The benchmark of morphs on one page: its tables, its plot, and films of all ways under one another."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from geodesic_lightning.report.run_page import encoded, template

HEIGHT, MOST = 64, 9  # px and number of the frames shown of a film
PAIRS = 6  # whose films are shown

Table = tuple[str, Sequence[str], Sequence[Sequence[str]]]


def render(
    tables: Iterable[Table], plot: Path, folder: Path, ways: Sequence[str], pairs: Sequence[str]
) -> str:
    """The page, self-contained.

    Args:
        tables: title, heading and rows of each.
        plot: a PNG.
        folder: of the runs, folder/way/pair/frames.
    """
    shown = []
    for pair in pairs[:PAIRS]:
        films = [(way, strip(folder / way / pair / "frames")) for way in ways]
        shown.append((pair, [(way, film) for way, film in films if film]))
    return template("morphs.html.j2").render(
        tables=list(tables),
        plot=encoded(plot.read_bytes(), "image/png"),
        shown=shown,
        pairs=len(pairs),
    )


def strip(frames: Path) -> str | None:
    """At most MOST frames of a folder side by side, evenly chosen, as a data URI."""
    from PIL import Image

    files = sorted(frames.glob("*.png"))
    if not files:
        return None
    count = min(MOST, len(files))
    chosen = [files[round(k * (len(files) - 1) / max(1, count - 1))] for k in range(count)]
    row = Image.new("RGB", (HEIGHT * count, HEIGHT))
    for k, file in enumerate(chosen):
        with Image.open(file) as frame:
            row.paste(frame.convert("RGB").resize((HEIGHT, HEIGHT)), (k * HEIGHT, 0))
    data = io.BytesIO()
    row.save(data, "JPEG", quality=85)
    return encoded(data.getvalue(), "image/jpeg")
