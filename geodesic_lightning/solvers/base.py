"""What every solver shares: it owns the path, and measures and shows it, however it was made."""

from __future__ import annotations

import time
from collections.abc import Callable

import lightning as L
import torch
from torch import Tensor

from geodesic_lightning.decoding.decoder import Decoder
from geodesic_lightning.decoding.retime import EvenInDistance, Timing, snapped
from geodesic_lightning.errors import UserError
from geodesic_lightning.functional.alternatives import Functional
from geodesic_lightning.functional.optics import reading
from geodesic_lightning.functional.quadrature import Measurement
from geodesic_lightning.geometry.path import Path
from geodesic_lightning.problems.legs import problem_on
from geodesic_lightning.score.estimator import Score
from geodesic_lightning.solvers import layouts
from geodesic_lightning.solvers.scalars import FINAL, STEP


class Solver(L.LightningModule):
    """A LightningModule whose parameters are the path's interior nodes and nothing else.

    The problem and the decoder are plain objects: the frozen model in them is not registered.

    Args:
        path: its ends and manifold; it is cut into `segments` pieces.
        score: the estimator of ∇log p.
        decoder: shows the path.
        alpha: α ≥ 0; None takes what the model recommends for this score.
        segments: N of the final path.
        frames: images of the final film, at least 2.

    Attributes:
        seconds: of solving and of decoding, so far.
        context: what the run wants said in its summary beside the path: its seed, its model's name.
        report: the latest scalars, floats by name.
        timing: which places the frames show, once the path has been measured.
        metrics: what else a morph is measured by (metrics.Measures); measures: what that found.
        measurement, start: the path as measured in validation, and as it was at first; None before.
    """

    verbs: tuple[str, ...] = ("validate",)
    name = "solver"
    layout = staticmethod(layouts.stops)

    def __init__(
        self,
        path: Path,
        score: Score,
        decoder: Decoder,
        alpha: float | None = None,
        segments: int = 16,
        frames: int = 17,
    ) -> None:
        super().__init__()
        if segments < 2:
            raise UserError(f"solver.segments: got {segments}, expected at least 2.")
        if frames < 2:
            raise UserError(f"solver.frames: got {frames}, expected at least 2.")
        path.place(path.baseline(segments)[1:-1])
        self.path = path
        self.problem = problem_on(path, score, recommended(score) if alpha is None else alpha)
        self.decoder, self.segments, self.frame_count = decoder, segments, frames
        self.seconds = {"solve": 0.0, "decode": 0.0}
        self.context: dict = {}
        self.report: dict[str, float] = {}
        self.measurement: Measurement | None = None
        self.start: Measurement | None = None
        self.timing: Timing = EvenInDistance()
        self.metrics: Callable[[Solver], dict[str, float]] | None = None
        self.measures: dict[str, float] = {}
        self._shown: tuple[Tensor, Timing, Tensor] | None = None

    def bend_by(self, functional: Functional) -> None:
        """Solve for another functional than the density's length.

        Raises:
            UserError: this solver knows no other.
        """
        raise UserError(
            f"functional={functional.name}: solver={self.name} knows the density's own alone: choose solver=bvp, "
            "or functional=density."
        )

    def setup(self, stage: str) -> None:
        self.problem.score.model.to(self.device)

    @property
    def finished(self) -> bool:
        """Nothing is left to solve."""
        return True

    @property
    def converged(self) -> bool:
        """The solver's own test of convergence was met."""
        return True

    def frames(self, count: int | None = None) -> Tensor:
        """Images (count, 3, H, W) in [0, 1] of the path as it stands; each path is decoded once.

        A closed path shows its first keyframe once: its film is a loop.
        """
        count = count or self.frame_count
        timing = EvenInDistance() if self.measurement is None else self.timing
        points, shown = self.path.points(), self._shown
        if (
            shown is None
            or len(shown[2]) != count
            or shown[1].name != timing.name
            or not _same(shown[0], points)
        ):
            began = time.perf_counter()
            self._shown = (points.clone(), timing, self._images(count))
            self.seconds["decode"] += time.perf_counter() - began
        return self._shown[2]

    def densities(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Curves by name, u (n,) and log density (n,) in nats relative to the start, as last known.

        Of the measured path, before that of the latest step; nothing is evaluated.
        """
        m = self.measurement
        return {} if m is None else {"path": (m.u, m.log_density)}

    def places(self, count: int) -> Tensor | None:
        """Where on the path the film's frames are, (count,) of path.u; None if it is of several paths."""
        timing = EvenInDistance() if self.measurement is None else self.timing
        closed = getattr(self.path, "closed", False)
        shares = torch.linspace(0, 1, count + 1)[:-1] if closed else torch.linspace(0, 1, count)
        places = timing(shares, self)
        if hasattr(self.path, "stops"):
            places = snapped(places, self.path.stops[:-1] if closed else self.path.stops)
        return places

    def _images(self, count: int) -> Tensor:
        return self.decoder(self.path, self.places(count).to(torch.float32))

    def validation_step(self, batch, index: int) -> None:
        """Measure the path: every node scored once, no randomness."""
        self.measurement = self.problem.measure()
        self.say(readings(self.measurement))

    def on_validation_epoch_end(self) -> None:
        """Measure the film, if that was asked for."""
        if self.metrics is not None:
            self.measures = self.metrics(self)
            self.log_dict({f"final/{k}": v for k, v in self.measures.items()}, batch_size=1)

    def say(self, found: dict[str, float]) -> None:
        """Log the outcome: what is measured of every path (scalars.FINAL), and what is a solver's own.

        What solving has not said of its steps (scalars.STEP) is said once, so that all runs have a
        point in the same panels.
        """
        found = found | {
            "score_evaluations": float(self.problem.evaluations),
            "seconds": self.seconds["solve"],
        }
        once = {name for name in STEP if name not in self.report}
        if once:  # panels have the evaluations as their axis
            once.add("score_evaluations")
        own = {f"final/{name}": found[name] for name in found if name not in STEP}
        steps = {f"solve/{name}": found[name] for name in STEP if name in once}
        self.log_dict({f"final/{name}": found[name] for name in FINAL} | own | steps, batch_size=1)

    def summary(self) -> dict:
        """What summary.json says of the path; JSON-ready."""
        m = self.measurement
        if m is None:
            raise RuntimeError("summary() before validation: run trainer.validate first")
        return {
            "solver": self.name,
            **self.context,
            "weights": getattr(self.problem.score.model, "source", None),
            **getattr(self.problem.score.model, "facts", {}),
            "frames": self.frame_count,
            "segments": self.path.segments,
            "alpha": self.problem.alpha,
            "u": torch.linspace(0, 1, self.path.segments + 1).tolist(),
            "length": m.length,
            "length_start": self.start.length if self.start else m.length,
            "length_quadrature_error": m.length_error,
            "energy": m.energy,
            "log_density": m.log_density.tolist(),
            "log_density_start": (self.start or m).log_density.tolist(),
            "log_density_error": m.log_density_error,
            "residual": m.turning.tolist(),
            **reading(m, self.problem.alpha),
            "converged": self.converged,
            **({"measures": self.measures} if self.measures else {}),
            "score_evaluations": self.problem.evaluations,
            "unet_evaluations": self.problem.score.model.evaluations,
            "seconds": {**self.context.get("seconds", {}), **self.seconds},
            **self._against_reference(),
        }

    def _against_reference(self) -> dict:
        """Where the density is exact: the path's exact length against the known geodesic's."""
        judge = getattr(self.problem.score.model, "judge", None)
        return judge(self.path.points(), self.problem.alpha, self.path.manifold) if judge else {}


def readings(measured: Measurement) -> dict[str, float]:
    """Of a measured path what the outcome says, by scalars' names."""
    turning = measured.turning
    return {
        "length": measured.length,
        "energy": measured.energy,
        "log_density": float(measured.log_density.mean()),
        "log_density_end": float(measured.log_density[-1]),
        "residual": float(turning.mean()) if len(turning) else 0.0,
        "predicted_excess": measured.predicted_excess,
    }


def recommended(score: Score) -> float:
    """The α that the model recommends for this score: α belongs to its score."""
    known = score.model.alpha
    if not isinstance(known, dict):
        return float(known)
    if score.field.name not in known:
        raise UserError(
            f"solver.alpha: model={score.model.name} recommends none for the field "
            f"{score.field.name}, expected a number: "
            "give solver.alpha=0.01, say."
        )
    return float(known[score.field.name])


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.equal(a, b)
