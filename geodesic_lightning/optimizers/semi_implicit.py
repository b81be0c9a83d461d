"""Semi-implicit steps with a curvature shift and Anderson acceleration, from coarse to fine.

Nodes are an elastic string in the density: their residual r (length.residual) vanishes on the geodesic. Its
stiff part is the second difference T; the density's curvature is bounded by λ. A step solves for both at once,

    F = (T + cI)⁻¹ r,   c = αℓ²λ,   x ← x + F   (accelerated by the last three),

and ends a level when the predicted relative excess of length η = Σ r·F/(2Nℓ²) falls below the
tolerance, and with it what the step leaves of the excess at most, if the curvature is anything from none
to the bound (functional/excess.py): where c is much larger than the eigenvalues of T, η alone is small
whatever the excess. The step that foretold it is taken too: it costs nothing more, and leaves the excess
well below what was foretold. Levels of doubling segments begin each from a spline through the last.

Where no bound is known (a contrast, guidance), where a move has met twice the curvature that the bound
allows, or where η would end a level and the rest is not small, secants of every node stand for the
curvature in place of the bound, from there to the end (secant_steps.py). A path has converged if it was
solved on its last level and has pieces enough for its length to be a geodesic's; where it was not, it
ends with the shortest path of that level that was seen. `mode`:

    fast    λ from the score's bound, halved, accelerated; where it does not hold, secants
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
from geodesic_lightning.functional.excess import foretold, left_by
from geodesic_lightning.functional.length import Residual
from geodesic_lightning.geometry.laplacian import Laplacian
from geodesic_lightning.geometry.path import Path
from geodesic_lightning.optimizers.anderson import extrapolate
from geodesic_lightning.optimizers.base import Optimizer
from geodesic_lightning.optimizers.secant_steps import Known, Plan
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
        report: level, iteration, residual_norm, predicted_excess, excess_of_pieces, shift of the latest step.

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
            "known": None,
            "shortest": None,
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
        state.pop("secants", None)  # as a run of before wrote them: it learns them anew
        return {"known": None, "shortest": None}

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
        now, residual = self._now, evaluation.residual
        laplacian = Laplacian(len(evaluation.interior) + 1, residual.vector)
        plan = None if self._by_secants(evaluation) else self._bounded(evaluation, laplacian)
        if plan is None:
            plan = self._from_secants(evaluation, laplacian)
        now["last_x"], now["last_s"] = evaluation.interior, residual.force
        self.report = {
            "level": len(evaluation.interior) + 1,
            "iteration": now["iteration"],
            "residual_norm": float(laplacian.dual_norm(residual.vector)),
            "predicted_excess": plan.excess,
            "excess_of_pieces": evaluation.excess_of_pieces,
            "shift": plan.shift,
        }
        ends = self._level_ends(plan, evaluation)
        if not (ends and self.noisy):
            move = evaluation.manifold.proju(plan.start, self._capped(plan.move, plan.residual))
            self.path.set_nodes(plan.start + move)
        now["iteration"] += 1
        if self._last:
            self._remember(evaluation)
        if ends:
            self._end_level(plan, evaluation)

    def _remember(self, evaluation: LegEvaluation) -> None:
        """Keep the shortest path of the last level that was seen."""
        length, shortest = float(evaluation.action.length), self._now["shortest"]
        if shortest is None or length < shortest[1]:
            self._now["shortest"] = evaluation.interior, length

    def _bounded(self, evaluation: LegEvaluation, laplacian: Laplacian) -> Plan | None:
        """The step by the score's bound, or None: it does not hold, or it would end the level by its size alone."""
        points, residual, last = (
            evaluation.interior,
            evaluation.residual,
            self._last_move(evaluation),
        )
        trusting = self.mode == "safe" or self.noisy
        if not trusting and last is not None and _steeper(last, evaluation.curvature_bound):
            self._doubt(evaluation)
            return None
        shift = residual.weight * self._shift_rate(evaluation)
        step = evaluation.manifold.proju(points, laplacian.solve(residual.vector, shift))
        move = (
            self._damped(points, step)
            if self.noisy
            else self._accelerated(evaluation, step, laplacian.dual_norm(residual.vector))
        )
        excess = torch.stack([foretold(residual, taken).abs() for taken in (step, move)]).max()
        found = torch.stack([shift, excess, left_by(residual, laplacian, shift)]).tolist()
        plan = Plan(points, move, residual, *found)
        if plan.excess < self._tolerance <= plan.left and not trusting:
            self._doubt(evaluation)
            return None
        return plan

    def _from_secants(self, evaluation: LegEvaluation, laplacian: Laplacian) -> Plan:
        """The step by what the moves have shown."""
        now, points = self._now, evaluation.interior
        known = Known.nothing(points) if now["known"] is None else Known.of(now["known"])
        known = known.at(points, evaluation.residual, laplacian)
        now["known"] = known.state()
        return known.plan(laplacian, evaluation.manifold)

    def _by_secants(self, evaluation: LegEvaluation) -> bool:
        """The score pulls, and nothing is known of its curvature; or what was told of it does not hold."""
        fast = not self.noisy and self.mode != "safe"
        doubted = evaluation.curvature_bound is None or self._now["known"] is not None
        return fast and doubted and bool(evaluation.residual.weight > 0)

    def _doubt(self, evaluation: LegEvaluation) -> None:
        """Go on by secants, of which the last move is the first."""
        known, last = Known.nothing(evaluation.interior), self._last_move(evaluation)
        if last is not None:
            known = known.learned(*last, evaluation.residual.spacing)
        self._now["known"] = known.state()

    def _last_move(self, evaluation: LegEvaluation) -> tuple[Tensor, Tensor] | None:
        """By how much the nodes were moved last on this level, and the change of −P s that came of it."""
        now = self._now
        if now["last_x"] is None or now["last_s"] is None:
            return None
        return evaluation.interior - now["last_x"], now["last_s"] - evaluation.residual.force

    def _shift_rate(self, evaluation: LegEvaluation) -> float:
        """λ: from the score's bound, or where there is none from secants of the force across the path."""
        bound = evaluation.curvature_bound
        if bound is not None:
            return bound if self.mode == "safe" or self.noisy else 0.5 * bound
        now, last = self._now, self._last_move(evaluation)
        if last is not None:
            now["shift_rate"] = max(0.5 * _curvature(*last), now["shift_rate"] / 2)
        return now["shift_rate"]

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
        now["best"], now["last_f"] = min(now["best"], norm), step
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

    @property
    def _tolerance(self) -> float:
        return self.tolerance if self._last else max(self.coarse_tolerance, self.tolerance)

    def _level_ends(self, plan: Plan, evaluation: LegEvaluation) -> bool:
        now = self._now
        if self.noisy:
            return now["iteration"] + 1 >= self._most_iterations
        if max(plan.excess, plan.left) < self._tolerance:
            now["converged"] = self._last and self.resolves(evaluation)
            return True
        return now["iteration"] >= self._most_iterations

    def _end_level(self, plan: Plan, evaluation: LegEvaluation) -> None:
        """Settle the answer of this level, then refine or finish."""
        now, path = self._now, self.path
        if self.noisy and now["counted"]:
            path.set_nodes(now["total"] / now["counted"])
        if self._last:
            now["finished"] = True
            solved = max(plan.excess, plan.left) < self._tolerance
            if not solved and not self.noisy and self.bends_length:
                nodes, length = now["shortest"]
                if float(evaluation.action.length) > length:
                    path.set_nodes(nodes)
            return
        now["level"] += 1
        segments = self.levels[now["level"]]
        path.refine(segments)
        if now["known"] is not None:
            now["known"] = Known.of(now["known"]).refined(segments).state()
        self._begin_level()


def _curvature(move: Tensor, change: Tensor) -> float:
    """Along moves (N−1, d) of all nodes, from the changes of −s that came of them."""
    return float((change * move).sum() / move.square().sum().clamp_min(1e-30))


def _steeper(last: tuple[Tensor, Tensor], bound: float | None) -> bool:
    """The last move met twice the curvature that there may be."""
    return bound is not None and _curvature(*last) > 2 * bound
