"""Group scheduler."""

from dataclasses import dataclass


@dataclass
class Scheduler:
    _target_: str = "geodesic_lightning.models.scheduler.Scheduler"
    sampler: str = "heun"
    steps: int = 15
    noise_level: float = 0.6
    iterations: int = 0


SCHEMAS = {
    "scheduler_schema": Scheduler,
}
