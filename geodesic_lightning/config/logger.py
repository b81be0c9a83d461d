"""Group logger."""

from dataclasses import dataclass


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


SCHEMAS = {
    "csv_schema": CSV,
    "wandb_schema": WandB,
}
