"""A local diffusers folder, looked through before any of it is read: what it lacks is said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from geodesic_lightning.models.diffusion.failures import SAFE, Refused

PICKLES = (".ckpt", ".bin", ".pt", ".pth")
WEIGHTLESS = (
    "scheduler",
    "tokenizer",
    "feature_extractor",
    "image_processor",
    "image_encoder",
    "safety_checker",
)


def check(folder: Path, without: Sequence[str], allow_pickle: bool) -> None:
    """Raise Refused with what a local diffusers folder lacks, before any of it is read."""
    index = folder / "model_index.json"
    if not index.is_file():
        raise Refused("a folder without model_index.json, which every diffusers folder has")
    try:
        parts = json.loads(index.read_text())
    except ValueError as error:
        raise Refused("its model_index.json is not JSON") from error
    for name, value in parts.items():
        absent = not isinstance(value, list) or value[0] is None or name in without
        if name.startswith("_") or absent or name in WEIGHTLESS[-3:]:
            continue
        part = folder / name
        if not part.is_dir():
            raise Refused(f"its folder {name}/ is missing")
        if not name.startswith(WEIGHTLESS):
            _check_weights(part, allow_pickle)


def _check_weights(part: Path, allow_pickle: bool) -> None:
    for index in part.glob("*.safetensors.index*.json"):
        shards = set(json.loads(index.read_text())["weight_map"].values())
        if missing := sorted(shard for shard in shards if not (part / shard).is_file()):
            raise Refused(f"of its sharded weights {part.name}/{missing[0]} is missing")
    if any(part.glob("*.safetensors")):
        return
    if not any(file for ending in PICKLES for file in part.glob(f"*{ending}")):
        raise Refused(f"there are no weights in {part.name}/")
    if not allow_pickle:
        raise Refused(f"the weights in {part.name}/ are pickled; {SAFE}")
