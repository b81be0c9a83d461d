"""Semi-implicit steps with a curvature shift and Anderson acceleration, from coarse to fine.

Nodes are an elastic string in the density: their residual r (length.residual) vanishes on the geodesic. Its
stiff part is the second difference T; the density's curvature is bounded by λ. A step solves for both at once,

    F = (T + cI)⁻¹ r,   c = αℓ²λ,   x ← x + F   (accelerated by the last three),

and ends a level when the predicted relative excess of length η = Σ r·F/(2Nℓ²) falls below the
tolerance. The step that foretold it is taken too: it costs nothing more, and leaves the excess well
below what was foretold. η is the larger of that of F, which underrates directions softer than λ, and
that of the accelerated step, which has seen them. Levels of doubling segments begin each from a
spline through the last.

Where no bound is known (a contrast, guidance) the score is curved along a few directions only, and a shift for all
makes the others slow. There secants of every node stand for its curvature (secants.py), in place of Anderson's, and λ
is half of what they did not foresee of the last move: it falls as they learn. `mode`:

    fast    λ from the score's bound, halved, accelerated; where no bound is known, secants
    safe    λ the bound itself, no acceleration: on a score of bounded curvature the length never grows
    noisy   for random scores: no acceleration, steps min(1, 6/(k+1))·F, two levels, and the mean of
            the later half of the iterates as the answer
    auto    noisy where two evaluations of the first batch differ by over 3 %, otherwise fast
"""

import math
from typing import Any

import torch
from torch import Tensor

from geodesic_lightning.errors import UserError
from geodesic_lightning.functional.length import Residual
from geodesic_lightning.geometry.laplacian import Laplacian
from geodesic_lightning.geometry.path import Path
from geodesic_lightning.optimizers.anderson import extrapolate
from geodesic_lightning.optimizers.base import Optimizer
from geodesic_lightning.optimizers.secants import Secants, no_secants
from geodesic_lightning.problems.evaluation import LegEvaluation

MODES = ("auto", "fast", "safe", "noisy")
# Noise to signal above which averaging beats acceleration: at 5 % and beyond, in 64 dimensions and more, accelerated
# steps stall above the tolerance and cost more than the noise mode (measured on the exact densities).
NOISY = 0.03


def levels(segments: int) -> list[int]:
    """Segments of each level, coarse to fine: halved down to no less than four."""
    found = [segments]
    while math.ceil(found[0] / 2) >= 4:
        found.insert(0, math.ceil(found[0] / 2))
    return found


class SemiImplicit(Optimizer):
    """The fast boundary value optimizer; one `step` is one batched score evaluation.

    Args:
        path: whose nodes move.
        segments: N of the finest level, at least 2.
        tolerance: predicted relative excess of length at which the finest level stops, > 0.
        coarse_tolerance: the same for the coarser levels.
        iterations, coarse_iterations: the most steps of the finest and of each coarser level.
        memory: differences that Anderson acceleration keeps (secants are of the last eight moves).
        trust: the longest step of a node, as a part of the path's Euclidean length.
        mode: one of auto, fast, safe, noisy.

    Attributes:
        report: level, iteration, residual_norm, predicted_excess, shift of the latest step.

    Raises:
        UserError: a setting is out of its range.
    """

    def __init__(
        self,
        path: Path,
        segments: int,
        tolerance: float = 1e-4,
        coarse_tolerance: float = 1e-3,
        iterations: int = 25,
        coarse_iterations: int = 6,
        memory: int = 3,
        trust: float = 0.1,
        mode: str = "auto",
    ) -> None:
        super().__init__(path, segments)
        if not tolerance > 0:
            raise UserError(
                f"optimizer.tolerance: got {tolerance}, expected a number above 0 (1e-4, say)."
            )
        if mode not in MODES:
            raise UserError(f"optimizer.mode: got {mode!r}, expected one of {', '.join(MODES)}.")
        self.mode = mode
        self.tolerance, self.coarse_tolerance = tolerance, coarse_tolerance
        self.iterations, self.coarse_iterations = iterations, coarse_iterations
        self.memory, self.trust = memory, trust
        self._now |= {
            "level": 0,
            "noisy": mode == "noisy",
            "probed": mode != "auto",
            "shift_rate": 0.0,
            "secants": None,
            "converged": False,
            "finished": False,
        }
        self._begin_level()

    @property
    def levels(self) -> list[int]:
        """Segments of each level; the noise mode takes the coarsest and the finest alone."""
        found = levels(self.segments)
        return [found[0], found[-1]] if self.noisy and len(found) > 2 else found

    @property
    def noisy(self) -> bool:
        """The noise mode is on."""
        return self._now["noisy"]

    @property
    def converged(self) -> bool:
        return self._now["converged"]

    @property
    def finished(self) -> bool:
        return self._now["finished"]

    @property
    def evaluations_left(self) -> int:
        """The most score evaluations to come; the tolerance ends them sooner."""
        if self.finished:
            return 0
        now, levels = self._now, self.levels
        most = [self._most_at(k) * (levels[k] - 1) for k in range(now["level"], len(levels))]
        return sum(most) - now["iteration"] * (levels[now["level"]] - 1)

    def _most_at(self, level: int) -> int:
        """Steps of a level."""
        last = level == len(self.levels) - 1
        if self.noisy:
            return 24 if last else 16
        return (self.iterations if last else self.coarse_iterations) + 1

    def _missing(self, state: dict[str, Any]) -> dict[str, Any]:
        return {"secants": None}  # there were none in 0.1

    def _begin_level(self) -> None:
        self._now.update(
            iteration=0,
            best=math.inf,
            dx=[],
            df=[],
            last_x=None,
            last_f=None,
            last_s=None,
            total=None,
            counted=0,
        )

    def begin(self) -> None:
        """The coarsest level."""
        self.path.refine(self.levels[0])

    # -- one step ---------------------------------------------------------------------------------

    @torch.no_grad()
    def step(self, evaluation: LegEvaluation) -> None:
        """Step, refine or finish."""
        if not self._now["probed"]:
            self._now.update(probed=True, noisy=evaluation.noise_to_signal() > NOISY)
        now, points, residual = self._now, evaluation.interior, evaluation.residual
        segments, manifold = len(points) + 1, evaluation.manifold
        laplacian = Laplacian(segments, residual.vector)
        rough = self._rough(evaluation)
        rate = self._unforeseen(evaluation) if rough else self._shift_rate(evaluation)
        shift = residual.weight * rate
        step = manifold.proju(points, laplacian.solve(residual.vector, shift))
        size = laplacian.dual_norm(residual.vector)
        if rough:
            move = self._corrected(evaluation, laplacian, step, shift)
        elif self.noisy:
            move = self._damped(points, step)
        else:
            move = self._accelerated(evaluation, step, size)
        gains = [(residual.vector * taken).sum().abs() for taken in (step, move)]
        excess = torch.stack(gains).max() / (2 * segments * residual.spacing**2)
        size, excess, shift = torch.stack([size, excess, shift]).tolist()
        self.report = {
            "level": segments,
            "iteration": now["iteration"],
            "residual_norm": size,
            "predicted_excess": excess,
            "shift": shift,
        }
        ends = self._level_ends(excess)
        if not (ends and self.noisy):
            move = manifold.proju(points, self._capped(move, residual))
            self.path.set_nodes(points + move)
        now["iteration"] += 1
        if ends:
            self._end_level()

    def _shift_rate(self, evaluation: LegEvaluation) -> float:
        """λ: from the score's bound, or where there is none from secants of the force across the path."""
        bound = evaluation.curvature_bound
        if bound is not None:
            return bound if self.mode == "safe" or self.noisy else 0.5 * bound
        now, points, force = self._now, evaluation.interior, evaluation.residual.force
        if now["last_s"] is not None:
            dx, ds = points - now["last_x"], force - now["last_s"]
            secant = float(-(ds * dx).sum() / dx.square().sum().clamp_min(1e-30))
            now["shift_rate"] = max(0.5 * secant, now["shift_rate"] / 2)
        now["last_s"] = force
        return now["shift_rate"]

    def _rough(self, evaluation: LegEvaluation) -> bool:
        """The score pulls, and nothing is known of its curvature."""
        fast = not self.noisy and self.mode != "safe"
        return fast and evaluation.curvature_bound is None and bool(evaluation.residual.weight > 0)

    def _secants(self, nodes: Tensor) -> Secants:
        kept = self._now["secants"]
        return no_secants(nodes) if kept is None else Secants(*kept)

    def _unforeseen(self, evaluation: LegEvaluation) -> float:
        """λ: half of what the secants did not foresee of the last move, or of λ; the move is then one of them."""
        now, points, force = self._now, evaluation.interior, evaluation.residual.force
        if now["last_x"] is not None:
            secants, move, change = (
                self._secants(points),
                points - now["last_x"],
                now["last_s"] - force,
            )
            missed = (change - secants.curvature(move)).norm() / move.norm().clamp_min(1e-30)
            now["shift_rate"] = 0.5 * max(float(missed), now["shift_rate"])
            newest = secants.with_newest(move, change)
            now["secants"] = newest.moves, newest.changes
        now["last_x"], now["last_s"] = points, force
        return now["shift_rate"]

    def _corrected(
        self, evaluation: LegEvaluation, laplacian: Laplacian, step: Tensor, shift: Tensor
    ) -> Tensor:
        """The step with the secants' curvature; twice the plain one at most, where it nearly has no solution."""
        residual, points = evaluation.residual, evaluation.interior
        move = self._secants(points).solve(laplacian, residual.vector, shift, residual.weight)
        move = evaluation.manifold.proju(points, move)
        longest, most = (v.norm(dim=-1).max() for v in (move, step))
        return move * (2 * most / longest.clamp_min(1e-30)).clamp_max(1.0)

    def _accelerated(self, evaluation: LegEvaluation, step: Tensor, size: Tensor) -> Tensor:
        """The Anderson step, or the plain one where the history misleads."""
        now, points, norm = self._now, evaluation.interior, float(size)
        grew = norm > 2 * now["best"]
        if grew:
            now["dx"], now["df"] = [], []
        elif now["last_f"] is not None:
            oldest = max(len(now["dx"]) + 1 - self.memory, 0)
            now["dx"] = [*now["dx"], points - now["last_x"]][oldest:]
            now["df"] = [*now["df"], step - now["last_f"]][oldest:]
        now["best"] = min(now["best"], norm)
        now["last_x"], now["last_f"] = points, step
        if self.mode == "safe":
            return step
        fast = extrapolate(step, now["dx"], now["df"])
        if (fast * evaluation.residual.vector).sum() < 0:
            now["dx"], now["df"] = [], []
            return step
        return fast

    def _damped(self, points: Tensor, step: Tensor) -> Tensor:
        """The step of the noise mode; the later half of the iterates is summed for the answer."""
        now = self._now
        if now["iteration"] >= self._most_iterations // 2:
            now["total"] = points.clone() if now["total"] is None else now["total"] + points
            now["counted"] += 1
        now["last_x"] = points
        return step * min(1.0, 6 / (now["iteration"] + 1))

    def _capped(self, move: Tensor, residual: Residual) -> Tensor:
        limit = self.trust * (len(move) + 1) * residual.spacing
        longest = move.norm(dim=-1).max()
        return move * (limit / longest.clamp_min(1e-30)).clamp_max(1.0)

    @property
    def _last(self) -> bool:
        return self._now["level"] == len(self.levels) - 1

    @property
    def _most_iterations(self) -> int:
        return self._most_at(self._now["level"]) - (not self.noisy)

    def _level_ends(self, excess: float) -> bool:
        now = self._now
        if self.noisy:
            return now["iteration"] + 1 >= self._most_iterations
        tolerance = self.tolerance if self._last else max(self.coarse_tolerance, self.tolerance)
        if excess < tolerance:
            now["converged"] = self._last
            return True
        return now["iteration"] >= self._most_iterations

    def _end_level(self) -> None:
        """Settle the answer of this level, then refine or finish."""
        now, path = self._now, self.path
        if self.noisy and now["counted"]:
            path.set_nodes(now["total"] / now["counted"])
        if self._last:
            now["finished"] = True
            return
        now["level"] += 1
        segments = self.levels[now["level"]]
        path.refine(segments)
        if now["secants"] is not None:
            finer = Secants(*now["secants"]).refined(segments)
            now["secants"] = finer.moves, finer.changes
        self._begin_level()
