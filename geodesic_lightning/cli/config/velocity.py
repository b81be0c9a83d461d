"""Group velocity."""

from dataclasses import dataclass

from omegaconf import MISSING


@dataclass
class Toward:
    _target_: str = "geodesic_lightning.integrators.initial_velocity.Toward"
    count: int = 1
    spread: float = 0.5
    seed: int = "${seed}"  # type: ignore[assignment]


@dataclass
class Onward(Toward):
    _target_: str = "geodesic_lightning.integrators.initial_velocity.Onward"
    path: str = MISSING
    reverse: bool = False


@dataclass
class PromptChange(Toward):
    _target_: str = "geodesic_lightning.integrators.initial_velocity.PromptChange"
    prompt: str = MISSING


@dataclass
class ClipEnd(Toward):
    _target_: str = "geodesic_lightning.integrators.initial_velocity.ClipEnd"
    last: int = 4


@dataclass
class Random:
    _target_: str = "geodesic_lightning.integrators.initial_velocity.Random"
    count: int = 1
    seed: int = "${seed}"  # type: ignore[assignment]


SCHEMAS = {
    "toward_schema": Toward,
    "onward_schema": Onward,
    "prompt_change_schema": PromptChange,
    "clip_end_schema": ClipEnd,
    "random_schema": Random,
}
