"""Group data."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


@dataclass
class ShippedPair:
    _target_: str = "geodesic_lightning.data.frames.shipped_pair"
    name: str = MISSING


@dataclass
class Pair:
    _target_: str = "geodesic_lightning.data.frames.pair"
    start: str = MISSING
    end: str = MISSING
    prompt_start: str = ""
    prompt_end: str = ""
    fit: str = "crop"
    anchor: str = "center"


@dataclass
class Collection:
    _target_: str = "geodesic_lightning.data.pair_folder.numbered"
    root: str = ""
    number: int = 0
    fit: str = "crop"
    anchor: str = "center"


@dataclass
class OneImage:
    _target_: str = "geodesic_lightning.data.frames.image"
    image: str = MISSING
    prompt: str = ""
    fit: str = "crop"
    anchor: str = "center"


@dataclass
class Points:
    _target_: str = "geodesic_lightning.data.frames.points"
    start: list[float] = MISSING
    end: list[float] = MISSING


@dataclass
class Keyframes:
    _target_: str = "geodesic_lightning.data.keyframes.keyframes"
    images: Any = MISSING
    prompts: list[str] = field(default_factory=list)
    closed: bool = False
    rounding: float = 0.3
    fit: str = "crop"
    anchor: str = "center"


@dataclass
class Prompts:
    _target_: str = "geodesic_lightning.data.prompts.prompts"
    prompt_start: str = ""
    prompt_end: str = ""
    seed_start: int = 0
    seed_end: int = 1
    prompts: list[str] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    closed: bool = False
    rounding: float = 0.3
    guidance: float | None = None


@dataclass
class ShippedKeyframes:
    _target_: str = "geodesic_lightning.data.keyframes.shipped_keyframes"
    names: list[str] = MISSING
    closed: bool = False
    rounding: float = 0.3


@dataclass
class KeyframePoints:
    _target_: str = "geodesic_lightning.data.keyframes.keyframe_points"
    points: list[Any] = MISSING
    closed: bool = False
    rounding: float = 0.3


@dataclass
class Clip:
    _target_: str = "geodesic_lightning.data.clip.clip"
    path: str = MISSING
    prompt: str = ""
    stride: int = 1
    range: list[int] | None = None
    fit: str = "crop"
    anchor: str = "center"
    resize: str | None = None


@dataclass
class ShippedClip:
    _target_: str = "geodesic_lightning.data.clip.shipped_clip"
    name: str = MISSING


@dataclass
class ClipPoints:
    _target_: str = "geodesic_lightning.data.clip.clip_points"
    path: str = MISSING


SCHEMAS = {
    "collection_schema": Collection,
    "shipped_pair_schema": ShippedPair,
    "pair_schema": Pair,
    "image_schema": OneImage,
    "points_schema": Points,
    "keyframes_schema": Keyframes,
    "prompts_schema": Prompts,
    "shipped_keyframes_schema": ShippedKeyframes,
    "keyframe_points_schema": KeyframePoints,
    "clip_schema": Clip,
    "shipped_clip_schema": ShippedClip,
    "clip_points_schema": ClipPoints,
}
