"""Jobs, one at a time; the others wait in the order in which they came."""

from __future__ import annotations

import secrets
import threading
from datetime import datetime
from pathlib import Path

from geodesic_lightning.cli.run_folder import claim
from geodesic_lightning.errors import UserError
from geodesic_lightning.ui.job import Job

__all__ = ["Desk"]

MOST = 20  # jobs that wait


class Desk:
    """Takes jobs, runs them one after the other in a thread, and knows them by tickets nobody guesses.

    Args:
        outputs: where folders of runs are made, by date and time.
    """

    def __init__(self, outputs: Path = Path("outputs")) -> None:
        self.outputs = outputs
        self._jobs: dict[str, Job] = {}
        self._waiting: list[Job] = []
        self._now: Job | None = None
        self._changed = threading.Condition()
        self._open = True
        self._worker = threading.Thread(target=self._work, name="desk", daemon=True)
        self._worker.start()

    def folder(self) -> Path:
        """A new one, for one run alone."""
        now = datetime.now()
        return claim(self.outputs / f"{now:%Y-%m-%d}" / f"{now:%H-%M-%S}")

    def check(self) -> None:
        """Raise UserError where too many wait already."""
        if len(self._waiting) >= MOST:
            raise UserError(f"{MOST} runs are waiting already: try again when some are over.")

    def add(self, job: Job) -> str:
        """Put it behind the others; returns its ticket."""
        with self._changed:
            self.check()
            ticket = secrets.token_urlsafe(16)
            self._jobs[ticket] = job
            self._waiting.append(job)
            self._changed.notify_all()
        return ticket

    def find(self, ticket: object) -> Job | None:
        """The job of this ticket; None where there is none."""
        return self._jobs.get(ticket) if isinstance(ticket, str) else None

    def before(self, job: Job) -> int:
        """How many are to be over before this one begins."""
        with self._changed:
            place = self._waiting.index(job) if job in self._waiting else 0
            return place + (self._now is not None and self._now is not job)

    def stop(self, ticket: object) -> None:
        """Stop that job, whether it is on or waits."""
        job = self.find(ticket)
        if job is None:
            return
        with self._changed:
            if job in self._waiting:
                self._waiting.remove(job)
        job.stop()

    def close(self, seconds: float = 20.0) -> None:
        """Take no more, forget those that wait, stop the one that is on and see it off."""
        with self._changed:
            self._open = False
            self._waiting.clear()
            now = self._now
            self._changed.notify_all()
        if now is not None:
            now.stop()
            now.wait(seconds)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or not self._open)
                if not self._open:
                    return
                job = self._now = self._waiting.pop(0)
            try:
                job.run()
            finally:
                with self._changed:
                    self._now = None
