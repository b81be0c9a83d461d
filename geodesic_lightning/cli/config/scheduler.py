"""Group scheduler."""

from dataclasses import dataclass


@dataclass
class Scheduler:
    _target_: str = "geodesic_lightning.models.scheduler.Scheduler"
    sampler: str = "multistep"
    steps: int = 16
    noise_level: float = 0.6
    iterations: int = 0
    grid: str | None = None
    rho: float = 4.0
    order: int = 2
    corrector: bool = True


SCHEMAS = {
    "scheduler_schema": Scheduler,
}
