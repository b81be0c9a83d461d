"""Group scheduler."""

from dataclasses import dataclass


@dataclass
class Scheduler:
    _target_: str = "geodesic_lightning.models.scheduler.Scheduler"
    sampler: str = "heun"
    steps: int = 15
    noise_level: float = 0.6
    iterations: int = 0
    grid: str = "even"
    rho: float = 4.0
    order: int = 2
    corrector: bool = True


SCHEMAS = {
    "scheduler_schema": Scheduler,
}
