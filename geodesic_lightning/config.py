"""The typed schema of every configuration group: names, types and defaults of what can be set.

Each class is one choice of one group; conf/<group>/<choice>.yaml starts from it and may set other defaults. Ranges
are checked where the values are used, by the constructors that `_target_` names.
"""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING


@dataclass
class Scheduler:
    _target_: str = "geodesic_lightning.scheduler.Scheduler"
    sampler: str = "DDIMScheduler"
    inverse: str = "DDIMInverseScheduler"
    steps: int = 50
    noise_level: float = 0.6


@dataclass
class Diffusion:
    _target_: str = "geodesic_lightning.diffusion.DiffusionModel"
    _partial_: bool = True
    name: str = MISSING
    pretrained: Any = MISSING
    revision: str | None = None
    variant: str | None = None
    local_files_only: bool = False
    alpha: dict[str, float] = field(default_factory=dict)
    batch_size: int = 16
    dtype: str = "auto"
    compile: bool = False


@dataclass
class Embedded:
    _target_: str = "geodesic_lightning.diffusion.embedded"
    _partial_: bool = True
    name: str = "embedded"
    alpha: dict[str, float] = field(default_factory=dict)
    batch_size: int = 32
    dtype: str = "auto"
    compile: bool = False


@dataclass
class Exact:
    _target_: str = "geodesic_lightning.exact.ExactModel"
    _partial_: bool = True
    density: str = "mixture"
    batch_size: int | None = None


@dataclass
class Score:
    _target_: str = "geodesic_lightning.score.Score"
    _partial_: bool = True
    field: dict[str, Any] = field(default_factory=dict)
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
class Points:
    _target_: str = "geodesic_lightning.frames.points"
    start: list[float] = MISSING
    end: list[float] = MISSING


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
    experiment: str | None = None
    seed: int = 0
    folder: str = "${hydra:runtime.output_dir}"
    resume: str | None = None
    debug: bool = False


SCHEMAS = {
    "schema": Config,
    "scheduler_schema": Scheduler,
    "diffusion_schema": Diffusion,
    "embedded_schema": Embedded,
    "exact_schema": Exact,
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
    "shipped_pair_schema": ShippedPair,
    "pair_schema": Pair,
    "points_schema": Points,
    "trainer_schema": Trainer,
}


def register() -> None:
    """Tell Hydra the schemas. They stand outside the groups, so that no group lists them as a choice."""
    store = ConfigStore.instance()
    for name, node in SCHEMAS.items():
        store.store(name=name, node=node)
