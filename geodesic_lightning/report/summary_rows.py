"""What a run found, in a few rows for people: on the terminal, and on the page to morph in."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from statistics import fmean
from typing import Any

__all__ = ["length", "rows"]


def rows(summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and figure of each row; lengths and densities in nats."""
    for key in ("solver", "model"):
        if key in summary:
            yield key, str(summary[key])
    if summary.get("weights") not in (None, "shipped"):
        yield "weights", str(summary["weights"])
    if "strength" in summary:
        yield "strength", f"{summary['strength']:.3g} rad (alpha {summary['alpha']:.3g})"
    if "segments" in summary:
        yield "segments", f"{summary['segments']}"
    if "length" in summary:
        yield "length", length(summary)
    if density := summary.get("log_density"):
        mean = fmean(density)
        gain = mean - fmean(summary.get("log_density_start") or [0.0])
        start = "the first path" if summary.get("log_density_start") else "the start"
        yield "log density", f"mean {mean:+.4g} nats, {gain:+.4g} against {start}"
    if "score_evaluations" in summary:
        yield "evaluations", f"{summary['score_evaluations']:,}"
    if passes := summary.get("unet_evaluations_by_stage"):
        yield "network passes", by_stage(passes)
    if seconds := summary.get("seconds"):
        yield "seconds", ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())


def length(summary: Mapping[str, Any]) -> str:
    """The length before solving, if anything was solved, that after it, and how far it may be from the geodesic's."""
    before, after = summary.get("length_start"), summary["length"]
    start = "" if before in (None, after) else f"{before:.4g} → "
    error = summary.get("length_error")
    known = error is not None and math.isfinite(error)
    return f"{start}{after:.4g}{f' ± {error:.2g}' if known else ''}"


def by_stage(passes: Mapping[str, int]) -> str:
    """All of them, then those of each stage."""
    each = ", ".join(f"{stage} {count:,}" for stage, count in passes.items())
    return f"{sum(passes.values()):,}: {each}"
