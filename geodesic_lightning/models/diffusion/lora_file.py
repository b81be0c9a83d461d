"""Low-rank weights from files, added to a pipeline's own for good: W + scale · s · B A.

s is what the file's layout says it is: α/r, α/√r (rank-stabilised), or another for each layer. The
layouts are read by the libraries that write them: diffusers reads its own and kohya's, with what
stands in the file's metadata; peft reads its own.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from geodesic_lightning.data.paths import expanded
from geodesic_lightning.errors import UserError, require
from geodesic_lightning.models.diffusion.folder import is_pointer, pointer_words

NAMES = ("pytorch_lora_weights.safetensors", "adapter_model.safetensors")
ALPHA = ".alpha"  # how kohya ends the name of a layer's α
PEFT = "base_model.model."  # how peft begins the names of its weights


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
    denoiser = pipeline.unet if hasattr(pipeline, "unet") else pipeline.transformer
    before = {key: value.clone() for key, value in _weights(denoiser).items()}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if any(key.startswith(PEFT) for key in _keys(file)):
                _merge_by_peft(denoiser, file, scale)
            else:
                _fuse_by_diffusers(pipeline, file, scale)
    except UserError:
        raise
    except Exception as error:  # what libraries make of files that are not as they should be
        raise UserError(
            f"model.lora: the low-rank weights of {file} do not fit this model "
            f"({' '.join(str(error).split())[:200] or type(error).__name__}): give others, or null."
        ) from error
    after = _weights(denoiser)
    if scale and all(value.equal(after[key]) for key, value in before.items()):
        raise UserError(
            f"model.lora: {file} changes nothing in this model's denoiser, expected low-rank weights of "
            "its attention: give others, or null."
        )


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


def _keys(file: Path) -> list[str]:
    from safetensors import safe_open

    with safe_open(file, "pt") as opened:
        return list(opened.keys())


def _fuse_by_diffusers(pipeline: Any, file: Path, scale: float) -> None:
    if not hasattr(pipeline, "load_lora_weights"):
        raise UserError(
            f"model.lora: {file} is not in peft's layout (adapter_model.safetensors beside "
            f"adapter_config.json), expected that for a {type(pipeline).__name__}, to which diffusers adds "
            "no others: give it so, or null."
        )
    if any(key.endswith(ALPHA) for key in _keys(file)):
        pipeline.load_lora_weights(_scaled(file), adapter_name="given")
    else:
        pipeline.load_lora_weights(str(file.parent), weight_name=file.name, adapter_name="given")
    parts = [name for name, where in pipeline.get_list_adapters().items() if where]
    pipeline.fuse_lora(components=parts, lora_scale=scale)
    pipeline.unload_lora_weights()


def _scaled(file: Path) -> dict[str, Tensor]:
    """kohya's weights with each layer's α/r in its own lora_up.

    diffusers 0.42 loses the α of layers that have another than most have.
    """
    from safetensors.torch import load_file

    weights = load_file(file)
    for key in [key for key in weights if key.endswith(ALPHA)]:
        layer, alpha = key.removesuffix(ALPHA), float(weights.pop(key))
        down, up = f"{layer}.lora_down.weight", f"{layer}.lora_up.weight"
        if down in weights and up in weights:
            weights[up] = weights[up].float() * (alpha / len(weights[down]))
    return weights


def _merge_by_peft(denoiser: nn.Module, file: Path, scale: float) -> None:
    import peft
    from peft.tuners.tuners_utils import BaseTunerLayer
    from safetensors.torch import load_file

    if not (file.parent / "adapter_config.json").is_file():
        raise UserError(
            f"model.lora: adapter_config.json is missing beside {file}, without it the weights' scale "
            "is not known: put it there, or give a file of diffusers' or kohya's layout."
        )
    config = peft.PeftConfig.from_pretrained(str(file.parent))
    wrapped: Any = peft.get_peft_model(denoiser, config)
    read: Any = peft.set_peft_model_state_dict(wrapped, load_file(file))
    unread = read.unexpected_keys
    if unread:
        wrapped.unload()
        raise ValueError(f"no place for {unread[0]}")
    tuned: list[Any] = [m for m in wrapped.modules() if isinstance(m, BaseTunerLayer)]
    for layer in tuned:
        layer.scale_layer(scale)
    wrapped.merge_and_unload()
    if hasattr(denoiser, "peft_config"):  # peft's own note: nothing of the adapter is left
        del denoiser.peft_config


def _weights(denoiser: nn.Module) -> dict[str, Tensor]:
    return {key: value for key, value in denoiser.state_dict().items() if "attn" in key}
