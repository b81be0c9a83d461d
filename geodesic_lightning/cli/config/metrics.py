"""Group metrics."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Measures:
    _target_: str = "geodesic_lightning.metrics.Measures"
    names: list[str] = field(default_factory=list)
    perceptual: Any = "${perceptual}"
    independent: Any = None


SCHEMAS = {"measures_schema": Measures}
