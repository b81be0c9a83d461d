"""What every solver shares: it owns the path, and measures and shows it, however it was made."""

from __future__ import annotations

from math import prod
from typing import Any

import lightning as L
import torch
from torch import Tensor

from geodesic_lightning.decoding.retime import EvenInDistance, Timing, snapped
from geodesic_lightning.errors import UserError
from geodesic_lightning.functional.length import DensityLength
from geodesic_lightning.functional.optics import reading
from geodesic_lightning.functional.quadrature import Measurement
from geodesic_lightning.functional.strength import Strength
from geodesic_lightning.models import memory
from geodesic_lightning.problems.boundary_value import Problem
from geodesic_lightning.problems.initial_value import InitialValueProblem
from geodesic_lightning.protocols import AnyPath, Decoder, Functional, Metrics, Model, Score
from geodesic_lightning.solvers import layouts
from geodesic_lightning.solvers.film import Film
from geodesic_lightning.solvers.scalars import FINAL, STEP
from geodesic_lightning.solvers.shortfall import Shortfall
from geodesic_lightning.solvers.stages import Stages

SHOWN = 1 / 16  # of a run's own passes: what films on the way, and those to compare with, may take
MOST, FEWEST = 9, 3  # frames of such a film
MANY = 100_000  # segments, or frames: an hour of film has fewer
FEW = 1000


class Solver(L.LightningModule):
    """A LightningModule whose parameters are the path's interior nodes and nothing else.

    The problem and the decoder are plain objects: the frozen model in them is not registered.

    Args:
        problem: the path, its score and α.
        decoder: shows the path.
        segments: N of the final path, at least 2.
        frames: images of the final film, at least 2.
        functional: what is bent to its least; only a solver that `bends` takes another than the density's length.
        timing: which places the frames show, once the path has been measured; equal distances if not given.
        metrics: what else a morph is measured by: solver → figures by name.
        context: what the run wants said in its summary beside the path: its seed, its model's name.
        name: what summaries call it; the class's own if not given.
        stages: the run's ledger; a new one if not given.

    Attributes:
        report: the latest scalars, floats by name.
        measures: what the metrics found.
        unshown: what callbacks met with while they wrote, raised when all have written.
        measurement, start: the path as measured in validation, and as it was at first; None before.
        moving: names of the buffers that solving moves.

    Raises:
        UserError: a setting is out of its range, or the functional is not known to this solver.
    """

    verbs: tuple[str, ...] = ("validate",)
    name = "solver"
    layout = staticmethod(layouts.stops)
    bends = False
    joins_images = True  # its path goes from image to image
    moving: tuple[str, ...] = ()

    def __init__(
        self,
        problem: Problem | InitialValueProblem,
        decoder: Decoder,
        segments: int,
        frames: int,
        functional: Functional | None = None,
        timing: Timing | None = None,
        metrics: Metrics | None = None,
        context: dict[str, Any] | None = None,
        name: str | None = None,
        stages: Stages | None = None,
    ) -> None:
        super().__init__()
        self.name = name or self.name
        check_counts(segments, frames)
        if not (self.bends or functional is None or isinstance(functional, DensityLength)):
            raise UserError(
                f"functional={functional.name}: solver={self.name} knows the density's own alone: "
                "choose solver=bvp, or functional=density."
            )
        # A solver knows more of its own: which path, which problem, which decoder.
        self.path: Any = problem.path
        self.problem: Any = problem
        self.decoder: Any = decoder
        self.segments, self.frame_count = segments, frames
        self.timing: Timing = timing or EvenInDistance()
        self.metrics = metrics
        self.context: dict[str, Any] = {} if context is None else context
        if stages is None:
            stages = Stages("rest")
            stages.watch(problem.score.model)
        self.stages = stages
        self.report: dict[str, float] = {}
        self.measurement: Measurement | None = None
        self.start: Measurement | None = None
        self.measures: dict[str, float] = {}
        self.unshown: list[Exception] = []
        self._film: Film | None = None

    @property
    def seconds(self) -> dict[str, float]:
        """Of each stage so far; solving and decoding have theirs even where there was none."""
        known = self.stages.seconds
        return known | {stage: known.get(stage, 0.0) for stage in ("solve", "decode")}

    @property
    def start_name(self) -> str:
        """What solving begins with: the manifold's own geodesic."""
        return f"start ({self.path.manifold.line})"

    def setup(self, stage: str) -> None:
        self.stages.enter("solve" if stage == "fit" else "measure")
        self.problem.score.model.to(self.device)

    def teardown(self, stage: str) -> None:
        self.stages.enter("rest")

    @property
    def finished(self) -> bool:
        """Nothing is left to solve."""
        return True

    @property
    def converged(self) -> bool:
        """The solver's own test of convergence was met."""
        return True

    @property
    def shortfall(self) -> Shortfall | None:
        """How far a path got that did not converge, and what to change; None where there is nothing to tell."""
        return None

    @property
    def strength(self) -> float:
        """κ of α on this path, radians."""
        return float(self.problem.strength)

    def frames(self, count: int | None = None) -> Tensor:
        """Images (count, 3, H, W) in [0, 1] of the path as it stands; each frame is decoded once.

        A closed path shows its first keyframe once: its film is a loop.
        """
        count, film = count or self.frame_count, self._present
        if count not in film.whole:
            with self.stages.at(self._showing):
                film.whole[count] = self._images(count)
        return film.whole[count]

    def start_film(self, count: int | None = None, most: int = MOST) -> Tensor | None:
        """Of the path before the first step: `count` frames, or a rough film as `sketch` has it."""
        return self.frames(count) if count else self.sketch(most)

    def images(self, places: Tensor) -> Tensor:
        """Images (m, 3, H, W) in [0, 1] at places (m,) of the path as it stands; each is decoded once."""
        return self._present.at(places, lambda new: self.decoder(self.path, new))

    def rough(self, places: Tensor) -> Tensor:
        """As `images`, in few passes: for frames that are only compared with their neighbours."""
        return self.decoder.rough(self.path, places.to(torch.float32))

    def sketch(self, most: int = MOST) -> Tensor | None:
        """A rough film of the path as it stands, of at most so many frames.

        What is shown of a path on its way takes at most SHOWN of the passes that the run itself takes:
        there are as many frames as that allows; None where it allows no film.
        """
        with self.stages.at("show"):
            count = self.affordable(most)
            return self._images(count, rough=True) if count else None

    def sketch_of(self, path: AnyPath, most: int = MOST) -> Tensor | None:
        """As `sketch`, of another path, at even places."""
        with self.stages.at("show"):
            count = self.affordable(most)
            return self.decoder.rough(path, torch.linspace(0, 1, count)) if count else None

    def affordable(self, most: int) -> int:
        """Frames of a rough film, at most so many, that keep what is shown within SHOWN of the run's own passes."""
        spent, decoder = self.stages.passes, self.decoder
        shown = spent.pop("show", 0)
        own = sum(spent.values())
        if self.measurement is None:  # what is known to come
            own += self.segments - 1 + decoder.cost(self.frame_count)
        for count in range(most, FEWEST - 1, -1):
            if shown + decoder.cost(count, rough=True) <= SHOWN * own:
                return count
        return 0

    @property
    def _present(self) -> Film:
        """What is decoded of the path as it stands."""
        points, timing = self.path.points(), self._timing.name
        if self._film is None or not self._film.shows(points, timing):
            self._film = Film(points.clone(), timing)
        return self._film

    @property
    def _timing(self) -> Timing:
        return EvenInDistance() if self.measurement is None else self.timing

    @property
    def _showing(self) -> str:
        """The stage that a film belongs to: before the outcome is measured it is one to look at."""
        return "show" if self.measurement is None else "decode"

    def densities(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Curves by name, u (n,) and log density (n,) in nats relative to the start, as last known.

        Of the measured path, before that of the latest step; nothing is evaluated.
        """
        m = self.measurement
        return {} if m is None else {"path": (m.u, m.log_density)}

    def places(self, count: int) -> Tensor | None:
        """Where on the path the film's frames are, (count,) of path.u; None if it is of several paths."""
        known = self._present.places
        if count not in known:
            closed, stops = self.path.closed, self.path.stops
            shares = torch.linspace(0, 1, count + 1)[:-1] if closed else torch.linspace(0, 1, count)
            with self.stages.at("retime"):
                places = self._timing(shares, self)
            if stops is not None:
                places = snapped(places, stops[:-1] if closed else stops)
            known[count] = places
        return known[count]

    def _images(self, count: int, rough: bool = False) -> Tensor:
        places = self.places(count)
        assert places is not None, "a film of several paths is a solver's own"
        if rough:
            return self.rough(places)
        return self.images(places)

    def validation_step(self, batch: object, index: int) -> None:
        """Measure the path: every node scored once, no randomness."""
        self.measurement = self.problem.measure()
        self.say(readings(self.measurement))

    def on_validation_epoch_end(self) -> None:
        """Measure the film, if that was asked for."""
        if self.metrics is not None:
            with self.stages.at("metrics"):
                self.measures = self.metrics(self)
            self.log_dict({f"final/{k}": v for k, v in self.measures.items()}, batch_size=1)

    def on_validation_end(self) -> None:
        """Callbacks have written; what one could not is told now."""
        if self.unshown:
            raise self.unshown[0]

    def say(self, found: dict[str, float]) -> None:
        """Log the outcome: what is measured of every path (scalars.FINAL), and what is a solver's own.

        What solving has not said of its steps (scalars.STEP) is said once, so that all runs have a
        point in the same panels.
        """
        before = self.start.length if self.start else found["length"]
        found = {"length_start": before} | found
        found |= {
            "score_evaluations": float(self.problem.evaluations),
            "seconds": self.seconds["solve"],
            "alpha": self.problem.alpha,
            "strength": self.strength,
            "converged": float(self.converged),
        }
        once = {name for name in STEP if name not in self.report}
        if once:  # panels have the evaluations as their axis
            once.add("score_evaluations")
        own = {f"final/{name}": found[name] for name in found if name not in STEP}
        steps = {f"solve/{name}": found[name] for name in STEP if name in once}
        self.log_dict({f"final/{name}": found[name] for name in FINAL} | own | steps, batch_size=1)

    def summary(self) -> dict[str, Any]:
        """What summary.json says of the path; JSON-ready."""
        m = self.measurement
        if m is None:
            raise RuntimeError("summary() before validation: run trainer.validate first")
        return {
            "solver": self.name,
            "score": self.problem.score.field.name,
            "measured_by": measured_by(self.problem.score),
            **self.context,
            "weights": self.problem.score.model.source,
            **self.problem.score.model.facts,
            "frames": self.frame_count,
            "segments": self.path.segments,
            "alpha": self.problem.alpha,
            "strength": self.strength,
            "u": torch.linspace(0, 1, self.path.segments + 1).tolist(),
            "length": m.length,
            "length_start": self.start.length if self.start else m.length,
            "length_error": m.geodesic_error,
            "length_quadrature_error": m.length_error,
            "energy": m.energy,
            "log_density": m.log_density.tolist(),
            "log_density_start": (self.start or m).log_density.tolist(),
            "log_density_error": m.log_density_error,
            "residual": m.turning.tolist(),
            **reading(m, self.problem.alpha),
            "converged": self.converged,
            "not_converged": str(short) if (short := self.shortfall) else None,
            **({"measures": self.measures} if self.measures else {}),
            "score_evaluations": self.problem.evaluations,
            "unet_evaluations": self.problem.score.model.evaluations,
            "unet_evaluations_by_stage": self.stages.passes,
            "seconds": self.seconds,
            # Where the density is exact: the path's exact length against the known geodesic's.
            **self.problem.score.model.judge(
                self.path.points(), self.problem.alpha, self.path.manifold
            ),
        }


def check_counts(segments: int, frames: int) -> None:
    """Raise UserError for fewer segments or frames than a path has, or more than MANY."""
    for name, count in (("segments", segments), ("frames", frames)):
        if not 2 <= count <= MANY:
            bound = "at least 2" if count < 2 else f"at most {MANY:,}"
            raise UserError(f"solver.{name}: got {count}, expected {bound}.")


def check_memory(model: Model, segments: int, frames: int) -> None:
    """Raise UserError where so many nodes, or frames, of a model cannot fit into memory.

    A node has a score and a former place beside it; a frame is three floats a pixel. Up to FEW any may be
    tried.
    """
    size = model.image_size
    height, width = (size, size) if isinstance(size, int) else size
    for what, count, numbers in (
        (f"solver.segments={segments}: a path", segments, 3 * prod(model.latent_shape)),
        (f"solver.frames={frames}: a film", frames, 3 * height * width),
    ):
        if count > FEW:
            images = f"{what} of images of [{height},{width}] px"
            memory.require(4.0 * count * numbers, model.device, images, "take fewer")


def measured_by(score: Score) -> str:
    """The field that lengths and densities are of, however the path was solved: at the path's timestep, sure."""
    return f"{score.field.name} at t={score.model.timestep}"


def readings(measured: Measurement) -> dict[str, float]:
    """Of a measured path what the outcome says, by scalars' names."""
    turning = measured.turning
    return {
        "length": measured.length,
        "length_error": measured.geodesic_error,
        "energy": measured.energy,
        "log_density": float(measured.log_density.mean()),
        "log_density_end": float(measured.log_density[-1]),
        "residual": float(turning.mean()) if len(turning) else 0.0,
        "predicted_excess": measured.predicted_excess,
    }


def exponent(
    score: Score, alpha: float | None, strength: float | None = None, former: float | None = None
) -> float | Strength:
    """What bends a path: α as it was asked for, or a strength that it follows from.

    Args:
        score: whose model may have an α of its own, as an exact density has, whose geodesic is known for it.
        alpha, strength: as they were asked for; at most one.
        former: α of the path that is gone on from.

    Raises:
        UserError: both are asked for.
    """
    if alpha is not None and strength is not None:
        raise UserError(
            f"solver.alpha={alpha:g} and solver.strength={strength:g}: one follows from the other, "
            "expected one of them: leave one out."
        )
    if strength is not None:
        return Strength(strength)
    known = score.model.alpha
    if isinstance(known, dict):
        known = known.get(score.field.name)
    for own in (alpha, former, known):
        if own is not None:
            return float(own)
    return Strength()
