"""Low-rank weights from a file, added to a pipeline's own for good: W + scale · B A."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

from torch import Tensor

from geodesic_lightning.errors import UserError

NAMES = ("pytorch_lora_weights.safetensors", "adapter_model.safetensors")
PEFT = "base_model.model."  # how peft begins the names of its weights


def add_lora(pipeline, lora: str, scale: float = 1.0) -> Path:
    """Add the weights of a folder or a .safetensors file; the file that was read.

    Layouts are those that diffusers reads, and peft's own (adapter_model.safetensors beside
    adapter_config.json), taken to be the denoiser's.

    Raises:
        UserError: there is no such file, it holds none, or they do not fit the pipeline.
    """
    file = _file(Path(lora).expanduser())
    try:
        import peft  # noqa: F401
        from safetensors.torch import load_file
    except ImportError as error:
        raise UserError(
            "model.lora: low-rank weights need peft: pip install 'geodesic-lightning[morphs]'."
        ) from error
    denoiser = "unet" if hasattr(pipeline, "unet") else "transformer"
    before = {key: value.clone() for key, value in _weights(getattr(pipeline, denoiser)).items()}
    try:
        weights = load_file(file)
        if any(key.startswith(PEFT) for key in weights):
            weights = _of_peft(weights, denoiser, file.parent)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pipeline.load_lora_weights(weights, adapter_name="given")
            pipeline.fuse_lora(components=_loaded(pipeline), lora_scale=scale)
            pipeline.unload_lora_weights()
    except Exception as error:  # what libraries make of files that are not as they should be
        raise UserError(
            f"model.lora: the low-rank weights of {file} do not fit this model "
            f"({' '.join(str(error).split())[:200] or type(error).__name__}): give others, or null."
        ) from error
    after = _weights(getattr(pipeline, denoiser))
    if scale and all(value.equal(after[key]) for key, value in before.items()):
        raise UserError(
            f"model.lora: {file} changes nothing in this model's denoiser, expected low-rank weights of "
            "its attention: give others, or null."
        )
    return file


def _file(path: Path) -> Path:
    if path.is_file() and path.suffix == ".safetensors":
        return path
    if path.is_dir():
        found = sorted(path.glob("*.safetensors"))
        named = [file for file in found if file.name in NAMES] or found
        if len(named) == 1:
            return named[0]
        raise UserError(
            f"model.lora: {path} holds {len(found)} .safetensors files, expected one or {NAMES[0]}: give "
            "the file itself."
        )
    what = f"a {path.suffix} file" if path.is_file() else "nothing there"
    raise UserError(
        f"model.lora: got {path} ({what}), expected a folder or a .safetensors file of low-rank weights."
    )


def _of_peft(weights: dict[str, Tensor], denoiser: str, folder: Path) -> dict[str, Tensor]:
    """peft's names and scale, α/r, in diffusers' form."""
    config = folder / "adapter_config.json"
    known = json.loads(config.read_text(encoding="utf-8")) if config.exists() else {}
    scale = known.get("lora_alpha", 1) / known["r"] if known.get("r") else 1.0
    return {
        key.replace(PEFT, f"{denoiser}."): value * scale if ".lora_B." in key else value
        for key, value in weights.items()
    }


def _loaded(pipeline) -> list[str]:
    """The parts that the adapter went into."""
    return [name for name, where in pipeline.get_list_adapters().items() if where]


def _weights(denoiser) -> dict[str, Tensor]:
    return {key: value for key, value in denoiser.state_dict().items() if "attn" in key}
