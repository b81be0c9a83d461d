"""Checkpoints that a kill cannot spoil: whole steps only, written beside their place and renamed."""

import io
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO


class LatestCheckpoint(TorchCheckpointIO):
    """Keeps the latest checkpoint in memory, and writes it at most every `seconds`, and at `flush`.

    A checkpoint holds the nodes and the optimizer's memory: kilobytes, so that every step can hand
    one over. One that cannot be written (a full disk) is told, and tried again with the next; the
    file of the former one stays as it is.

    Args:
        seconds: of one write to the next, at least; 0 for every checkpoint.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self._latest: tuple[Path, bytes] | None = None
        self._due, self._failing = 0.0, False

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        self._latest = Path(path), buffer.getvalue()
        if time.monotonic() >= self._due:
            self.flush()

    def flush(self) -> None:
        """Write the latest checkpoint, if it has not been written."""
        if self._latest is None:
            return
        path, content = self._latest
        try:
            replace(path, content)
        except OSError as error:
            if not self._failing:  # once, and not to the run's log: it stands on the same disk
                why = f"{path} cannot be written ({error.strerror or error})"
                print(f"{why}: going on; the former one is kept.", file=sys.stderr)
            self._failing = True
        else:
            self._latest, self._failing = None, False
        self._due = time.monotonic() + self.seconds

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: Any = None
    ) -> dict:
        """Tensors and plain values, nothing that could run."""
        return torch.load(path, map_location=map_location or "cpu", weights_only=True)


def replace(path: Path, content: bytes) -> None:
    """Give the file this content; whatever happens meanwhile, it holds the former one or this, whole.

    Raises:
        OSError: it cannot be written; the former content is there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # the name must not be on the disk before the content is
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
