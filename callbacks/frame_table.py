"""The frames of the film beside what was measured where they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from lightning.pytorch import Trainer

from .final import Final
from .media import log_table

__all__ = ["FrameTable"]

COLUMNS = ("frame", "u", "image", "log density", "metric speed")


class FrameTable(Final):
    """ "table/frames" in W&B: a row a frame, to sort and to compare between runs.

    log density in nats and metric speed are read between the measured nodes; empty where the film is
    not of one measured path (the mean of several images).
    """

    shows = True

    def write(self, trainer: Trainer, solver: Any) -> None:
        """Log the table, where there is a W&B logger."""
        log_table(trainer, "table/frames", COLUMNS, lambda: list(rows(solver)))


def rows(solver: Any):
    """Rows of the table, pictures as bytes (H, W, 3)."""
    frames, measured = solver.frames(), solver.measurement
    pictures = (frames.permute(0, 2, 3, 1).clamp(0, 1) * 255).round().byte().cpu().numpy()
    places, nodes = solver.places(len(frames)), solver.path.u.cpu()
    known = places is not None and measured is not None and len(measured.u) == len(nodes)
    for k, picture in enumerate(pictures):
        if not known:
            yield [k, None, picture, None, None]
            continue
        u = float(places[k])
        values = (np.interp(u, nodes, y) for y in (measured.log_density, measured.metric_speed))
        yield [k, u, picture, *map(float, values)]
