"""Group solver."""

from dataclasses import dataclass

from omegaconf import MISSING


@dataclass
class BoundaryValue:
    _target_: str = "geodesic_lightning.solvers.bvp.BoundaryValueSolver"
    _partial_: bool = True
    alpha: float | None = None
    strength: float | None = None
    segments: int = 16
    frames: int = 17


@dataclass
class Fixed:
    _target_: str = "geodesic_lightning.solvers.baselines.FixedSolver"
    _partial_: bool = True
    way: str = MISSING
    label: str | None = None
    alpha: float | None = None
    strength: float | None = None
    segments: int = 16
    frames: int = 17
    seed: int = "${seed}"  # type: ignore[assignment]


@dataclass
class InitialValue:
    _target_: str = "geodesic_lightning.solvers.ivp.InitialValueSolver"
    _partial_: bool = True
    alpha: float | None = None
    strength: float | None = None
    length: float = 1.0
    segments: int = 16
    frames: int = 17
    gauge: str = "euclidean"
    floor: float | None = None


@dataclass
class ClipAnalysis:
    _target_: str = "geodesic_lightning.solvers.clip.ClipSolver"
    _partial_: bool = True
    alpha: float | None = None
    strength: float | None = None
    segments: int = 16
    frames: int = 17


@dataclass
class Mean:
    _target_: str = "geodesic_lightning.solvers.frechet_mean.MeanSolver"
    _partial_: bool = True
    alpha: float | None = None
    strength: float | None = None
    segments: int = 8
    frames: int = 17
    tolerance: float = 1e-3
    rounds: int = 30


SCHEMAS = {
    "bvp_schema": BoundaryValue,
    "fixed_schema": Fixed,
    "ivp_schema": InitialValue,
    "clip_solver_schema": ClipAnalysis,
    "mean_schema": Mean,
}
