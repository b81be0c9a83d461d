"""Group metrics."""

from dataclasses import dataclass, field
from typing import Any

from geodesic_lightning.cli.config.part import part


@dataclass
class Measures:
    _target_: str = "geodesic_lightning.metrics.Measures"
    names: list[str] = field(default_factory=list)
    perceptual: Any = part("${perceptual}")
    independent: Any = part(None)


SCHEMAS = {"measures_schema": Measures}
