"""Group condition."""

from dataclasses import dataclass


@dataclass
class Prompt:
    _target_: str = "geodesic_lightning.score.condition.prompts"
    _partial_: bool = True
    interpolation: str = "lerp"
    long_prompts: str = "refuse"


@dataclass
class Unconditional:
    _target_: str = "geodesic_lightning.score.condition.unconditional"
    _partial_: bool = True


@dataclass
class TextualInversion:
    _target_: str = "geodesic_lightning.score.textual_inversion.textual_inversion"
    _partial_: bool = True
    interpolation: str = "lerp"
    steps: int = 500
    lr: float = 0.005
    batch_size: int = 2
    joint: bool = False
    cache: str | None = "~/.cache/geodesic_lightning"
    seed: int = "${seed}"  # type: ignore[assignment]
    long_prompts: str = "refuse"


SCHEMAS = {
    "prompt_schema": Prompt,
    "unconditional_schema": Unconditional,
    "textual_inversion_schema": TextualInversion,
}
