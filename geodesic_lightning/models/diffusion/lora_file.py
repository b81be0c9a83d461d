"""Low-rank weights from files, added to a pipeline's own for good: W + scale · s · B A.

s is what the file's layout says it is: α/r, α/√r (rank-stabilised), or another for each layer. The
layouts are read by the libraries that write them: diffusers reads its own and kohya's, with what
stands in the file's metadata; peft reads its own. Every weight has its place, or the file is refused
(lora_layout.py); kohya's magnitudes, which diffusers drops, are ours (dora.py).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from geodesic_lightning.data.paths import expanded
from geodesic_lightning.errors import UserError, require
from geodesic_lightning.models.diffusion import dora
from geodesic_lightning.models.diffusion.folder import is_pointer, pointer_words
from geodesic_lightning.models.diffusion.lora_layout import (
    by_place,
    check_kind,
    check_places,
    converted,
    layer_of,
)

NAMES = ("pytorch_lora_weights.safetensors", "adapter_model.safetensors")
ALPHA = ".alpha"  # how kohya ends the name of a layer's α
MAGNITUDE = ".dora_scale"  # and of its magnitudes
PEFT = "base_model.model."  # how peft begins the names of its weights
SCALED = ("LORA", "LOHA", "LOKR")  # peft's methods of which a share can be added


def given_loras(
    loras: str | Path | Sequence[str | Path], scales: float | Sequence[float] = 1.0
) -> list[tuple[float, Path]]:
    """The scale and the .safetensors file of each; nothing is read yet.

    Raises:
        UserError: there is no such file or folder, or only a pointer to it; the scales are neither one
            for all nor one for each; the library that reads low-rank weights is not installed.
    """
    names = [loras] if isinstance(loras, str | Path) else list(loras)
    numbers = [scales] if isinstance(scales, int | float) else list(scales)
    if len(numbers) == 1:
        numbers *= len(names)
    if len(numbers) != len(names):
        raise UserError(
            f"model.lora_scale: got {len(numbers)} for {len(names)} model.lora, expected one for all "
            "or one for each."
        )
    if names:
        require(
            "peft",
            "model.lora: low-rank weights need peft: pip install 'geodesic-lightning[morphs]'.",
        )
    return [(scale, _file(expanded(name))) for name, scale in zip(names, numbers)]


def add_lora(pipeline: Any, file: Path, scale: float = 1.0) -> None:
    """Add the weights of a .safetensors file.

    Layouts are kohya's, diffusers', and peft's (adapter_model.safetensors beside
    adapter_config.json), the last taken to be the denoiser's.

    Raises:
        UserError: it holds none, or they do not fit the pipeline.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            merged = _merge(pipeline, file, scale)
    except UserError:
        raise
    except Exception as error:  # what libraries make of files that are not as they should be
        raise UserError(
            f"model.lora: the low-rank weights of {file} do not fit this model ({_in_words(error)}): give "
            "others, or null."
        ) from error
    if scale and not merged:
        raise UserError(
            f"model.lora: {file} changes nothing in this model, expected low-rank weights that are not zero: "
            "give others, or null."
        )


def _in_words(error: Exception) -> str:
    """What a library says, in a line; of many sizes that do not match, the first."""
    text = " ".join(str(error).split())
    sizes = re.search(
        r"size mismatch for (\S+): .*? shape torch\.Size\((.*?)\).*? torch\.Size\((.*?)\)", text
    )
    if sizes:
        return f"{sizes[1]} has the shape {sizes[2]}, expected {sizes[3]}"
    return text[:200] or type(error).__name__


def _file(path: Path) -> Path:
    if path.is_file() and path.suffix == ".safetensors":
        if is_pointer(path):
            raise UserError(f"model.lora: {pointer_words(path, path.parent)}.")
        return path
    if path.is_dir():
        found = sorted(path.glob("*.safetensors"))
        named = [file for file in found if file.name in NAMES] or found
        if len(named) == 1:
            return _file(named[0])
        raise UserError(
            f"model.lora: {path} holds {len(found)} .safetensors files, expected one or {NAMES[0]}: give "
            "the file itself."
        )
    what = f"a {path.suffix} file" if path.is_file() else "nothing there"
    raise UserError(
        f"model.lora: got {path} ({what}), expected a folder or a .safetensors file of low-rank weights."
    )


def _merge(pipeline: Any, file: Path, scale: float) -> bool:
    """Add a file's weights for good; whether that changed anything."""
    from safetensors.torch import load_file

    weights = load_file(file)
    if any(key.startswith(PEFT) for key in weights):
        return _merge_by_peft(pipeline, weights, file, scale)
    if not hasattr(pipeline, "load_lora_weights"):
        raise UserError(
            f"model.lora: {file} is not in peft's layout (adapter_model.safetensors beside "
            f"adapter_config.json), expected that for a {type(pipeline).__name__}, to which diffusers adds "
            "no others: give it so, or null."
        )
    if hasattr(pipeline, "unet"):
        check_kind(weights, file)
    in_kohyas = any(key.endswith(".lora_down.weight") for key in weights)
    given = _scaled(weights) if in_kohyas else weights
    magnitudes = {k: given.pop(k) for k in list(given) if k.endswith(MAGNITUDE)}
    places = by_place(pipeline, converted(pipeline, dict(given)))
    check_places(pipeline, places, file)
    changed = _watched(layer_of(pipeline, key) for key in places)
    pairs = [_pair(pipeline, given, places, name, file) for name in magnitudes]
    for (layer, down, up), magnitude in zip(pairs, magnitudes.values()):
        dora.merge(layer, down, up, magnitude, scale)
    if not in_kohyas:  # diffusers wants the file itself, whose metadata tell the scale
        _fuse(pipeline, scale, str(file.parent), weight_name=file.name, use_safetensors=True)
    elif given:
        _fuse(pipeline, scale, given)
    return changed()


def _pair(
    pipeline: Any, given: dict[str, Tensor], places: dict[str, Tensor], name: str, file: Path
) -> tuple[nn.Module, Tensor, Tensor]:
    """The layer of a magnitude of that name, and its two factors, which are taken from those given."""
    layer = name.removesuffix(MAGNITUDE)
    down, up = (given.pop(f"{layer}.lora_{way}.weight", None) for way in ("down", "up"))
    place = next((key for key, value in places.items() if value is down), "")
    found = layer_of(pipeline, place)
    if found is None or down is None or up is None:
        raise UserError(
            f"model.lora: {file} has magnitudes ({name}) that belong to no pair of lora_down and lora_up "
            "of a Stable Diffusion 1, 2 or XL, where they are read in this layout: give the file in "
            "diffusers' layout (lora_magnitude_vector), or null."
        )
    return found, down, up


def _fuse(pipeline: Any, scale: float, weights: Any, **options: Any) -> None:
    pipeline.load_lora_weights(weights, adapter_name="given", **options)
    parts = [name for name, where in pipeline.get_list_adapters().items() if where]
    pipeline.fuse_lora(components=parts, lora_scale=scale)
    pipeline.unload_lora_weights()


def _scaled(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """kohya's weights with each layer's α/r in its own lora_up.

    diffusers 0.42 loses the α of layers that have another than most have.
    """
    scaled = dict(weights)
    for key in [key for key in weights if key.endswith(ALPHA)]:
        layer, alpha = key.removesuffix(ALPHA), float(weights[key])
        down, up = f"{layer}.lora_down.weight", f"{layer}.lora_up.weight"
        if down in weights and up in weights:
            del scaled[key]
            scaled[up] = weights[up].float() * (alpha / len(weights[down]))
    return scaled


def _merge_by_peft(pipeline: Any, weights: dict[str, Tensor], file: Path, scale: float) -> bool:
    import peft
    from peft.tuners.tuners_utils import BaseTunerLayer

    if not (file.parent / "adapter_config.json").is_file():
        raise UserError(
            f"model.lora: adapter_config.json is missing beside {file}, without it the weights' scale "
            "is not known: put it there, or give a file of diffusers' or kohya's layout."
        )
    config = peft.PeftConfig.from_pretrained(str(file.parent))
    if scale != 1 and config.peft_type not in SCALED:
        raise UserError(
            f"model.lora_scale: got {scale:g}, but {file} holds {config.peft_type.value} weights, which are added "
            f"whole, expected {', '.join(SCALED)} for a share: leave 1."
        )
    part = "unet" if hasattr(pipeline, "unet") else "transformer"
    denoiser = getattr(pipeline, part)
    if config.peft_type == "LORA":
        places = {key.replace(PEFT, f"{part}.", 1): value for key, value in weights.items()}
        check_places(pipeline, places, file)
        changed = _watched(layer_of(pipeline, key) for key in places)
    else:
        changed = _watched(denoiser.modules())
    wrapped: Any = peft.get_peft_model(denoiser, config)
    read: Any = peft.set_peft_model_state_dict(wrapped, weights)
    unread = read.unexpected_keys
    if unread:
        wrapped.unload()
        raise ValueError(f"no place for {unread[0]}")
    tuned: list[Any] = [m for m in wrapped.modules() if isinstance(m, BaseTunerLayer)]
    for layer in tuned if scale != 1 else ():
        layer.scale_layer(scale)
    wrapped.merge_and_unload()
    if hasattr(denoiser, "peft_config"):  # peft's own note: nothing of the adapter is left
        del denoiser.peft_config
    return changed()


def _watched(layers: Iterable[Any]) -> Callable[[], bool]:
    """Afterwards tells whether any of these layers has other weights than now."""
    weights = ((layer, getattr(layer, "weight", None)) for layer in layers)
    before = {layer: own.detach().clone() for layer, own in weights if isinstance(own, Tensor)}
    return lambda: any(not was.equal(layer.weight) for layer, was in before.items())
