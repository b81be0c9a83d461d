"""Weights in prompts: (word:1.2) for more of a word, (word:0.8) for less of it, read by compel.

compel moves the token states of what is weighted away from the empty prompt's, or for less towards
those of the prompt without it. A bracket without a number is text, and so is one after a backslash,
\\(word:1.2\\).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from geodesic_lightning.errors import require

WEIGHTED = re.compile(r"(?<!\\)\(([^()]*[^()\\]):(\d+(?:\.\d*)?|\.\d+)\)")


def fragments(prompt: str) -> list[tuple[str, float]]:
    """The prompt in pieces of one weight each; one piece of weight 1 where it has no weights."""
    found, at = [], 0
    for match in WEIGHTED.finditer(prompt):
        found += [(prompt[at : match.start()], 1.0), (match[1], float(match[2]))]
        at = match.end()
    if not found:
        return [(prompt, 1.0)]
    found.append((prompt[at:], 1.0))
    return [(_bare(text), weight) for text, weight in found if text]


def is_weighted(prompt: str) -> bool:
    """The prompt has weights."""
    return WEIGHTED.search(prompt) is not None


def plain(prompt: str) -> str:
    """The prompt without its weights."""
    return "".join(text for text, _ in fragments(prompt))


def check_installed(prompts: Sequence[str]) -> None:
    """Raise UserError for weights where there is no compel to read them."""
    first = next((match[0] for p in prompts if (match := WEIGHTED.search(p))), None)
    if first is not None:
        require(
            "compel",
            f"The prompt has a weight, {first}, and compel, which reads it, is not installed: pip install "
            f"'geodesic-lightning[prompts]', or write \\{first[:-1]}\\) for the text itself.",
        )


def weighted_states(
    pieces: Sequence[tuple[str, float]], tokenizer: Any, encoder: Any, device: torch.device,
    penultimate: bool = False, truncate: bool = True,
) -> Tensor:  # fmt: skip
    """Token states (rows, width) of one weighted prompt.

    Args:
        pieces: texts and their weights.
        tokenizer, encoder: of CLIP.
        device: where the encoder is.
        penultimate: of the last layer but one, as Stable Diffusion XL reads them, without final norm.
        truncate: only what fits into one piece; else in pieces of the encoder's length.
    """
    from compel import ReturnedEmbeddingsType, SplitLongTextMode
    from compel.embeddings_provider import EmbeddingsProvider

    kinds = ReturnedEmbeddingsType
    provider = EmbeddingsProvider(
        tokenizer,
        encoder,
        dtype_for_device_getter=lambda _: encoder.dtype,
        truncate=truncate,
        returned_embeddings_type=(
            kinds.PENULTIMATE_HIDDEN_STATES_NON_NORMALIZED
            if penultimate
            else kinds.LAST_HIDDEN_STATES_NORMALIZED
        ),
        split_long_text_mode=SplitLongTextMode.BRUTAL,
    )
    texts, weights = zip(*pieces)
    found = provider.get_embeddings_for_weighted_prompt_fragments(
        [list(texts)], [list(weights)], device=device
    )
    return found[0]


def _bare(text: str) -> str:
    return text.replace("\\(", "(").replace("\\)", ")")
