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

All take the settings of `Settings` by name.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial, wraps
from pathlib import Path as FilePath
from typing import Any, TypedDict, Unpack

import torch
from torch import Tensor

from geodesic_lightning.data.clip import Clip, clip
from geodesic_lightning.data.frames import Frames, image, pair, points
from geodesic_lightning.data.keyframes import keyframe_points, keyframes
from geodesic_lightning.data.paths import expanded
from geodesic_lightning.data.point import are_points, is_point, point
from geodesic_lightning.data.prompts import prompts as prompts_alone
from geodesic_lightning.data.resize import check_fit
from geodesic_lightning.decoding.decoder import Decoder, plain
from geodesic_lightning.decoding.retime import Timing
from geodesic_lightning.errors import UserError
from geodesic_lightning.functional.quadrature import Measurement
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
from geodesic_lightning.report import files, notebook
from geodesic_lightning.report.curves import draw
from geodesic_lightning.report.run_page import Film, Run, first_curves, render
from geodesic_lightning.score.condition import prompts
from geodesic_lightning.score.estimator import Score
from geodesic_lightning.score.fields import Contrast, NoiseFree, NoisePrediction, ScoreDistillation
from geodesic_lightning.solvers import assemble
from geodesic_lightning.solvers.base import Solver
from geodesic_lightning.solvers.bvp import BoundaryValueSolver
from geodesic_lightning.solvers.clip import ClipSolver
from geodesic_lightning.solvers.frechet_mean import MeanSolver
from geodesic_lightning.solvers.ivp import InitialValueSolver
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

Progress = Callable[[int, dict[str, float]], object]  # (step, figures by name)
FIELDS = {field.name: field for field in (NoisePrediction, Contrast, ScoreDistillation, NoiseFree)}


class Settings(TypedDict, total=False):
    """What every function takes by name.

    Attributes:
        model: "embedded" (the default: the shipped model of drawn cats), a diffusers folder or hub
            id, a loaded diffusers pipeline, which is given back as it came, a log density of your own
            (docs/own_density.md), whose images are points, or a model object with the same verbs. The last
            one made by its name is kept for the next call with the same name, size and device; `forget()`
            lets it go.
        score: noise_prediction, contrast, sds or nfsd; or a maker (model, condition) → Score.
        strength: how hard the density bends the path, radians ≥ 0 (functional/strength.py); None is the default.
        alpha: density exponent ≥ 0, in place of a strength.
        segments, frames: pieces of the path, images of the film; 16 and 17.
        scheduler: sampler and noise level of the path; None is Scheduler().
        optimizer: maker (path, segments=) → PathOptimizer, as partial(SemiImplicit, memory=5), in place of
            the solver's usual one.
        condition, manifold: makers as for `assemble.assemble`.
        timing: which places of the path the film shows (decoding/retime.py); None is equal distances.
        decoder: maker of what turns the path between two images into frames (decoding/morphs/decoder.py);
            None is decoding/decoder.py's, with the colours of the images where it leads from one to the next.
        functional: what is bent in place of the density's length (functional/alternatives.py), by `interpolate`.
        metrics: what else a morph is measured by (metrics.Measures); summary["measures"] has the figures.
        device: where to compute; None is a GPU if there is one.
        seed: of whatever is random.
        progress: is told of every step of solving: its number, and figures by name as in metrics.csv.
        fit, anchor: how pictures of another shape become the model's: crop (the default), pad or
            stretch; at center (the default), top, bottom, left or right.
        size: of the images, for a model given by name: (height, width) in px, or auto for the
            pictures' own shape; None is the model's own.
    """

    model: Any
    score: str | MakeScore
    strength: float | None
    alpha: float | None
    segments: int
    frames: int
    scheduler: Scheduler | None
    optimizer: MakeOptimizer | None
    condition: MakeCondition
    manifold: MakeManifold
    timing: Timing | None
    decoder: Callable[..., Decoder] | None
    functional: Functional | None
    metrics: Metrics | None
    device: str | torch.device | None
    seed: int
    progress: Progress | None
    fit: str | None
    anchor: str | None
    size: int | tuple[int, int] | str | None


@dataclass(frozen=True, repr=False)
class Solution:
    """A solved path. A notebook shows its film and curves.

    Attributes:
        frames: (m, 3, H, W) images in [0, 1]; given ones stand as they are, both ends or the start.
        nodes: (N+1, *latent_shape) latents of the path, the ends included.
        u: (N+1,) places of the nodes in [0, 1].
        log_density: (N+1,) nats, relative to u = 0.
        length: in the metric p^(−α)|dx|, relative to the density at u = 0.
        evaluations: scores of single latents spent on solving.
        summary: everything that the command line's summary.json says.
        tensors: what path.safetensors holds.
        measured, first: the path as it was measured, and as it was before solving.
        history: figures of every step of solving by name, as in metrics.csv.
    """

    frames: Tensor
    nodes: Tensor
    u: Tensor
    log_density: Tensor
    length: float
    evaluations: int
    summary: dict[str, Any]
    tensors: dict[str, Tensor]
    measured: Measurement | None = None
    first: Measurement | None = None
    history: Sequence[dict[str, float]] = ()

    @property
    def length_error(self) -> float:
        """How far `length` may be from the geodesic's (functional/quadrature.py); NaN where it is not known."""
        error = self.summary.get("length_error")
        return float("nan") if error is None else float(error)

    def __repr__(self) -> str:
        count, _, height, width = self.frames.shape
        return (
            f"Solution({count} frames of {width}×{height} px, length {self.length:.4g}, "
            f"{self.evaluations} evaluations)"
        )

    def _repr_html_(self) -> str:
        curves = None if self.measured is None else self._curves(self.measured)
        return notebook.shown(self.frames, curves, repr(self))

    def video(self, path: str | FilePath = "video.mp4", fps: float = 12) -> FilePath:
        """Write the film, an .mp4, .webp or .gif; returns the file, a .gif where no .mp4 can be written.

        Raises:
            UserError: there is such a file already, it cannot be written, or its name ends otherwise.
        """
        file = _new(path)
        if file.suffix.lower() == ".mp4":
            return files.write_video(self.frames, file, fps)
        if file.suffix.lower() not in (".webp", ".gif"):
            raise UserError(f"{file}: expected a name in .mp4, .webp or .gif: change the name.")
        files.write_animation(self.frames, file, fps, ping_pong=False)
        return file

    def curves(self, path: str | FilePath = "curves.png") -> FilePath:
        """Draw log density, metric speed and residual over u into a picture; returns the file.

        Raises:
            UserError: there is such a file already, it cannot be written, or nothing was measured.
        """
        file = _new(path)
        if self.measured is None:
            raise UserError("curves: this solution was not measured, expected one that was solved.")
        files.write_image(self._curves(self.measured), file)
        return file

    def report(self, path: str | FilePath = "report.html", fps: float = 12) -> FilePath:
        """Write the page that a run leaves: film, frames, curves and summary in one file; returns it.

        Raises:
            UserError: there is such a file already, it cannot be written, or its name ends otherwise.
        """
        file = _new(path)
        if file.suffix.lower() not in (".html", ".htm"):
            raise UserError(f"{file}: expected a name in .html: change the name.")
        page = Run(
            self.summary,
            films=[Film(str(self.summary.get("solver", "path")), notebook.mp4(self.frames, fps))],
            strip=notebook.png(files.strip(self.frames)),
            first=first_curves(self.first),
            history=self.history,
        )
        files.write_text(file, render(page))
        return file

    def _curves(self, measured: Measurement) -> Tensor:
        return draw(measured, self.first, str(self.summary.get("solver", "path")))

    def save(self, folder: str | FilePath, fps: float = 12) -> FilePath:
        """Write path.safetensors, summary.json, video.mp4, strip.png and frames/; returns the folder.

        Raises:
            UserError: the folder already holds a run, or cannot be written.
        """
        folder = expanded(folder)
        if (folder / "summary.json").exists():
            raise UserError(
                f"{folder} already holds a run, expected a new folder: nothing is overwritten."
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"{folder} cannot be made ({error.strerror}): give another folder."
            ) from error
        metadata = {
            "step": self.summary.get("steps", 0),
            "finished": True,
            "alpha": self.summary["alpha"],
        }
        files.write_path(folder / "path.safetensors", self.tensors, metadata)
        files.write_json(folder / "summary.json", self.summary)
        files.write_video(self.frames, folder / "video.mp4", fps)
        files.write_frames(self.frames, folder / "frames")
        files.write_image(files.strip(self.frames), folder / "strip.png")
        return folder


def _new(path: str | FilePath) -> FilePath:
    file = expanded(path)
    if file.exists():
        raise UserError(f"{file} is there already, expected a new file: nothing is overwritten.")
    return file


def interpolate(
    start: Any,
    end: Any,
    prompt_start: str = "",
    prompt_end: str = "",
    *,
    tolerance: float = 1e-4,
    **settings: Unpack[Settings],
) -> Solution:
    """The geodesic between two images, by default through the shipped model of drawn cats.

    Args:
        start, end: image files, PIL images, arrays (H, W, 3) or tensors (3, H, W); or points, d numbers each,
            where the model is a density.
        prompt_start, prompt_end: what they show.
        tolerance: predicted relative excess of length at which solving stops.
        settings: see Settings.

    Raises:
        UserError: one sentence on what is wrong with the input.
    """
    frames = _ends(start, end, prompt_start, prompt_end)
    return _run(frames, BoundaryValueSolver, _bending(tolerance), **settings)


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
        images: image files, PIL images, arrays or tensors, two or more; or a folder, or a pattern; or points.
        prompts: one an image, or none.
        closed: the path leads back to the first image.
        rounding: part of each leg in which the path may leave its geodesic for smoothness' sake.
        tolerance, settings: as for `interpolate`.

    Raises:
        UserError: one sentence on what is wrong with the input.
    """
    frames = _stops(images, prompts, closed, rounding)
    return _run(frames, BoundaryValueSolver, _bending(tolerance), **settings)


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
        prompts: what the pictures show, two or more.
        seeds: of their noise, one a prompt; none are 0, 1, 2 … With one seed for all, pictures resemble.
        guidance: classifier-free guidance with which they are drawn; None is the model's usual one.
        closed, rounding, tolerance, settings: as for `through`.

    Raises:
        UserError: one sentence on what is wrong with the input.
    """
    frames = prompts_alone(
        prompts=prompts, seeds=seeds, closed=closed, rounding=rounding, guidance=guidance
    )
    return _run(frames, BoundaryValueSolver, _bending(tolerance), **settings)


def mean(
    images: str | FilePath | Sequence[Any],
    prompts: Sequence[str] = (),
    *,
    tolerance: float = 1e-3,
    **settings: Unpack[Settings],
) -> Solution:
    """The mean of several images: the film goes from each to it; `summary["mean"]` has distances.

    Args:
        images, prompts: as for `through`.
        tolerance: of the mean's place: the mean velocity as a part of the mean distance.
        settings: see Settings; `segments` are those of each leg, 8 by default.

    Raises:
        UserError: one sentence on what is wrong with the input.
    """
    settings.setdefault("segments", 8)
    solver = partial(MeanSolver, tolerance=tolerance)
    return _run(_stops(images, prompts), solver, SemiImplicit, **settings)


def extrapolate(
    start: Any,
    toward: Any = None,
    prompt: str = "",
    prompt_toward: str = "",
    *,
    velocity: Velocity | None = None,
    length: float = 1.0,
    gauge: str = "euclidean",
    floor: float | None = None,
    **settings: Unpack[Settings],
) -> Solution:
    """The geodesic from an image along a velocity; only the first frame is a given image.

    Args:
        start: image file, PIL image, array or tensor, or a point; toward: a second one, or None for a random direction.
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
        frames = point(start) if is_point(start) else image(start, prompt)
    else:
        frames = _ends(start, toward, prompt, prompt_toward)
    velocity = velocity or (Random(seed=settings.get("seed", 0)) if alone else Toward())
    solver = partial(InitialValueSolver, length=length, gauge=gauge, floor=floor)
    return _run(frames, solver, Integrator, velocity, **settings)


def analyse(
    film: str | FilePath,
    prompt: str = "",
    *,
    stride: int = 1,
    range: tuple[int, int] | None = None,
    resize: str = "crop",
    **settings: Unpack[Settings],
) -> Solution:
    """Is a clip a geodesic? `summary["clip"]` says what report.md would; see docs/clips.md.

    Args:
        film: an mp4, gif or webp, or a folder of pictures; prompt: what all frames show.
        stride, range: every stride-th frame of [first, last + 1); resize: the former name of fit.
        settings: see Settings; `segments` are those of the geodesic between the clip's ends.

    Raises:
        UserError: one sentence on what is wrong with the input.
    """
    return _run(clip(film, prompt, stride, range, resize), ClipSolver, SemiImplicit, **settings)


def _ends(start: Any, end: Any, prompt_start: str, prompt_end: str) -> Frames:
    """Two images with their prompts, or two points."""
    if is_point(start) or is_point(end):
        return points(start, end)
    return pair(start, end, prompt_start, prompt_end)


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
    if isinstance(score, str):
        if score not in FIELDS:
            raise UserError(f"score: got {score!r}, expected one of {', '.join(FIELDS)}.")
        score = partial(Score, field=FIELDS[score](), seed=seed)
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    key = None
    if isinstance(model, str):
        key = (model, tuple(size) if isinstance(size, list) else size, device)
        model = _by_name(key, scheduler or Scheduler(), condition, given)
    elif scheduler is not None:
        raise UserError("scheduler: the model given has its own, expected None.")
    elif size is not None:
        raise UserError("size: the model given has its own, expected None.")
    context = {"model": model.name, "seed": seed}
    if decoder is None:
        joins = solver is BoundaryValueSolver
        decoder = partial(plain, colours="ends" if joins else "path")
    built = assemble.assemble(
        model.to(device),
        given,
        partial(
            solver,
            optimizer=optimizer or usual,
            alpha=alpha,
            strength=strength,
            segments=segments,
            frames=frames,
        ),
        score,
        condition,
        manifold=manifold,
        stages=stages,
        velocity=velocity,
        timing=timing,
        decoder=decoder,
        functional=functional,
        metrics=metrics,
        context=context,
    )
    solution = solved(built, device, progress)
    if key is not None:  # what became of a model in a call that failed, nobody knows
        forget()
        _kept[key] = model
    return solution


# Of a model made by its name: that, its size, where it computes.
Key = tuple[str, Any, torch.device]
_kept: dict[Key, Any] = {}  # the last one, while nobody uses it


def forget() -> None:
    """Let go of the model that the last call made by its name, and of the memory it takes."""
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
