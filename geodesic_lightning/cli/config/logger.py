"""Group logger."""

from dataclasses import dataclass
from typing import Any


@dataclass
class CSV:
    _target_: str = "lightning.pytorch.loggers.CSVLogger"
    save_dir: str = "${folder}"
    name: str = ""
    version: str = ""


@dataclass
class WandB:
    _target_: str = "geodesic_lightning.cli.loggers.wandb"
    save_dir: str = "${folder}"
    project: str = "geodesic-lightning"
    entity: str | None = None
    group: str | None = None
    name: str | None = None
    tags: list[str] | None = None
    offline: Any = "auto"
    init_timeout: float = 10


@dataclass
class TensorBoard:
    _target_: str = "geodesic_lightning.tracking.wandb_logger.tensorboard"
    save_dir: str = "${folder}"


SCHEMAS = {
    "csv_schema": CSV,
    "wandb_schema": WandB,
    "tensorboard_schema": TensorBoard,
}
