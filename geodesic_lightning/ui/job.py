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
from typing import Any

from geodesic_lightning.report.terminal import command

__all__ = ["Job"]

LAST = 8192  # bytes of what a run has said that are looked at
PATIENCE = 30  # s that a run has to tidy up in before it is killed

# A run is started apart, for Ctrl+C in the terminal is the page's; the page then tells it to stop.
APART: dict[str, Any]
if sys.platform == "win32":  # where Ctrl+Break alone reaches another group of processes
    APART, STOP = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}, signal.CTRL_BREAK_EVENT
else:
    APART, STOP = {"start_new_session": True}, signal.SIGINT


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
        self._heard = [b"", b""]  # the last of standard output and of standard error
        self._written: list[Path] = []  # where they go while it is on

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
        with tempfile.TemporaryDirectory(
            prefix="geodesic-job-", ignore_cleanup_errors=True
        ) as place:
            out, err = (Path(place, name) for name in ("out", "err"))
            with self._lock:
                if self._asked:
                    self.state = "stopped"
                    return
                self.began = time.monotonic()
                try:
                    self._process = self._started(out, err)
                    self.state = "running"
                except (OSError, ValueError) as error:
                    err.write_text(f"Error: the run could not be started: {error}.", "utf-8")
                self._written = [out, err]
            code = self._process.wait() if self._process else None
            with self._lock:
                self._heard, self._written = [_end(out), _end(err)], []
        self.state = "done" if code == 0 else "stopped" if self._asked and code else "failed"

    def _started(self, out: Path, err: Path) -> subprocess.Popen[bytes]:
        often = ["callbacks.progress.every_n_seconds=1", f"hydra.run.dir={self.folder}"]
        with out.open("wb") as said, err.open("wb") as told:
            return subprocess.Popen(
                [*self._program, *self.words, *often],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=told,
                env=os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"},
                **APART,
            )

    def stop(self) -> None:
        """As Ctrl+C does; a run that waits does not begin. It is killed if it does not listen."""
        with self._lock:
            self._asked, process = True, self._process
            if process is None:
                self.state = "stopped"
            elif process.poll() is None:
                process.send_signal(STOP)
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
        lines = self._lines(0)
        return lines[-1] if lines else ""

    def told(self) -> str:
        """What a run that is not done says of it, in one sentence."""
        lines = self._lines(1)
        last = lines[-1] if lines else "it said nothing."
        if self.state == "stopped":
            return last if last.startswith("Interrupted") else "Stopped before it began."
        if last.startswith("Error: "):
            return last
        return f"The run broke, which is a fault of the program: {last}"

    def warnings(self) -> list[str]:
        """Other lines of standard error: what a run wants known, a crop say."""
        lines = self._lines(1)
        return [line for line in lines if not line.startswith(("Error: ", "Interrupted"))]

    def _lines(self, which: int) -> list[str]:
        with self._lock:
            heard = _end(self._written[which]) if self._written else self._heard[which]
        return [
            line.strip() for line in heard.decode("utf-8", "replace").splitlines() if line.strip()
        ]


def _end(file: Path) -> bytes:
    """The last of what was written; opened anew, for the writer's place in it is the writer's."""
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - LAST))
        return opened.read(LAST)
