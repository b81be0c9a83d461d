"""Group decoder."""

from dataclasses import dataclass
from typing import Any

from geodesic_lightning.cli.config.part import part


@dataclass
class Plain:
    _target_: str = "geodesic_lightning.decoding.decoder.plain"
    _partial_: bool = True
    ends: str = "blended"
    colours: str = "path"


@dataclass
class Attention:
    _target_: str = "geodesic_lightning.decoding.morphs.attention.Mixer"
    mode: str = "outer"
    fused: bool = True
    layers: str = "all"
    fused_after: float = 0.0
    beta: list[float] | None = None


@dataclass
class Lora:
    _target_: str = "geodesic_lightning.decoding.morphs.lora.Lora"
    rank: int | None = 16
    steps: int = 200
    lr: float = 2e-4
    joint: bool = False
    batch_size: int = 1
    seed: int = "${seed}"  # type: ignore[assignment]
    perceptual: Any = part("${perceptual}")
    name: str = ""


@dataclass
class NullText:
    _target_: str = "geodesic_lightning.decoding.morphs.null_text.NullText"
    steps: int = 10
    lr: float = 1e-2
    joint: bool = True


@dataclass
class Morph:
    _target_: str = "geodesic_lightning.decoding.morphs.decoder.morph"
    _partial_: bool = True
    attention: Any = part(None)
    share: float = 0.5
    adain: bool = False
    lora: Any = part(None)
    lora_unconditional: Any = part(None)
    null_text: Any = part(None)
    guidance: float = 1.0
    guidance_middle: float | None = None
    guide: str = ""
    negative: str = ""
    ends: str = "blended"


SCHEMAS = {
    "plain_schema": Plain,
    "attention_schema": Attention,
    "lora_schema": Lora,
    "morph_schema": Morph,
    "null_text_schema": NullText,
}
