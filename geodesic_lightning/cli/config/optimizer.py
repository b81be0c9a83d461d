"""Group optimizer."""

from dataclasses import dataclass

from omegaconf import MISSING


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
class Integrator:
    _target_: str = "geodesic_lightning.optimizers.integrator.Integrator"
    _partial_: bool = True
    method: str = MISSING
    turning: float | None = 0.5


@dataclass
class Sweeps:
    _target_: str = "geodesic_lightning.optimizers.picard.PicardSweeps"
    _partial_: bool = True
    tolerance: float = 1e-4
    iterations: int = 40
    shift: float = 0.25


SCHEMAS = {
    "semi_implicit_schema": SemiImplicit,
    "paper_schema": Paper,
    "descent_schema": Descent,
    "integrator_schema": Integrator,
    "picard_schema": Sweeps,
}
