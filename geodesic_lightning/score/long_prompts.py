"""Prompts that are longer than the model's text encoder takes, told before any weights are loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from geodesic_lightning.models.diffusion.before_loading import arguments, source_of
from geodesic_lightning.models.diffusion.embeddings import read_embeddings
from geodesic_lightning.models.diffusion.loading import tokenizer
from geodesic_lightning.models.diffusion.prompt_weights import check_installed, plain
from geodesic_lightning.models.prompt_length import check
from geodesic_lightning.score.condition import unconditional


def check_before_loading(
    make_model: Callable[..., Any], condition: Callable[..., Any], texts: Sequence[str]
) -> None:
    """Read the tokenizer alone, and count the tokens of the prompts that the condition will read.

    Args:
        make_model: maker of a model; what makes another than a diffusion model has no limit.
        condition: maker of the condition, as for assemble.assemble.
        texts: the frames' prompts.

    Raises:
        UserError: one is too long, and `long_prompts` of the condition is refuse; or one has weights, and
            what reads them is not installed.
    """
    reads = condition.func if isinstance(condition, partial) else condition
    source = source_of(make_model)
    if source is None or reads is unconditional or not any(texts):
        return
    check_installed(texts)
    counter = tokenizer(source)
    if counter is None:
        return
    tokens = counter.tokenizer
    asked = arguments(condition)
    texts = [plain(text) for text in ([" ".join(texts)] if asked.get("joint") else texts)]
    for word in read_embeddings(arguments(make_model).get("embeddings") or ()):
        tokens.add_tokens(word.tokens)
        texts = [text.replace(word.word, " ".join(word.tokens)) for text in texts]
    check(tokens, texts, asked.get("long_prompts", "refuse"), longest=counter.longest)
