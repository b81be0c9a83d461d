"""The typed schema of every configuration group: names, types and defaults of what can be set.

Each class is one choice of one group; conf/<group>/<choice>.yaml starts from it and may set other
defaults. Ranges are checked where the values are used, by the constructors that `_target_` names.
"""

from dataclasses import dataclass, field, is_dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from geodesic_lightning.errors import UserError


@dataclass
class Scheduler:
    _target_: str = "geodesic_lightning.scheduler.Scheduler"
    sampler: str = "ddim"
    steps: int = 50
    noise_level: float = 0.6
    iterations: int = 0


@dataclass
class Diffusion:
    _target_: str = "geodesic_lightning.diffusion.DiffusionModel"
    _partial_: bool = True
    name: str = MISSING
    pretrained: Any = MISSING
    config: Any = field(default_factory=list)
    revision: str | None = None
    variant: str | None = None
    local_files_only: bool = False
    allow_pickle: bool = False
    without: list[str] = field(default_factory=list)
    alpha: dict[str, float] = field(default_factory=dict)
    batch_size: Any = "auto"
    dtype: str = "auto"
    vae_dtype: str = "auto"
    attention_slicing: bool = False
    vae_slicing: bool = False
    vae_tiling: bool = False
    offload: bool = False
    compile: bool = False


@dataclass
class Embedded:
    _target_: str = "geodesic_lightning.diffusion.embedded"
    _partial_: bool = True
    name: str = "embedded"
    alpha: dict[str, float] = field(default_factory=dict)
    batch_size: Any = "auto"
    dtype: str = "auto"
    compile: bool = False


@dataclass
class Exact:
    _target_: str = "geodesic_lightning.exact.ExactModel"
    _partial_: bool = True
    density: str = "mixture"
    batch_size: int | None = None


@dataclass
class NoisePrediction:
    _target_: str = "geodesic_lightning.score.NoisePrediction"
    guidance: float = 1.0


@dataclass
class Contrast:
    _target_: str = "geodesic_lightning.score.Contrast"
    guidance_conditional: float = 1.0
    guidance_negative: float = 1.0


@dataclass
class ScoreDistillation:
    _target_: str = "geodesic_lightning.score.ScoreDistillation"
    guidance: float = 100.0


@dataclass
class NoiseFree:
    _target_: str = "geodesic_lightning.score.NoiseFree"
    guidance: float = 7.5
    threshold: int = 200


@dataclass
class Score:
    _target_: str = "geodesic_lightning.score.Score"
    _partial_: bool = True
    field: Any = MISSING
    timestep_range: tuple[int, int] = (0, 0)
    absolute: bool = False
    samples: int = 1
    weighting: str = "uniform"
    fresh: bool = True
    seed: int = "${seed}"  # type: ignore[assignment]
    negative_prompt: str = ""


@dataclass
class Prompt:
    _target_: str = "geodesic_lightning.condition.prompts"
    _partial_: bool = True
    interpolation: str = "lerp"


@dataclass
class Unconditional:
    _target_: str = "geodesic_lightning.condition.unconditional"
    _partial_: bool = True


@dataclass
class TextualInversion:
    _target_: str = "geodesic_lightning.textual_inversion.textual_inversion"
    _partial_: bool = True
    interpolation: str = "lerp"
    steps: int = 500
    lr: float = 0.005
    batch_size: int = 2
    joint: bool = False
    cache: str | None = "~/.cache/geodesic_lightning"
    seed: int = "${seed}"  # type: ignore[assignment]


@dataclass
class Automatic:
    _target_: str = "geodesic_lightning.assemble.automatic"
    _partial_: bool = True


@dataclass
class Euclidean:
    _target_: str = "geodesic_lightning.assemble.euclidean"
    _partial_: bool = True


@dataclass
class Sphere:
    _target_: str = "geodesic_lightning.assemble.sphere"
    _partial_: bool = True
    radius: float | None = None


@dataclass
class SemiImplicit:
    _target_: str = "geodesic_lightning.optimizers.semi_implicit.SemiImplicit"
    _partial_: bool = True
    tolerance: float = 1e-4
    coarse_tolerance: float = 1e-3
    iterations: int = 25
    coarse_iterations: int = 6
    memory: int = 3
    trust: float = 0.1
    mode: str = "auto"


@dataclass
class Paper:
    _target_: str = "geodesic_lightning.optimizers.paper.Paper"
    _partial_: bool = True
    lr: float = 0.1
    iterations: int = 100
    end_early: bool = True


@dataclass
class Descent:
    _target_: str = "geodesic_lightning.optimizers.descent.Descent"
    _partial_: bool = True
    method: str = MISSING
    lr: float = MISSING
    iterations: int = 500
    tolerance: float = 1e-4


@dataclass
class BoundaryValue:
    _target_: str = "geodesic_lightning.solvers.bvp.BoundaryValueSolver"
    _partial_: bool = True
    alpha: float | None = None
    segments: int = 16
    frames: int = 17


@dataclass
class Fixed:
    _target_: str = "geodesic_lightning.solvers.fixed.FixedSolver"
    _partial_: bool = True
    way: str = MISSING
    alpha: float | None = None
    segments: int = 16
    frames: int = 17


@dataclass
class InitialValue:
    _target_: str = "geodesic_lightning.solvers.ivp.InitialValueSolver"
    _partial_: bool = True
    alpha: float | None = None
    length: float = 1.0
    segments: int = 16
    frames: int = 17
    gauge: str = "euclidean"


@dataclass
class Integrator:
    _target_: str = "geodesic_lightning.optimizers.integrator.Integrator"
    _partial_: bool = True
    method: str = MISSING
    turning: float | None = 0.5


@dataclass
class Sweeps:
    _target_: str = "geodesic_lightning.optimizers.sweeps.Sweeps"
    _partial_: bool = True
    tolerance: float = 1e-4
    iterations: int = 40
    shift: float = 0.25


@dataclass
class Toward:
    _target_: str = "geodesic_lightning.launch.Toward"
    count: int = 1
    spread: float = 0.5
    seed: int = "${seed}"  # type: ignore[assignment]


@dataclass
class Onward(Toward):
    _target_: str = "geodesic_lightning.launch.Onward"
    path: str = MISSING
    reverse: bool = False


@dataclass
class PromptChange(Toward):
    _target_: str = "geodesic_lightning.launch.PromptChange"
    prompt: str = MISSING


@dataclass
class ClipEnd(Toward):
    _target_: str = "geodesic_lightning.launch.ClipEnd"
    last: int = 4


@dataclass
class Random:
    _target_: str = "geodesic_lightning.launch.Random"
    count: int = 1
    seed: int = "${seed}"  # type: ignore[assignment]


@dataclass
class ClipAnalysis:
    _target_: str = "geodesic_lightning.solvers.clip.ClipSolver"
    _partial_: bool = True
    alpha: float | None = None
    segments: int = 16
    frames: int = 17


@dataclass
class Mean:
    _target_: str = "geodesic_lightning.solvers.mean.MeanSolver"
    _partial_: bool = True
    alpha: float | None = None
    segments: int = 8
    frames: int = 17
    tolerance: float = 1e-3
    rounds: int = 30


@dataclass
class ShippedPair:
    _target_: str = "geodesic_lightning.frames.shipped_pair"
    name: str = MISSING


@dataclass
class Pair:
    _target_: str = "geodesic_lightning.frames.pair"
    start: str = MISSING
    end: str = MISSING
    prompt_start: str = ""
    prompt_end: str = ""


@dataclass
class OneImage:
    _target_: str = "geodesic_lightning.frames.image"
    image: str = MISSING
    prompt: str = ""


@dataclass
class Points:
    _target_: str = "geodesic_lightning.frames.points"
    start: list[float] = MISSING
    end: list[float] = MISSING


@dataclass
class Keyframes:
    _target_: str = "geodesic_lightning.keyframes.keyframes"
    images: list[str] = MISSING
    prompts: list[str] = field(default_factory=list)
    closed: bool = False
    rounding: float = 0.3


@dataclass
class ShippedKeyframes:
    _target_: str = "geodesic_lightning.keyframes.shipped_keyframes"
    names: list[str] = MISSING
    closed: bool = False
    rounding: float = 0.3


@dataclass
class KeyframePoints:
    _target_: str = "geodesic_lightning.keyframes.keyframe_points"
    points: list[Any] = MISSING
    closed: bool = False
    rounding: float = 0.3


@dataclass
class Clip:
    _target_: str = "geodesic_lightning.clip.clip"
    path: str = MISSING
    prompt: str = ""
    stride: int = 1
    range: list[int] | None = None
    resize: str = "crop"


@dataclass
class ShippedClip:
    _target_: str = "geodesic_lightning.clip.shipped_clip"
    name: str = MISSING


@dataclass
class ClipPoints:
    _target_: str = "geodesic_lightning.clip.clip_points"
    path: str = MISSING


@dataclass
class EvenInDistance:
    _target_: str = "geodesic_lightning.retime.EvenInDistance"


@dataclass
class EvenInMetricLength:
    _target_: str = "geodesic_lightning.retime.EvenInMetricLength"


@dataclass
class EvenlyPerceived:
    _target_: str = "geodesic_lightning.retime.EvenlyPerceived"
    features: Any = "${perceptual}"


@dataclass
class EmbeddedFeatures:
    _target_: str = "geodesic_lightning.perceptual.embedded"
    _partial_: bool = True


@dataclass
class Trainer:
    _target_: str = "lightning.Trainer"
    accelerator: str = "auto"
    devices: Any = 1
    strategy: str = "auto"
    precision: str = "32-true"
    max_steps: int = -1
    log_every_n_steps: int = 1
    deterministic: bool = False
    enable_progress_bar: bool = False
    enable_model_summary: bool = False
    num_sanity_val_steps: int = 0


@dataclass
class Progress:
    _target_: str = "geodesic_lightning.callbacks.Progress"


@dataclass
class SavePath:
    _target_: str = "geodesic_lightning.callbacks.SavePath"
    folder: str = "${folder}"


@dataclass
class Checkpoint:
    _target_: str = "lightning.pytorch.callbacks.ModelCheckpoint"
    dirpath: str = "${folder}/checkpoints"
    save_last: bool = True
    save_top_k: int = 0
    every_n_train_steps: int = 10
    save_on_train_epoch_end: bool = True
    auto_insert_metric_name: bool = False


@dataclass
class DecodeEvery:
    _target_: str = "geodesic_lightning.callbacks.DecodeEvery"
    folder: str = "${folder}"
    every_n_steps: int = 10
    count: int | None = 9
    fps: float = 12


@dataclass
class Video:
    _target_: str = "geodesic_lightning.callbacks.Video"
    folder: str = "${folder}"
    fps: float = 12
    ping_pong: bool = False


@dataclass
class FrameImages:
    _target_: str = "geodesic_lightning.callbacks.FrameImages"
    folder: str = "${folder}"


@dataclass
class Strip:
    _target_: str = "geodesic_lightning.callbacks.Strip"
    folder: str = "${folder}"
    gap: int = 2


@dataclass
class Curves:
    _target_: str = "geodesic_lightning.callbacks.Curves"
    folder: str = "${folder}"


@dataclass
class Picture:
    _target_: str = "geodesic_lightning.callbacks.Picture"
    folder: str = "${folder}"


@dataclass
class ContactSheet:
    _target_: str = "geodesic_lightning.callbacks.ContactSheet"
    folder: str = "${folder}"
    count: int = 9
    gap: int = 2


@dataclass
class ClipReport:
    _target_: str = "geodesic_lightning.callbacks.ClipReport"
    folder: str = "${folder}"


@dataclass
class MeanImage:
    _target_: str = "geodesic_lightning.callbacks.MeanImage"
    folder: str = "${folder}"


@dataclass
class Table:
    _target_: str = "geodesic_lightning.callbacks.Table"
    folder: str = "${folder}"


@dataclass
class CSV:
    _target_: str = "lightning.pytorch.loggers.CSVLogger"
    save_dir: str = "${folder}"
    name: str = ""
    version: str = ""


@dataclass
class WandB:
    _target_: str = "lightning.pytorch.loggers.WandbLogger"
    save_dir: str = "${folder}"
    project: str = "geodesic-lightning"
    entity: str | None = None
    group: str | None = None
    name: str | None = None
    tags: list[str] | None = None
    offline: bool = True
    log_model: bool = False


@dataclass
class Config:
    """The whole run."""

    solver: Any = MISSING
    model: Any = MISSING
    scheduler: Any = MISSING
    score: Any = MISSING
    condition: Any = MISSING
    manifold: Any = MISSING
    optimizer: Any = MISSING
    data: Any = MISSING
    trainer: Any = MISSING
    callbacks: dict[str, Any] = field(default_factory=dict)
    logger: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    folder: str = "${hydra:runtime.output_dir}"
    resume: str | None = None
    velocity: Any = None
    retime: Any = MISSING
    perceptual: Any = MISSING
    debug: bool = False


SCHEMAS = {
    "schema": Config,
    "scheduler_schema": Scheduler,
    "diffusion_schema": Diffusion,
    "embedded_schema": Embedded,
    "exact_schema": Exact,
    "noise_prediction_schema": NoisePrediction,
    "contrast_schema": Contrast,
    "sds_schema": ScoreDistillation,
    "nfsd_schema": NoiseFree,
    "score_schema": Score,
    "prompt_schema": Prompt,
    "unconditional_schema": Unconditional,
    "textual_inversion_schema": TextualInversion,
    "automatic_schema": Automatic,
    "euclidean_schema": Euclidean,
    "sphere_schema": Sphere,
    "semi_implicit_schema": SemiImplicit,
    "paper_schema": Paper,
    "descent_schema": Descent,
    "bvp_schema": BoundaryValue,
    "fixed_schema": Fixed,
    "ivp_schema": InitialValue,
    "integrator_schema": Integrator,
    "picard_schema": Sweeps,
    "toward_schema": Toward,
    "onward_schema": Onward,
    "prompt_change_schema": PromptChange,
    "clip_end_schema": ClipEnd,
    "random_schema": Random,
    "shipped_pair_schema": ShippedPair,
    "pair_schema": Pair,
    "image_schema": OneImage,
    "points_schema": Points,
    "keyframes_schema": Keyframes,
    "shipped_keyframes_schema": ShippedKeyframes,
    "keyframe_points_schema": KeyframePoints,
    "clip_schema": Clip,
    "shipped_clip_schema": ShippedClip,
    "clip_points_schema": ClipPoints,
    "clip_solver_schema": ClipAnalysis,
    "mean_schema": Mean,
    "retime_u_schema": EvenInDistance,
    "retime_metric_schema": EvenInMetricLength,
    "retime_perceptual_schema": EvenlyPerceived,
    "embedded_features_schema": EmbeddedFeatures,
    "clip_report_schema": ClipReport,
    "curves_schema": Curves,
    "picture_schema": Picture,
    "fan_schema": ContactSheet,
    "mean_image_schema": MeanImage,
    "trainer_schema": Trainer,
    "progress_schema": Progress,
    "save_path_schema": SavePath,
    "checkpoint_schema": Checkpoint,
    "decode_schema": DecodeEvery,
    "video_schema": Video,
    "frames_schema": FrameImages,
    "strip_schema": Strip,
    "table_schema": Table,
    "csv_schema": CSV,
    "wandb_schema": WandB,
}


def register() -> None:
    """Tell Hydra the schemas; they stand outside the groups, so that no group lists them."""
    store = ConfigStore.instance()
    for name, node in SCHEMAS.items():
        store.store(name=name, node=node)


def check(cfg: DictConfig) -> None:
    """Refuse what composing lets through: missing values, and settings that no schema has.

    Raises:
        OmegaConfBaseException: a value is missing or of another type than its schema says.
        UserError: a setting was added (+group.setting=…) that its schema does not know.
    """
    OmegaConf.to_object(cfg)
    _check_names(cfg, "")


def _check_names(node: DictConfig, where: str) -> None:
    schema = OmegaConf.get_type(node)
    for key in node:
        if is_dataclass(schema) and key not in schema.__dataclass_fields__:
            names = ", ".join(k for k in schema.__dataclass_fields__ if not k.startswith("_"))
            raise UserError(f"No setting {where}{key}, expected one of {names}.")
        if isinstance(child := node[key], DictConfig):
            _check_names(child, f"{where}{key}.")
