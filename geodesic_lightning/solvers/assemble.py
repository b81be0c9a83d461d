"""From parts to a solver: frames → latents → path → problem → decoder → solver. No configuration, no I/O."""

from collections.abc import Callable
from functools import partial
from typing import Any

from geodesic_lightning.data.clip import Clip
from geodesic_lightning.data.frames import Frames
from geodesic_lightning.decoding.decoder import Decoder, plain
from geodesic_lightning.decoding.retime import Timing
from geodesic_lightning.errors import UserError

# euclidean and sphere by this name too: configurations that were written down name them here.
from geodesic_lightning.geometry.choose_manifold import automatic, euclidean, sphere  # noqa: F401
from geodesic_lightning.integrators.initial_velocity import Velocity
from geodesic_lightning.protocols import (
    Functional,
    MakeCondition,
    MakeManifold,
    MakeScore,
    Metrics,
    Model,
)
from geodesic_lightning.score.condition import Condition
from geodesic_lightning.solvers.base import Solver, check_memory
from geodesic_lightning.solvers.layouts import view
from geodesic_lightning.solvers.stages import Stages


def assemble(
    model: Model,
    frames: Frames | Clip,
    solver: Callable[..., Solver],
    score: MakeScore,
    condition: MakeCondition,
    manifold: MakeManifold = automatic,
    velocity: Velocity | None = None,
    timing: Timing | None = None,
    decoder: Callable[..., Decoder] = plain,
    functional: Functional | None = None,
    metrics: Metrics | None = None,
    context: dict[str, Any] | None = None,
    stages: Stages | None = None,
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
        metrics: what else the morph is measured by.
        context: what the run wants said in its summary beside the path.
        stages: the run's ledger.

    Raises:
        UserError: parts that do not fit together.
    """
    stages = stages or Stages()
    stages.watch(model)
    stages.enter("encode")
    model.prepare(frames)
    kind: Any = getattr(solver, "func", solver)  # a maker is a class, or a partial of one
    mixed = getattr(decoder, "func", decoder) is not plain
    if mixed and (velocity is not None or not kind.joins_images):
        raise UserError(
            "decoder: frames are mixed from the two images that a path joins, and this solver joins "
            "none: choose decoder=plain."
        )
    rest: dict[str, Any] = {"functional": functional, "timing": timing, "metrics": metrics}
    rest |= {"context": context, "stages": stages}
    if velocity is not None:
        seen, given = view(model, frames, condition, manifold)
        launch = velocity(seen)
        norms = seen.manifold.statistics(seen.latents.flatten(1))

        def shown(embedded: Condition) -> Decoder:
            own = None if given is None else given[launch.frame][None]
            return decoder(model, embedded, own, norms[launch.frame][None], (0.0,), None)

        parts = (launch, seen.manifold, seen.condition, partial(score, model), shown)
        built = solver(*parts, **rest)
    else:
        laid = kind.layout(model, frames, condition, manifold, decoder)
        built = solver(laid.path, score(model, laid.condition), laid.decoder, **laid.own, **rest)
    check_memory(model, built.segments, built.frame_count)
    if metrics is not None:
        metrics.check(built)
    stages.enter("rest")
    return built
