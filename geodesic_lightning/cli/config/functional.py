"""Group functional."""

from dataclasses import dataclass


@dataclass
class Density:
    _target_: str = "geodesic_lightning.functional.length.DensityLength"


@dataclass
class ScoreOuter:
    _target_: str = "geodesic_lightning.functional.alternatives.ScoreOuter"
    weight: float = 0.01


@dataclass
class Temperature:
    _target_: str = "geodesic_lightning.functional.alternatives.Temperature"
    weight: float = 10.0


SCHEMAS = {
    "density_functional_schema": Density,
    "score_outer_schema": ScoreOuter,
    "temperature_schema": Temperature,
}
