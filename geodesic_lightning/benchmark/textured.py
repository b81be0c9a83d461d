"""Shipped pairs under a texture that the autoencoder cannot give back, as a folder for data=collection.

    python -m geodesic_lightning.benchmark.textured outputs/textured
    python -m geodesic_lightning -m data=collection data.root=outputs/textured 'data.number=range(0,6)' \\
        metrics=independent decoder.ends=given,decoded,blended

The texture is Gaussian noise with the amplitude spectrum 1/|f| of photographs (Field, 1987), mostly
grey (0.7 of the channels' mean to 0.3 of each), of RMS 0.08 of a pixel's range; another for every image.
"""

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from geodesic_lightning.data.pair_folder import COLUMNS, MANIFEST

PAIRS = ("pair_cat", "pair_ears", "pair_mood", "eval_00", "eval_01", "eval_02")
RMS = 0.08


def texture(size: int, seed: int, rms: float = RMS) -> np.ndarray:
    """1/f noise (size, size, 3) float64 of this root mean square, its mean 0."""
    f = np.fft.fftfreq(size)
    radius = np.hypot(f[:, None], f)
    radius[0, 0] = np.inf
    generator = np.random.default_rng(seed)
    layers = [generator.standard_normal((size, size)) for _ in range(3)]
    pink = np.stack([np.fft.ifft2(np.fft.fft2(layer) / radius).real for layer in layers], -1)
    mixed = 0.3 * pink + 0.7 * pink.mean(-1, keepdims=True)
    return rms * mixed / mixed.std()


def write(folder: Path, names: Sequence[str] = PAIRS) -> None:
    """The textured pairs as PNG files and pairs.csv; what stands there is overwritten."""
    from geodesic_lightning.data.frames import SHIPPED

    shipped = json.loads((SHIPPED / "pairs.json").read_text(encoding="utf-8"))
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / MANIFEST).open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(COLUMNS)
        for name in names:
            files = []
            for k, end in enumerate(("start", "end")):
                picture = Image.open(SHIPPED / f"{name}_{end}.png").convert("RGB")
                pixels = np.asarray(picture) / 255
                pixels = pixels + texture(len(pixels), 1000 * list(shipped).index(name) + k)
                files.append(f"{name}_{end}.png")
                Image.fromarray((255 * pixels.clip(0, 1)).round().astype(np.uint8)).save(
                    folder / files[-1]
                )
            lines.writerow(
                [name, *files, shipped[name]["prompt_start"], shipped[name]["prompt_end"]]
            )


def main(words: list[str] | None = None) -> None:
    """`python -m geodesic_lightning.benchmark.textured [FOLDER]`."""
    parser = argparse.ArgumentParser(prog="python -m geodesic_lightning.benchmark.textured")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("outputs/textured"))
    write(parser.parse_args(words).folder)


if __name__ == "__main__":
    main()
