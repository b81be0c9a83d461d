"""Whether all weights of a file are in the networks that were made of it, and nothing else.

Libraries rename, split and turn what they read, and leave out what they do not know, in silence; a
weight that is missing stays random. So values are compared, not names: the first few numbers of every
tensor of a network have to be the first of a tensor of the file, or of a part of one,

    whole | three of q, k and v | two, swapped | seven of Flux's q, k, v and MLP | turned

and of every tensor of the file at least one such part is in a network. No more than those numbers is
read again.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from geodesic_lightning.models.diffusion.failures import Refused

FEW = 4  # numbers of a tensor that are compared
# Where a part begins: by rows, as shares of all.
PARTS = sorted({k / n for n in (1, 2, 3, 7) for k in range(n)})

# Tensors of a file that no network here needs, and why.
NEEDLESS = {
    r"position_ids$": "positions are counted anew",
    r"^model_ema\.": "a running average beside the weights themselves",
    r"^first_stage_model\.loss\.": "the autoencoder's loss in training",
    r"^(betas|alphas_cumprod|sqrt_|log_one_minus|posterior_|lvlb_weights|logvar)": "the noise schedule, "
    "which the configuration says",
    r"^(denoiser\.sigmas|edm_mean|edm_std|v_pred|ztsnr)$": "the noise schedule (prediction.py)",
    r"(^|\.)logit_scale$": "compares texts with pictures",
    r"(^|\.)(visual|vision_model|visual_projection)\.": "the half of CLIP that looks at pictures",
    r"^cond_stage_model\.model\.(transformer\.resblocks\.23\.|text_projection$)": "Stable Diffusion 2 takes "
    "its states before the last layer",
    r"^(text_projection|text_model\.text_projection)": "a projection of the pooled state, where none is asked",
    r"^(decoder\.|lm_head\.)": "T5's half that writes",
    r"^safety_checker\.": "looks at finished pictures",
}


def check_used(
    parts: Mapping[str, nn.Module], files: Sequence[Path], needless: Iterable[str] = ()
) -> None:
    """Raise Refused unless these networks hold all of these .safetensors files, and nothing else.

    Args:
        parts: networks by name, as they were loaded.
        needless: patterns of names, beside NEEDLESS, of tensors that are not asked for.
    """
    held = {f"{part}.{k}": v for part, net in parts.items() for k, v in net.state_dict().items()}
    names = {f"{part}.{k}" for part, net in parts.items() for k, _ in net.named_parameters()}
    patterns = [*NEEDLESS, *needless, *(p for net in parts.values() for p in _ignored(net))]
    dtypes = {value.dtype for value in held.values() if value.is_floating_point()}
    loaded = {k: _numbers(v.detach(), v.dtype) for k, v in held.items() if not v.is_meta}
    for shares in (PARTS[:1], PARTS):  # most files hold what the networks do, tensor by tensor
        written = _written(files, shares, dtypes)
        known = set(loaded.values())
        unread = [
            key
            for key, found in written.items()
            if not found & known and not any(re.search(p, key) for p in patterns)
        ]
        stored = {one for found in written.values() for one in found}
        lacking = [k for k in held if k in names and loaded.get(k) not in stored]
        if not lacking and not unread:
            return
    if lacking:
        raise Refused(
            f"{len(lacking)} of {len(names)} weights are not in the file, or were not read "
            f"({some(lacking)}), and would be random: take the whole file, or, if it is, other versions of "
            "diffusers and transformers"
        )
    raise Refused(
        f"{len(unread)} of {len(written)} weights of the file have no place in the network ({some(unread)}): "
        "it was made for another architecture, give the configuration that belongs to it"
    )


def _written(
    files: Iterable[Path], shares: Sequence[float], dtypes: Iterable[torch.dtype]
) -> dict[str, set[tuple[torch.dtype, bytes]]]:
    """The first numbers of every tensor's parts, as networks of these precisions would hold them."""
    from safetensors import safe_open

    found = {}
    for file in files:
        with safe_open(file, "pt") as opened:
            for key in opened.keys():  # noqa: SIM118, it is no dict
                pieces = list(_pieces(opened, key, shares))
                found[key] = {_numbers(one, dtype) for one in pieces for dtype in dtypes}
    return found


def read_files(part: Path, variant: str | None) -> list[Path]:
    """The .safetensors files of a component's folder that the libraries read; none if it is pickled."""
    for ending in dict.fromkeys((f".{variant}" if variant else "", "")):
        for stem in ("diffusion_pytorch_model", "model"):
            if (whole := part / f"{stem}{ending}.safetensors").is_file():
                return [whole]
            index = part / f"{stem}.safetensors.index{ending}.json"
            if index.is_file():
                shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
                return sorted({part / name for name in shards})
    return []


def some(names: Sequence[str]) -> str:
    """The first few of many names."""
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _ignored(network: Any) -> list[str]:
    """What the network's own library leaves out of a file without a word."""
    return list(getattr(network, "_keys_to_ignore_on_load_unexpected", None) or ())


def _pieces(opened: Any, key: str, shares: Sequence[float]) -> Iterator[Tensor]:
    """The beginnings of the parts of a stored tensor; where there are several, of its first column too."""
    stored = opened.get_slice(key)
    shape = stored.get_shape()
    if not shape:
        yield opened.get_tensor(key)
        return
    rows = math.ceil(FEW / max(1, math.prod(shape[1:])))
    for share in shares:
        at = round(share * shape[0])
        if at < shape[0] and abs(share * shape[0] - at) < 1e-6:
            yield stored[at : at + rows]
    if len(shape) == 2 and len(shares) > 1:
        yield stored[:FEW, 0:1]


def _numbers(piece: Tensor, dtype: torch.dtype) -> tuple[torch.dtype, bytes]:
    """The first numbers of a piece, as a network of that precision holds them."""
    few = piece.flatten()[:FEW].cpu()
    if piece.is_floating_point():
        few = few.to(dtype)
    return few.dtype, few.contiguous().view(torch.uint8).numpy().tobytes()
