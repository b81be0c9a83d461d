"""Group score."""

from dataclasses import dataclass
from typing import Any

from geodesic_lightning.cli.config.part import part


@dataclass
class NoisePrediction:
    _target_: str = "geodesic_lightning.score.fields.NoisePrediction"
    guidance: float = 1.0


@dataclass
class Contrast:
    _target_: str = "geodesic_lightning.score.fields.Contrast"
    guidance_conditional: float = 1.0
    guidance_negative: float = 1.0


@dataclass
class ScoreDistillation:
    _target_: str = "geodesic_lightning.score.fields.ScoreDistillation"
    guidance: float = 100.0


@dataclass
class NoiseFree:
    _target_: str = "geodesic_lightning.score.fields.NoiseFree"
    guidance: float = 7.5
    threshold: int = 200


@dataclass
class Score:
    _target_: str = "geodesic_lightning.score.estimator.Score"
    _partial_: bool = True
    field: Any = part()
    timestep_range: tuple[int, int] = (0, 0)
    absolute: bool = False
    samples: int = 1
    weighting: str = "uniform"
    fresh: bool = True
    seed: int = "${seed}"  # type: ignore[assignment]
    negative_prompt: str = ""
    chunk: int | None = None


SCHEMAS = {
    "noise_prediction_schema": NoisePrediction,
    "contrast_schema": Contrast,
    "sds_schema": ScoreDistillation,
    "nfsd_schema": NoiseFree,
    "score_schema": Score,
}
