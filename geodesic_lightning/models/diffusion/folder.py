"""A local diffusers folder, looked through before any of it is read: what it lacks is said."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from geodesic_lightning.models.diffusion.failures import SAFE, Refused

PICKLES = (".ckpt", ".bin", ".pt", ".pth")
UNREAD = (*PICKLES, ".safetensors", ".msgpack", ".onnx", ".onnx_data", ".pb", ".h5", ".xml")
WEIGHTLESS = (
    "scheduler",
    "tokenizer",
    "feature_extractor",
    "image_processor",
    "image_encoder",
    "safety_checker",
)
POINTER = b"version https://git-lfs.github.com/spec/"
NAME = re.compile(r"[^.]+?(?:\.(?P<variant>[\w-]+?))?(?:-\d{5}-of-\d{5})?\.safetensors")


def check(
    folder: Path, without: Sequence[str], allow_pickle: bool, variant: str | None = None
) -> str | None:
    """The variant of its weights to read, as fp16; None for those without.

    Args:
        folder: a local diffusers folder.
        without: components that are left out.
        allow_pickle: pickled weights may be read.
        variant: the one asked for; None takes plain weights, and where there are none, fp16 or another.

    Raises:
        Refused: what the folder lacks, before any of it is read.
    """
    weights = []
    for part in _parts(folder, without):
        if not part.is_dir():
            raise Refused(f"its folder {part.name}/ is missing")
        check_settings(part)
        if not part.name.startswith(WEIGHTLESS):
            weights.append(part)
    chosen = variant or only_variant(weights)
    for part in weights:
        _check_weights(part, allow_pickle, chosen)
    return chosen


def only_variant(parts: Sequence[Path]) -> str | None:
    """The variant that those parts have which have no plain weights; None where none is needed."""
    known = [set(_variants(part)) for part in parts]
    lacking = [names for names in known if names and None not in names]
    common = set.intersection(*lacking) if lacking else set()
    return "fp16" if "fp16" in common else min(common, default=None, key=str)


def check_settings(part: Path) -> None:
    """Raise Refused if a component's configuration or vocabulary is only a pointer to itself."""
    for file in sorted(part.iterdir()):
        if not file.name.endswith(UNREAD) and is_pointer(file):
            raise Refused(pointer_words(file, part.parent))


def is_pointer(file: Path) -> bool:
    """The file is what git-lfs leaves in the place of a large file that was not fetched."""
    if not file.is_file() or file.stat().st_size > 1024:
        return False
    return file.read_bytes().startswith(POINTER)


def pointer_words(file: Path, root: Path) -> str:
    """That, in words."""
    return (
        f"{file.relative_to(root)} is a git-lfs pointer, not the file itself: run `git lfs pull` in "
        f"{root}"
    )


def _parts(folder: Path, without: Sequence[str]) -> Iterator[Path]:
    """The folders of the components that are there by model_index.json."""
    index = folder / "model_index.json"
    if not index.is_file():
        raise Refused("a folder without model_index.json, which every diffusers folder has")
    if is_pointer(index):
        raise Refused(pointer_words(index, folder))
    try:
        parts = json.loads(index.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Refused("its model_index.json is not JSON") from error
    for name, value in parts.items():
        absent = not isinstance(value, list) or value[0] is None or name in without
        if not (name.startswith("_") or absent or name in WEIGHTLESS[-3:]):
            yield folder / name


def _variants(part: Path) -> dict[str | None, list[Path]]:
    """The whole .safetensors files of a component by their variant, None for plain ones."""
    found: dict[str | None, list[Path]] = {}
    for file in sorted(part.glob("*.safetensors")):
        if (match := NAME.fullmatch(file.name)) and not is_pointer(file):
            found.setdefault(match["variant"], []).append(file)
    return found


def _check_weights(part: Path, allow_pickle: bool, variant: str | None) -> None:
    for index in part.glob("*.safetensors.index*.json"):
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        if missing := sorted(shard for shard in shards if not (part / shard).is_file()):
            raise Refused(f"of its sharded weights {part.name}/{missing[0]} is missing")
    present = sorted(part.glob("*.safetensors"))
    pointers = [file for file in present if is_pointer(file)]
    whole = _variants(part)
    wanted = [
        file
        for file in pointers
        if (match := NAME.fullmatch(file.name)) and match["variant"] in (variant, None)
    ]
    if pointers and variant not in whole and None not in whole:
        raise Refused(pointer_words(pointers[0], part.parent))
    if wanted and variant not in whole:
        raise Refused(pointer_words(wanted[0], part.parent))
    if present:
        return
    pickled = [file for ending in PICKLES for file in sorted(part.glob(f"*{ending}"))]
    if not pickled:
        raise Refused(f"there are no weights in {part.name}/")
    if all(is_pointer(file) for file in pickled):
        raise Refused(pointer_words(pickled[0], part.parent))
    if not allow_pickle:
        raise Refused(f"the weights in {part.name}/ are pickled; {SAFE}")
