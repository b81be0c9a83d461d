"""Group model."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


@dataclass
class Diffusion:
    _target_: str = "geodesic_lightning.models.diffusion.DiffusionModel"
    _partial_: bool = True
    name: str = MISSING
    pretrained: Any = MISSING
    config: Any = field(default_factory=list)
    revision: str | None = None
    variant: str | None = None
    local_files_only: bool = False
    allow_pickle: bool = False
    without: list[str] = field(default_factory=list)
    prediction: str = "auto"
    distilled_guidance: float = 1.0
    lora: Any = None
    lora_scale: Any = 1.0
    embeddings: Any = field(default_factory=list)
    size: Any = None
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
    _target_: str = "geodesic_lightning.models.diffusion.embedded"
    _partial_: bool = True
    name: str = "embedded"
    alpha: dict[str, float] = field(default_factory=dict)
    lora: Any = None
    lora_scale: Any = 1.0
    embeddings: Any = field(default_factory=list)
    size: Any = None
    batch_size: Any = "auto"
    dtype: str = "auto"
    compile: bool = False


@dataclass
class Exact:
    _target_: str = "geodesic_lightning.models.exact.ExactModel"
    _partial_: bool = True
    density: str = "mixture"
    batch_size: int | None = None


@dataclass
class Own:
    _target_: str = "geodesic_lightning.models.own.OwnModel"
    _partial_: bool = True
    target: str = MISSING
    batch_size: int | None = None


SCHEMAS = {
    "diffusion_schema": Diffusion,
    "embedded_schema": Embedded,
    "exact_schema": Exact,
    "own_schema": Own,
}
