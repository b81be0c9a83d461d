"""One run, a process of its own: what breaks there breaks no page."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from geodesic_lightning.ui.wish import command

__all__ = ["Job"]

LAST = 8192  # bytes of what a run has said that are looked at
PATIENCE = 30  # s that a run has to tidy up in before it is killed


class Job:
    """A run that waits, is on, or is over.

    Args:
        folder: its own, made already.
        words: the settings of the run, as they are typed.
        program: what is given them; the command line if not given.

    Attributes:
        state: "waiting", "running", then "done", "stopped" or "failed".
    """

    def __init__(self, folder: Path, words: Sequence[str], program: Sequence[str] = ()) -> None:
        self.folder, self.words = folder, tuple(words)
        self.state = "waiting"
        self.began: float | None = None
        self._program = tuple(program) or (sys.executable, "-m", "geodesic_lightning")
        self._process: subprocess.Popen[bytes] | None = None
        self._asked, self._lock = False, threading.Lock()
        self._out: IO[bytes] = tempfile.TemporaryFile()
        self._err: IO[bytes] = tempfile.TemporaryFile()

    @property
    def command(self) -> str:
        """The line that makes this run again."""
        return command(self.words)

    @property
    def over(self) -> bool:
        """Nothing more will come of it."""
        return self.state in ("done", "stopped", "failed")

    @property
    def resumable(self) -> bool:
        """It was not finished, and left a checkpoint."""
        return (
            self.over
            and self.state != "done"
            and (self.folder / "checkpoints" / "last.ckpt").exists()
        )

    def run(self) -> None:
        """Start it, and wait for its end."""
        with self._lock:
            if self._asked:
                self.state = "stopped"
                return
            often = ["callbacks.progress.every_n_seconds=1", f"hydra.run.dir={self.folder}"]
            self.began = time.monotonic()
            try:
                self._process = subprocess.Popen(
                    [*self._program, *self.words, *often],
                    stdin=subprocess.DEVNULL,
                    stdout=self._out,
                    stderr=self._err,
                    start_new_session=True,  # Ctrl+C is the page's, which passes it on
                    env=os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"},
                )
            except (OSError, ValueError) as error:
                self._err.write(f"Error: the run could not be started: {error}.".encode())
                self._err.flush()
                self.state = "failed"
                return
            self.state = "running"
        code = self._process.wait()
        self.state = "done" if code == 0 else "stopped" if self._asked else "failed"

    def stop(self) -> None:
        """As Ctrl+C does; a run that waits does not begin. It is killed if it does not listen."""
        with self._lock:
            self._asked, process = True, self._process
            if process is None:
                self.state = "stopped"
            elif process.poll() is None:
                process.send_signal(signal.SIGINT)
                killer = threading.Timer(PATIENCE, process.kill)
                killer.daemon = True
                killer.start()

    def wait(self, seconds: float) -> None:
        """Until the process has left, or so long."""
        if self._process is not None:
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def said(self) -> str:
        """The last line of standard output; "" if there is none."""
        lines = _end(self._out).splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def told(self) -> str:
        """What a run that is not done says of it, in one sentence."""
        lines = [line.strip() for line in _end(self._err).splitlines() if line.strip()]
        last = lines[-1] if lines else "it said nothing."
        if self.state == "stopped":
            return last if last.startswith("Interrupted") else "Stopped before it began."
        if last.startswith("Error: "):
            return last
        return f"The run broke, which is a fault of the program: {last}"

    def warnings(self) -> list[str]:
        """Other lines of standard error: what a run wants known, a crop say."""
        lines = [line.strip() for line in _end(self._err).splitlines()]
        return [line for line in lines if line and not line.startswith(("Error: ", "Interrupted"))]


def _end(file: IO[bytes]) -> str:
    """The last of what was written, read without moving the writer's place."""
    size = os.fstat(file.fileno()).st_size
    data = os.pread(file.fileno(), LAST, max(0, size - LAST))
    return data.decode("utf-8", "replace")
