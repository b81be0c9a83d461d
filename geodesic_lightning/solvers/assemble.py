"""From parts to a solver: frames → latents → path → problem → decoder → solver. No configuration, no I/O."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from geodesic_lightning.data.clip import Clip
from geodesic_lightning.data.frames import Frames
from geodesic_lightning.decoding.decoder import Decoder, plain
from geodesic_lightning.decoding.retime import Timing
from geodesic_lightning.errors import UserError
from geodesic_lightning.functional.alternatives import Functional

# euclidean and sphere by this name too: configurations that were written down name them here.
from geodesic_lightning.geometry.choose_manifold import automatic, euclidean, sphere  # noqa: F401
from geodesic_lightning.geometry.manifold import Manifold
from geodesic_lightning.score.condition import Condition
from geodesic_lightning.solvers.base import Solver
from geodesic_lightning.solvers.layouts import stops, view


@dataclass
class Clock:
    """Seconds of each stage, by name; the first begins at `began`, a time.perf_counter()."""

    seconds: dict[str, float] = field(default_factory=dict)
    began: float = field(default_factory=time.perf_counter)

    def lap(self, stage: str) -> None:
        """Time since the last lap belongs to `stage`."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self.began
        self.began = now


def assemble(
    model,
    frames: Frames | Clip,
    solver: Callable[..., Solver],
    score: Callable,
    condition: Callable[..., Condition],
    manifold: Callable[..., Manifold] = automatic,
    clock: Clock | None = None,
    velocity: Callable | None = None,
    timing: Timing | None = None,
    decoder: Callable[..., Decoder] = plain,
    functional: Functional | None = None,
) -> Solver:
    """Lay the frames out as a path at the model's noise level, and hand it and its score to the solver.

    Args:
        model: the frozen model, on its device.
        frames: two ends, more keyframes, or a Clip.
        solver: (path, score, decoder) → Solver; its class says in which layout it takes the frames.
        score: (model, condition) → Score.
        condition: (model, prompts, clean latents) → Condition.
        manifold: (model, noisy latents) → Manifold.
        velocity: for a solver that shoots, View → Launch.
        timing: which places the frames of the film show; None for equal distances.
        decoder: (model, condition, given images, norms, places, clean latents) → Decoder, of the
            paths between images.
        functional: of a boundary value problem, in place of the density's length.
    """
    layout = getattr(getattr(solver, "func", solver), "layout", stops)
    mixed = getattr(decoder, "func", decoder) is not plain
    if mixed and (velocity is not None or layout is not stops):
        raise UserError(
            "decoder: frames are mixed from the two images that a path joins, and this solver joins "
            "none: choose decoder=plain."
        )
    if velocity is not None:
        seen, given = view(model, frames, condition, manifold)
        launch = velocity(seen)
        norms = seen.manifold.statistics(seen.latents.flatten(1))

        def shown(embedded: Condition) -> Decoder:
            own = None if given is None else given[launch.frame][None]
            return Decoder(model, embedded, own, norms[launch.frame][None], (0.0,))

        built = solver(launch, seen.manifold, seen.condition, partial(score, model), shown)
    else:
        laid = layout(model, frames, condition, manifold, decoder)
        built = solver(laid.path, score(model, laid.condition), laid.decoder)
    if timing is not None:
        built.timing = timing
    if functional is not None:
        built.bend_by(functional)
    if clock:
        clock.lap("encode")
    return built
