"""The Python interface: what the command line does, in four lines.

    from geodesic_lightning import interpolate
    solution = interpolate("a.png", "b.png", "a red cat", "a blue cat")
    print(solution.length, solution.evaluations)
    solution.save("morph")

    interpolate   the geodesic between two images
    through       one path through more of them, open or closed
    from_text     the same between pictures of the model's own, from prompts alone
    mean          the image nearest to all of several
    extrapolate   shoot from one image, towards another, past a solved path, or anywhere
    analyse       is a clip a geodesic?

All take the settings of `Settings` by name; what is wrong with one is said before anything is loaded. They warn of a
path that did not converge (NotConvergedWarning).

Calls of several threads wait for one another, since libraries patch torch while a model is loaded; a progress callback
may call again, but must not wait for another thread that does. A call computes in float32 on the device it is
given, whatever the caller's autocast, default dtype, default device and grad mode are, and leaves them, random
states, warnings filters and signal handlers as they were. Ctrl-C is a KeyboardInterrupt.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial, wraps
from pathlib import Path as FilePath
from typing import Any, ParamSpec, Unpack

import torch

from geodesic_lightning.caller import surroundings
from geodesic_lightning.caller.turn import turn
from geodesic_lightning.data.clip import Clip, clip
from geodesic_lightning.data.frames import Frames, image, pair, points
from geodesic_lightning.data.keyframes import keyframe_points, keyframes
from geodesic_lightning.data.point import are_points, is_point, point
from geodesic_lightning.data.prompts import prompts as prompts_alone
from geodesic_lightning.data.resize import check_fit
from geodesic_lightning.decoding.decoder import Decoder, plain
from geodesic_lightning.decoding.retime import Timing
from geodesic_lightning.errors import NotConvergedWarning, UserError
from geodesic_lightning.geometry.path import Path
from geodesic_lightning.integrators.initial_velocity import Random, Toward, Velocity
from geodesic_lightning.models.scheduler import Scheduler
from geodesic_lightning.optimizers.integrator import Integrator
from geodesic_lightning.optimizers.semi_implicit import SemiImplicit
from geodesic_lightning.protocols import (
    Functional,
    MakeCondition,
    MakeManifold,
    MakeOptimizer,
    MakeScore,
    Metrics,
)
from geodesic_lightning.report import files
from geodesic_lightning.report.solution import Solution
from geodesic_lightning.score.condition import prompts
from geodesic_lightning.score.estimator import Score
from geodesic_lightning.solvers import assemble
from geodesic_lightning.solvers.base import Solver
from geodesic_lightning.solvers.bvp import BoundaryValueSolver
from geodesic_lightning.solvers.clip import ClipSolver
from geodesic_lightning.solvers.frechet_mean import MeanSolver
from geodesic_lightning.solvers.ivp import InitialValueSolver
from geodesic_lightning.solvers.rehearsal import rehearse
from geodesic_lightning.solvers.settings import FIELDS, Progress, Settings, checked
from geodesic_lightning.solvers.stages import Stages
from geodesic_lightning.trainer.loop import run
from geodesic_lightning.trainer.quiet import quiet

__all__ = [
    "Frames",
    "Path",
    "Settings",
    "Solution",
    "analyse",
    "extrapolate",
    "forget",
    "from_text",
    "interpolate",
    "mean",
    "through",
]

Asked = ParamSpec("Asked")


def _call(function: Callable[Asked, Solution]) -> Callable[Asked, Solution]:
    """A function of this interface: its settings checked, one call at a time, its caller's surroundings kept."""

    @wraps(function)
    def whole(*args: Asked.args, **named: Asked.kwargs) -> Solution:
        given = checked(function, args, named)
        with turn(), surroundings.kept():
            return function(*given.args, **given.kwargs)

    return whole


@_call
def interpolate(
    start: Any,
    end: Any,
    prompt_start: str | None = "",
    prompt_end: str | None = "",
    *,
    tolerance: float = 1e-4,
    **settings: Unpack[Settings],
) -> Solution:
    """The geodesic between two images, by default through the shipped model of drawn cats.

    Args:
        start, end: pictures: image files, http(s) addresses, open binary files, the bytes of a file, PIL images,
            arrays (H, W, 3) or tensors (3, H, W); or points, d numbers each, where the model is a density.
        prompt_start, prompt_end: what they show.
        tolerance: predicted relative excess of length at which solving stops.
        settings: see Settings.

    Raises:
        UserError: one sentence on what is wrong with the input.
    """
    frames = _ends(start, end, prompt_start, prompt_end)
    return _run(frames, BoundaryValueSolver, _bending(tolerance), **settings)


@_call
def through(
    images: str | FilePath | Sequence[Any],
    prompts: Sequence[str] = (),
    *,
    closed: bool = False,
    rounding: float = 0.3,
    tolerance: float = 1e-4,
    **settings: Unpack[Settings],
) -> Solution:
    """One path through several images in their order, smooth at each; see docs/keyframes.md.

    Args:
        images: pictures as for `interpolate`, two or more; or a folder, or a pattern; or points.
        prompts: one an image, or none.
        closed: the path leads back to the first image.
        rounding: part of each leg in which the path may leave its geodesic for smoothness' sake.
        tolerance, settings: as for `interpolate`.

    Raises:
        UserError: one sentence on what is wrong with the input.
    """
    frames = _stops(images, prompts, closed, rounding)
    return _run(frames, BoundaryValueSolver, _bending(tolerance), **settings)


@_call
def from_text(
    *prompts: str,
    seeds: Sequence[int] = (),
    closed: bool = False,
    rounding: float = 0.3,
    guidance: float | None = None,
    tolerance: float = 1e-4,
    **settings: Unpack[Settings],
) -> Solution:
    """The geodesic between pictures that the model draws itself, or through more of them.

    Args:
        prompts: what the pictures show, two or more; or a list of them.
        seeds: of their noise, one a prompt; none are 0, 1, 2 … With one seed for all, pictures resemble.
        guidance: classifier-free guidance with which they are drawn; None is the model's usual one.
        closed, rounding, tolerance, settings: as for `through`.

    Raises:
        UserError: one sentence on what is wrong with the input.
    """
    if len(prompts) < 2:
        raise UserError(
            f"prompts: got {len(prompts)}, expected two or more: write from_text('a cat', 'a dog')."
        )
    frames = prompts_alone(
        prompts=prompts, seeds=seeds, closed=closed, rounding=rounding, guidance=guidance
    )
    return _run(frames, BoundaryValueSolver, _bending(tolerance), **settings)


@_call
def mean(
    images: str | FilePath | Sequence[Any],
    prompts: Sequence[str] = (),
    *,
    tolerance: float = 1e-3,
    rounds: int = 30,
    **settings: Unpack[Settings],
) -> Solution:
    """The mean of several images: the film goes from each to it; `summary["mean"]` has distances.

    Args:
        images, prompts: as for `through`.
        tolerance: of the mean's place: the mean velocity as a part of the mean distance.
        rounds: the most moves of the mean.
        settings: see Settings; `segments` are those of each leg, 8 by default.

    Raises:
        UserError: one sentence on what is wrong with the input.
    """
    settings.setdefault("segments", 8)
    solver = partial(MeanSolver, tolerance=tolerance, rounds=rounds)
    return _run(_stops(images, prompts), solver, SemiImplicit, **settings)


@_call
def extrapolate(
    start: Any,
    toward: Any = None,
    prompt: str | None = "",
    prompt_toward: str | None = "",
    *,
    velocity: Velocity | None = None,
    length: float = 1.0,
    gauge: str = "euclidean",
    floor: float | None = None,
    **settings: Unpack[Settings],
) -> Solution:
    """The geodesic from an image along a velocity; only the first frame is a given image.

    Args:
        start: a picture as for `interpolate`, or a point; toward: a second one, or None for a random direction.
        prompt, prompt_toward: what they show.
        velocity: in place of that direction, one of integrators/initial_velocity.py: Onward("outputs/cat"), say, which
            goes on past `toward`.
        length: how far, in the velocity's unit: with `toward` the distance of the two images.
        gauge: euclidean, or metric: then length is in the metric.
        floor: keeps the shot where pictures are: the least log density, in standard deviations √(d/2)
            above the start's, as 6 (integrators/floor.py); None: a free geodesic.
        settings: see Settings; the optimizer is an integrator, by default Integrator (RK4).

    Raises:
        UserError: one sentence on what is wrong with the input.
    """
    alone = toward is None
    if alone:
        frames = point(start) if is_point(start) else image(start, prompt or "")
    else:
        frames = _ends(start, toward, prompt, prompt_toward)
    velocity = velocity or (Random(seed=settings.get("seed", 0)) if alone else Toward())
    solver = partial(InitialValueSolver, length=length, gauge=gauge, floor=floor)
    return _run(frames, solver, Integrator, velocity, **settings)


@_call
def analyse(
    film: str | FilePath,
    prompt: str | None = "",
    *,
    stride: int = 1,
    range: tuple[int, int] | None = None,
    resize: str = "crop",
    **settings: Unpack[Settings],
) -> Solution:
    """Is a clip a geodesic? `summary["clip"]` says what report.md would; see docs/clips.md.

    Args:
        film: a path: an mp4, gif or webp, or a folder of pictures; prompt: what all frames show.
        stride, range: every stride-th frame of [first, last + 1); resize: the former name of fit.
        settings: see Settings; `segments` are those of the geodesic between the clip's ends.

    Raises:
        UserError: one sentence on what is wrong with the input.
    """
    return _run(
        clip(film, prompt or "", stride, range, resize), ClipSolver, SemiImplicit, **settings
    )


def _ends(start: Any, end: Any, prompt_start: str | None, prompt_end: str | None) -> Frames:
    """Two images with their prompts, or two points."""
    if is_point(start) or is_point(end):
        return points(start, end)
    return pair(start, end, prompt_start or "", prompt_end or "")


def _stops(
    images: Any, prompts: Sequence[str], closed: bool = False, rounding: float = 0.3
) -> Frames:
    """Several images with their prompts, or points."""
    if are_points(images):
        return keyframe_points(images, closed, rounding)
    return keyframes(images, prompts, closed, rounding)


def _bending(tolerance: float) -> MakeOptimizer:
    return partial(SemiImplicit, tolerance=tolerance)


def _lent(run: Callable[..., Solution]) -> Callable[..., Solution]:
    """A loaded pipeline among the settings is the run's model while it lasts; a density becomes one."""

    @wraps(run)
    def whole(
        *parts: Any,
        model: Any = "embedded",
        scheduler: Scheduler | None = None,
        device: str | torch.device | None = None,
        **settings: Any,
    ) -> Solution:
        # Told by name, so that diffusers is not imported for other models.
        if not any(kind.__name__ == "DiffusionPipeline" for kind in type(model).__mro__):
            if not isinstance(model, str) and not hasattr(model, "noise_prediction"):
                from geodesic_lightning.models.own import OwnModel

                model = OwnModel(model)
            return run(*parts, model=model, scheduler=scheduler, device=device, **settings)
        from geodesic_lightning.models.diffusion.borrowed import borrowed

        with borrowed(model, scheduler) as own:
            if device is not None and torch.device(device).type != own.device.type:
                raise UserError(
                    f"device: got {device}, but the pipeline is on {own.device}: move it there by "
                    "pipe.to(…), or leave device out."
                )
            return run(*parts, model=own, device=own.device, **settings)

    return whole


@_lent
def _run(
    given: Frames | Clip,
    solver: Callable[..., Solver],
    usual: Callable[..., Any],
    velocity: Velocity | None = None,
    *,
    model: Any = "embedded",
    score: str | MakeScore = "noise_prediction",
    strength: float | None = None,
    alpha: float | None = None,
    segments: int = 16,
    frames: int = 17,
    scheduler: Scheduler | None = None,
    optimizer: MakeOptimizer | None = None,
    condition: MakeCondition = prompts,
    manifold: MakeManifold = assemble.automatic,
    timing: Timing | None = None,
    decoder: Callable[..., Decoder] | None = None,
    functional: Functional | None = None,
    metrics: Metrics | None = None,
    device: str | torch.device | None = None,
    seed: int = 0,
    fit: str | None = None,
    anchor: str | None = None,
    size: int | tuple[int, int] | str | None = None,
    progress: Progress | None = None,
) -> Solution:
    """Load the model if it is a name, put the parts together, and solve."""
    check_fit(fit := fit or given.fit, anchor := anchor or given.anchor)
    stages = Stages()
    given = replace(given, fit=fit, anchor=anchor)
    estimate = partial(Score, field=FIELDS[score](), seed=seed) if isinstance(score, str) else score
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    solver = partial(
        solver,
        optimizer=optimizer or usual,
        alpha=alpha,
        strength=strength,
        segments=segments,
        frames=frames,
    )
    own: dict[str, Any] = {"velocity": velocity, "functional": functional}
    # What is somebody's own need not work in the plane.
    usual_score = partial(Score, field=FIELDS["noise_prediction"]())
    rehearse({"solver": solver, "score": usual_score, "condition": prompts, **own})
    key = None
    if isinstance(model, str):
        key = (model, size, device)
        model = _by_name(key, scheduler or Scheduler(), condition, given)
    elif scheduler is not None:
        raise UserError("scheduler: the model given has its own, expected None.")
    elif size is not None:
        raise UserError("size: the model given has its own, expected None.")
    context = {"model": model.name, "seed": seed}
    if decoder is None:
        joins = solver.func is BoundaryValueSolver
        decoder = partial(plain, colours="ends" if joins else "path")
    built = assemble.assemble(
        model.to(device),
        given,
        solver,
        estimate,
        condition,
        manifold=manifold,
        stages=stages,
        timing=timing,
        decoder=decoder,
        metrics=metrics,
        **own,
        context=context,
    )
    solution = solved(built, device, progress)
    if short := built.shortfall:
        simple = optimizer is None and isinstance(built, BoundaryValueSolver)
        # The line that called the API, past this function, `_lent`'s, that of the API and `_call`'s.
        warnings.warn(short.in_python(simple), NotConvergedWarning, stacklevel=5)
    if key is not None:  # what became of a model in a call that failed, nobody knows
        forget()
        _kept[key] = model
    return solution


# Of a model made by its name: that, its size, where it computes.
Key = tuple[str, Any, torch.device]
_kept: dict[Key, Any] = {}  # the last one, while nobody uses it


def forget() -> None:
    """Let go of the model that the last call made by its name, and of the memory it takes.

    Where another thread is in a call, once that is over.
    """
    with turn():
        _kept.clear()


def _by_name(key: Key, scheduler: Scheduler, condition: MakeCondition, given: Frames | Clip) -> Any:
    """The model that was kept, now out of others' reach, or a new one."""
    if (model := _kept.pop(key, None)) is not None:
        model.use(scheduler)
        model.evaluations = 0
        return model
    from geodesic_lightning.models.diffusion import DiffusionModel, embedded
    from geodesic_lightning.score.long_prompts import check_before_loading

    forget()  # before there are two of them
    name, size, _ = key
    make = embedded if name == "embedded" else partial(DiffusionModel, name, name=name)
    make = partial(make, size=size)
    check_before_loading(make, condition, given.prompts)
    return make(scheduler=scheduler)


def _telling(history: list[dict[str, float]], progress: Progress | None) -> Any:
    """A callback that keeps, and hands on, what the solver has reported of the step before."""
    from lightning.pytorch.callbacks import LambdaCallback

    def tell(trainer: Any, solver: Solver, *_: object) -> None:
        if solver.report:
            history.append(dict(solver.report))
            if progress is not None:
                with surroundings.theirs():
                    progress(trainer.global_step, dict(solver.report))

    return LambdaCallback(on_train_batch_start=tell, on_train_end=tell)


def solved(solver: Solver, device: torch.device, progress: Progress | None = None) -> Solution:
    """Run the solver under a quiet Trainer and gather what came of it."""
    import lightning

    history: list[dict[str, float]] = []
    with quiet():
        trainer = lightning.Trainer(
            accelerator="gpu" if device.type == "cuda" else device.type,
            devices=[device.index or 0] if device.type == "cuda" else 1,
            max_epochs=1,
            callbacks=[_telling(history, progress)],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        run(trainer, solver)
    images, path, measured = solver.frames(), solver.path, solver.measurement
    assert measured is not None
    summary = solver.summary()
    summary["seconds"]["total"] = sum(summary["seconds"].values())
    return Solution(
        frames=images,
        nodes=path.chart(path.points()).cpu(),
        u=path.u.cpu(),
        log_density=measured.log_density,
        length=summary["length"],
        evaluations=summary["score_evaluations"],
        summary=summary,
        tensors=files.path_tensors(path),
        measured=measured,
        first=solver.start,
        history=history,
    )
