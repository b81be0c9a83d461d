"""Which layer each weight of a low-rank file belongs to, and what is said where it has none.

    weights by place   <component>.<layer>.lora_A.weight (r, in), .lora_B.weight (out, r)

That is the layout of today's diffusers; its own readers bring kohya's and former ones into it. A weight
that nobody reads would leave another change than the one that was trained: it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from geodesic_lightning.errors import UserError

# What other methods write in place of, or beside, two low-rank factors.
KINDS = {
    "LoHa": r"\.hada_",
    "LoKr": r"\.lokr_",
    "OFT": r"\.(oft_|boft_)",
    "IA3": r"\.(on_input|ia3_l)",
    "GLoRA": r"\.[ab][12]\.weight",
    "LoCon with a Tucker core": r"\.lora_mid\.",
    "full differences": r"\.(diff|diff_b|w_norm|b_norm)$",
    "embeddings": r"^bundle_emb\.",
}
# Who has cross-attention to prompts of such a width, and the choice of model= that loads it.
BASES = {
    768: ("Stable Diffusion 1", "sd15"),
    1024: ("Stable Diffusion 2", "sd2"),
    2048: ("Stable Diffusion XL", "sdxl"),
}


def check_kind(keys: Iterable[str], file: Path) -> None:
    """Raise UserError for weights of another method than low-rank products."""
    for kind, pattern in KINDS.items():
        if found := [key for key in keys if re.search(pattern, key)]:
            raise UserError(
                f"model.lora: {file} holds {kind} ({_some(found)}), expected low-rank weights alone "
                "(lora_down and lora_up, or lora_A and lora_B): merge it into a checkpoint with the program "
                "that trained it and give that as model.pretrained=, or null."
            )


def by_place(pipeline: Any, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, renamed after the layers they belong to; what has no known name keeps its own.

    Args:
        weights: as diffusers' reader gives them.
    """
    from diffusers.utils import (
        convert_state_dict_to_diffusers,
        convert_state_dict_to_peft,
        convert_unet_state_dict_to_peft,
    )

    found: dict[str, Tensor] = {}
    for part in {key.partition(".")[0] for key in weights}:
        own = {k.partition(".")[2]: v for k, v in weights.items() if k.partition(".")[0] == part}
        if part.startswith("text_encoder"):
            own = convert_state_dict_to_peft(convert_state_dict_to_diffusers(own))
            if not hasattr(getattr(pipeline, part, None), "text_model"):  # as transformers 5 has it
                own = {key.removeprefix("text_model."): value for key, value in own.items()}
        elif part in ("unet", "transformer"):
            own = convert_unet_state_dict_to_peft(own)
        found |= {f"{part}.{key}" if key else part: value for key, value in own.items()}
    return found


def check_places(parts: Any, weights: Mapping[str, Tensor], file: Path) -> None:
    """Raise UserError unless every weight has its layer, and its size.

    Args:
        parts: who has the components as attributes: a pipeline.
        weights: by place.
    """
    denoiser: Any = parts.unet if hasattr(parts, "unet") else parts.transformer
    _check_width(denoiser, weights, file)
    lost = [key for key in weights if layer_of(parts, key) is None]
    if lost:
        raise UserError(
            f"model.lora: {len(lost)} of the {len(weights)} weights of {file} belong to no layer of this "
            f"{type(denoiser).__name__} or its text encoders ({_some(lost)}), expected weights of their own "
            "layers: give low-rank weights that were trained on this model, or null."
        )
    for key, value in weights.items():
        if expected := _expected(layer_of(parts, key), key):
            axis, width = expected
            if value.shape[axis] != width:
                raise UserError(
                    f"model.lora: {key} of {file} has the shape {tuple(value.shape)}, this model's layer is "
                    f"{width} wide there: give low-rank weights that were trained on this model, or null."
                )


def layer_of(parts: Any, key: str) -> nn.Module | None:
    """The layer that a weight by place belongs to; None where there is none."""
    part, _, rest = key.partition(".")
    name = rest.partition(".lora_")[0] if ".lora_" in rest else rest.rpartition(".")[0]
    component = getattr(parts, part, None)
    if not isinstance(component, nn.Module) or not name:
        return None
    try:
        return component.get_submodule(name)
    except AttributeError:
        return None


def _expected(layer: Any, key: str) -> tuple[int, int] | None:
    """The axis of a factor that meets the layer, and the layer's width there."""
    if not hasattr(layer, "weight") or layer.weight is None or layer.weight.dim() < 2:
        return None
    rows, columns = layer.weight.shape[:2]
    if key.endswith(".lora_A.weight"):
        return 1, columns
    return (0, rows) if key.endswith(".lora_B.weight") else None


def _check_width(denoiser: Any, weights: Mapping[str, Tensor], file: Path) -> None:
    """Raise UserError where the weights are for prompts of another width: of another base, that is."""
    read = [v for k, v in weights.items() if re.search(r"\.attn2\.to_[kv]\.lora_A\.weight$", k)]
    own = denoiser.config.get("cross_attention_dim")
    if not read or not isinstance(own, int) or (width := read[0].shape[1]) == own:
        return
    base, model = BASES.get(width, ("another model", None))
    here = f", as in {BASES[own][0]}" if own in BASES else ""
    way = f"model={model}" if model else "the model they were trained on"
    raise UserError(
        f"model.lora: {file} was trained on {base}, whose prompts are {width} wide; this model's are {own} "
        f"wide{here}: give low-rank weights of this model's base, or {way}."
    )


def _some(keys: Iterable[str]) -> str:
    """The first few names of many."""
    listed = list(keys)
    return ", ".join(listed[:3]) + (", …" if len(listed) > 3 else "")


def converted(pipeline: Any, given: Any, **options: Any) -> dict[str, Tensor]:
    """What diffusers' reader of this pipeline makes of a file's weights."""
    if hasattr(pipeline, "unet"):  # by which numbered blocks are recognised
        options["unet_config"] = pipeline.unet.config
    found = pipeline.lora_state_dict(given, **options)
    return cast(dict[str, Tensor], found[0] if isinstance(found, tuple) else found)
