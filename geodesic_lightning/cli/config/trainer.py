"""Group trainer."""

from dataclasses import dataclass
from typing import Any


@dataclass
class Trainer:
    _target_: str = "lightning.Trainer"
    accelerator: str = "auto"
    devices: Any = 1
    strategy: str = "auto"
    use_distributed_sampler: bool = False
    precision: str = "32-true"
    max_steps: int = -1
    log_every_n_steps: int = 1
    deterministic: bool = False
    enable_progress_bar: bool = False
    enable_model_summary: bool = False
    num_sanity_val_steps: int = 0


SCHEMAS = {
    "trainer_schema": Trainer,
}
