"""Group retime and perceptual."""

from dataclasses import dataclass
from typing import Any

from geodesic_lightning.cli.config.part import part


@dataclass
class EvenInDistance:
    _target_: str = "geodesic_lightning.decoding.retime.EvenInDistance"


@dataclass
class EvenInMetricLength:
    _target_: str = "geodesic_lightning.decoding.retime.EvenInMetricLength"


@dataclass
class EvenlyPerceived:
    _target_: str = "geodesic_lightning.decoding.retime.EvenlyPerceived"
    perceptual: Any = part("${perceptual}")
    rounds: int = 1


@dataclass
class BetaPrior:
    _target_: str = "geodesic_lightning.decoding.retime.BetaPrior"
    perceptual: Any = part("${perceptual}")


@dataclass
class EmbeddedFeatures:
    _target_: str = "geodesic_lightning.decoding.perceptual.embedded"
    _partial_: bool = True


@dataclass
class EfficientNet:
    _target_: str = "geodesic_lightning.decoding.perceptual.EfficientNet"


@dataclass
class Lpips:
    _target_: str = "geodesic_lightning.decoding.perceptual.Lpips"
    net: str = "alex"


SCHEMAS = {
    "efficientnet_schema": EfficientNet,
    "lpips_schema": Lpips,
    "retime_u_schema": EvenInDistance,
    "retime_metric_schema": EvenInMetricLength,
    "retime_perceptual_schema": EvenlyPerceived,
    "retime_beta_schema": BetaPrior,
    "embedded_features_schema": EmbeddedFeatures,
}
