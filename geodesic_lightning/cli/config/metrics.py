"""Group metrics."""

from dataclasses import dataclass, field
from typing import Any

from geodesic_lightning.cli.config.retime import EfficientNet


@dataclass
class Measures:
    _target_: str = "geodesic_lightning.metrics.Measures"
    names: list[str] = field(default_factory=list)
    perceptual: Any = "${perceptual}"
    independent: Any = field(default_factory=EfficientNet)


SCHEMAS = {"measures_schema": Measures}
