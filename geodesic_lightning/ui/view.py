"""A job in words and HTML; whatever it says itself is escaped."""

from __future__ import annotations

import time
from html import escape

from geodesic_lightning.ui.job import Job
from geodesic_lightning.ui.look import progress, summary

__all__ = ["empty", "error", "status", "table"]


def status(job: Job, before: int = 0) -> str:
    """Where a job is: waiting behind `before` others, how far, or how it ended."""
    notes = "".join(f'<div class="note">{escape(line)}</div>' for line in job.warnings())
    if job.state == "waiting":
        runs = "1 run is" if before == 1 else f"{before} runs are"
        return _said(f"Waiting: {runs} before it." if before else "Waiting.")
    if job.state == "running":
        now = progress(job.said())
        width = 'class="unknown"' if now.part is None else f'style="width:{now.part:.0%}"'
        spent = time.monotonic() - (job.began or time.monotonic())
        return _said(
            f"{_clock(spent)} {escape(now.text)}<div class='bar'><i {width}></i></div>{notes}"
        )
    if job.state == "done":
        return _said(f"Done: {escape(str(job.folder))}{notes}")
    if job.state == "stopped":
        return _said(escape(job.told()) + notes)
    return error(job.told())


def empty() -> str:
    """Nothing has been asked for yet."""
    return _said("")


def error(text: str) -> str:
    """One sentence, marked as an error."""
    return _said(f'<div class="error">{escape(text)}</div>')


def table(job: Job) -> str:
    """The summary's rows."""
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
        for name, value in summary(job.folder)
    )
    return f'<table class="summary">{rows}</table>'


def _said(inside: str) -> str:
    return f'<div class="status" role="status" aria-live="polite">{inside}</div>'


def _clock(seconds: float) -> str:
    return f"{int(seconds // 60)}:{int(seconds % 60):02d}"
