"""Prompts longer than a text encoder takes: told, cut, or read in pieces.

    refuse     one sentence, before weights are loaded
    truncate   what is too long is not read, and that is said
    chunks     pieces of the encoder's length, each between a start and an end token of its own, read one
               after the other and laid side by side, as other tools for Stable Diffusion do

What an image shows must be read whole; a negative prompt may be read in part.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from geodesic_lightning.errors import UserError

log = logging.getLogger("geodesic_lightning")

WAYS = ("refuse", "truncate", "chunks")


def check_long(long: str) -> None:
    """Raise UserError for a way with long prompts that there is not."""
    if long not in WAYS:
        raise UserError(f"condition.long_prompts: got {long!r}, expected one of {', '.join(WAYS)}.")


def check(
    tokenizer: Any,
    prompts: Sequence[str],
    long: str = "refuse",
    negative: bool = False,
    longest: int | None = None,
) -> None:
    """Raise UserError for a prompt that the tokenizer would cut, or say what becomes of it.

    Args:
        tokenizer: of the text encoder.
        prompts: as they are to be read.
        long: one of WAYS.
        negative: they are negative prompts, of which the beginning is enough.
        longest: tokens that are read, with marks; None for the tokenizer's own number.
    """
    check_long(long)
    limit, marks = longest or tokenizer.model_max_length, tokenizer.num_special_tokens_to_add()
    told_marks = "two of them mark start and end" if marks == 2 else "one of them marks the end"
    for prompt in dict.fromkeys(prompts):
        count = len(ids(tokenizer, prompt)) + marks
        if count <= limit:
            continue
        told = (
            f"The prompt {_shortened(prompt)!r} has {count} tokens, the model's text encoder "
            f"takes {limit} ({told_marks})"
        )
        if negative:
            log.warning("%s: the rest of this negative prompt is not read.", told)
        elif long == "refuse":
            raise UserError(
                f"{told}: shorten it, or give condition.long_prompts=chunks ("
                f"{chunk_count(tokenizer, prompt, longest)} pieces) or truncate (the rest is not read)."
            )
        elif long == "truncate":
            log.warning("%s: the rest of it is not read.", told)
        else:
            log.info("%s: read in %d pieces.", told, chunk_count(tokenizer, prompt, longest))


def ids(tokenizer: Any, prompt: str) -> list[int]:
    """Token ids without start and end."""
    return tokenizer(prompt, add_special_tokens=False, truncation=False, verbose=False).input_ids


def chunk_count(tokenizer: Any, prompt: str, longest: int | None = None) -> int:
    """Pieces that the prompt takes, at least 1."""
    room = (longest or tokenizer.model_max_length) - tokenizer.num_special_tokens_to_add()
    return max(1, -(-len(ids(tokenizer, prompt)) // room))


def chunks(tokenizer: Any, prompt: str, count: int) -> list[list[int]]:
    """Token ids of `count` pieces, each of the encoder's length with start, end and padding."""
    size, found = tokenizer.model_max_length - 2, ids(tokenizer, prompt)
    start, end, pad = tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id
    pieces = [found[k * size : (k + 1) * size] for k in range(count)]
    return [[start, *piece, end, *[pad] * (size - len(piece))] for piece in pieces]


def _shortened(text: str, most: int = 60) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
