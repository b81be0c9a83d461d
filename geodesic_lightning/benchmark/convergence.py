"""Does what says that it has converged have the shortest length near it? Random problems with exact log densities.

Every problem (random_densities.py) is solved by the fast solver as it is, and its path compared with the shortest that
L-BFGS finds from there (shortest.py), from two paths beside it, and from the straight line. Excess is of the exact
length of the path; the error of the length that is said is held against `length_error`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path as FilePath
from statistics import median

import torch

from geodesic_lightning.benchmark import kept, shortest
from geodesic_lightning.benchmark.markdown import markdown
from geodesic_lightning.benchmark.random_densities import ALL, RandomDensity, random_density
from geodesic_lightning.errors import UserError
from geodesic_lightning.optimizers.semi_implicit import SemiImplicit
from geodesic_lightning.optimizers.solve import solve
from geodesic_lightning.problems.boundary_value import Problem

SEGMENTS = 16
TOLERANCE = 1e-4
BESIDE = 0.005  # of the path's length: how far the paths are moved that L-BFGS also starts from
SHORTER = 1e-3  # of the length: what makes a path elsewhere another one
NOTHING = 1e-8  # of the length: what references are known to


@dataclass(frozen=True)
class Row:
    """One problem. Excesses and errors are relative to the shortest path near the solver's.

    Attributes:
        excess, start: of the solver's path and of the straight one (or great circle).
        elsewhere: of the solver's path over the shortest that L-BFGS finds from the straight one.
        error, error_said: of the length as it was measured, and `length_error`.
    """

    kind: str
    seed: int
    bound: str
    dimension: int
    evaluations: int
    converged: bool
    excess: float
    start: float
    elsewhere: float
    error: float
    error_said: float

    @property
    def key(self) -> tuple[str, int]:
        """What no two rows share."""
        return self.kind, self.seed


def read(file: FilePath) -> list[Row]:
    """The rows that a former run has left in its file."""
    return kept.rows(file, Row)


def run(
    seeds: int, known: Collection[tuple[str, int]] = (), kinds: Iterable[str] = ALL
) -> Iterator[Row]:
    """Rows as they are found, but for those that are known; kind after kind for each seed."""
    kinds = list(kinds)
    for seed in range(seeds):
        for kind in kinds:
            if (kind, seed) not in known:
                yield row(random_density(kind, seed))


def row(density: RandomDensity) -> Row:
    """One problem, solved and compared."""
    problem = shortest.problem_of(density)
    made = solve(problem, SemiImplicit, SEGMENTS)
    alpha, spent = problem.alpha, problem.evaluations
    nodes = density.own(problem.path.points())
    line = density.own(problem.legs[0].path.baseline(SEGMENTS))

    def log_shortest(start: torch.Tensor) -> float:
        found = shortest.shortest(density, alpha, start)
        return shortest.log_length_of_spline(density, alpha, found, 8)

    near = min(log_shortest(start) for start in (nodes, *_beside(density, nodes)))
    anywhere = min(near, log_shortest(line))
    own, straight = (shortest.log_length_of_spline(density, alpha, x) for x in (nodes, line))
    measured = _measured(problem)
    return Row(
        density.kind,
        density.seed,
        density.bound,
        density.dimension,
        spent,
        made.converged,
        _more(own, near),
        _more(straight, near),
        _more(own, anywhere),
        measured[0] * math.exp(-near) - 1,
        measured[1] * math.exp(-near),
    )


def _beside(density: RandomDensity, nodes: torch.Tensor) -> Iterator[torch.Tensor]:
    """Two paths near one through nodes (N+1, k): bowed to either side of a random direction."""
    generator = torch.Generator().manual_seed(density.seed)
    size = BESIDE * (nodes[1:] - nodes[:-1]).norm(dim=-1).sum()
    side = torch.randn(nodes.shape[1], generator=generator, dtype=nodes.dtype)
    bow = torch.sin(math.pi * torch.linspace(0, 1, len(nodes)).to(nodes))[:, None]
    for sign in (1, -1):
        yield density.manifold.projx(nodes + sign * size * bow * side / side.norm())


def _measured(problem: Problem) -> tuple[float, float]:
    """The length and its error as they are said; NaN where the path cannot be measured."""
    try:
        found = problem.measure()
    except UserError:
        return math.nan, math.nan
    return found.length, found.geodesic_error


def _more(log_length: float, log_least: float) -> float:
    return math.expm1(min(log_length - log_least, 100.0))


def table(rows: Iterable[Row]) -> str:
    """Rows in Markdown: a line a kind, one for all; then what bounds were told, and the error bar."""
    rows = list(rows)
    head = (
        *("kind", "problems", "converged", "worst excess of these", "over 2e-4", "over 1e-3"),
        *("evaluations, median", "most", "worst excess of the others", "longer than the start"),
    )
    kinds = list(dict.fromkeys(r.kind for r in rows))
    parts = [(kind, [r for r in rows if r.kind == kind]) for kind in kinds]
    bounds = [
        (f"bound {b}", [r for r in rows if r.bound == b])
        for b in dict.fromkeys(r.bound for r in rows)
    ]
    body = [_line(name, each) for name, each in [*parts, *bounds, ("all", rows)]]
    known = [r for r in rows if r.converged and math.isfinite(r.error_said)]
    if not known:
        return markdown(head, body)
    inside = sum(abs(r.error) <= r.error_said + NOTHING for r in known) / len(known)
    ratio = median(r.error_said / max(abs(r.error), NOTHING) for r in known)
    elsewhere = sum(r.converged and r.elsewhere > r.excess + SHORTER for r in rows)
    return (
        f"{markdown(head, body)}\n\nThe length's true error is within length_error in {inside:.1%} of those that "
        f"converged, which is {ratio:.1f} times the error in the median. Of {elsewhere} a path elsewhere is "
        f"over {SHORTER:.1%} shorter."
    )


def _line(name: str, rows: list[Row]) -> tuple[str, ...]:
    done = [r.excess for r in rows if r.converged]
    left = [r.excess for r in rows if not r.converged]
    spent = [r.evaluations for r in rows]
    return (
        name,
        f"{len(rows)}",
        f"{len(done)}",
        f"{max(done):.1e}" if done else "–",
        f"{sum(e > 2 * TOLERANCE for e in done)}",
        f"{sum(e > 10 * TOLERANCE for e in done)}",
        f"{median(spent):.0f}",
        f"{max(spent)}",
        f"{max(left):.1e}" if left else "–",
        f"{sum(r.excess > r.start + NOTHING for r in rows)}",
    )
