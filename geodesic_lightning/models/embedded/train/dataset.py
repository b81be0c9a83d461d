"""Drawings ahead of time: pictures in one memory-mapped array, parameters in another.

    cats.npy     float64 (n, 35)           unit parameter vectors
    drawings.npy uint8   (n, size, size, 3)

Drawing i is made from `numpy.random.default_rng((seed, i))`, so any part can be drawn again alone,
and the held-out drawings (their own seed) are no part of the training set.
"""

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geodesic_lightning.models.embedded.cats import Cat, sample
from geodesic_lightning.models.embedded.train.captions import caption

TRAINING_SEED, HELD_OUT_SEED, SIZE = 2025, 7, 128


def cat(seed: int, index: int) -> Cat:
    """Cat number `index` of the series `seed`."""
    return sample(np.random.default_rng((seed, index)))


def write(
    folder: str | Path, n: int, size: int, seed: int = TRAINING_SEED, workers: int = 2
) -> None:
    """Draw n cats of `size` px into `folder`, unless they are there already."""
    folder = Path(folder)
    if (folder / "cats.npy").exists() and drawings(folder).shape == (n, size, size, 3):
        return
    folder.mkdir(parents=True, exist_ok=True)
    pictures = np.lib.format.open_memmap(
        folder / "drawings.npy", mode="w+", dtype=np.uint8, shape=(n, size, size, 3)
    )
    del pictures
    parts = [range(start, min(start + 500, n)) for start in range(0, n, 500)]
    with ProcessPoolExecutor(workers) as pool:
        vectors = list(pool.map(_draw, [(folder, size, seed, part) for part in parts]))
    np.save(folder / "cats.npy", np.concatenate(vectors))


def drawings(folder: str | Path) -> NDArray[np.uint8]:
    """The pictures in `folder`: a read-only uint8 memory map of shape (n, size, size, 3)."""
    return np.load(Path(folder) / "drawings.npy", mmap_mode="r")


def captions(folder: str | Path, wordings: int = 4, seed: int = 0) -> list[list[str]]:
    """`wordings` captions of each of the n cats in `folder`."""
    cats = (Cat.from_vector(vector) for vector in np.load(Path(folder) / "cats.npy"))
    rng = np.random.default_rng(seed)
    return [[caption(one, rng) for _ in range(wordings)] for one in cats]


def held_out(n: int, size: int) -> tuple[list[Cat], NDArray[np.uint8]]:
    """n held-out cats and their pictures (n, size, size, 3)."""
    from geodesic_lightning.models.embedded.drawing import draw

    cats = [cat(HELD_OUT_SEED, index) for index in range(n)]
    return cats, np.stack([draw(one, size) for one in cats])


def _draw(job: tuple[Path, int, int, range]) -> NDArray[np.float64]:
    from geodesic_lightning.models.embedded.drawing import draw

    folder, size, seed, part = job
    pictures = np.load(folder / "drawings.npy", mmap_mode="r+")
    vectors = []
    for index in part:
        one = cat(seed, index)
        pictures[index] = draw(one, size)
        vectors.append(one.vector())
    return np.array(vectors)
