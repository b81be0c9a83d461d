"""Prompts that are longer than the model's text encoder takes, told before any weights are loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from inspect import signature
from typing import Any

from geodesic_lightning.models.diffusion import DiffusionModel, embedded
from geodesic_lightning.models.diffusion.embeddings import read_embeddings
from geodesic_lightning.models.diffusion.loading import Source, tokenizer
from geodesic_lightning.models.diffusion.prompt_length import check
from geodesic_lightning.models.embedded import pipeline_folder
from geodesic_lightning.score.condition import unconditional


def check_before_loading(
    make_model: Callable[..., Any], condition: Callable[..., Any], texts: Sequence[str]
) -> None:
    """Read the tokenizer alone, and count the tokens of the prompts that the condition will read.

    Args:
        make_model: maker of a model, as a configuration names it; what makes another than a diffusion
            model has no limit.
        condition: maker of the condition, as for assemble.assemble.
        texts: the frames' prompts.

    Raises:
        UserError: one is too long, and `long_prompts` of the condition is refuse.
    """
    if _made(condition) is unconditional or _made(make_model) not in (DiffusionModel, embedded):
        return
    own, asked = _given(make_model), _given(condition)
    names = signature(Source).parameters
    options = {name: value for name, value in own.items() if name in names and name != "dtype"}
    if _made(make_model) is embedded:
        options["pretrained"] = str(pipeline_folder())
    tokens = tokenizer(Source(**options))
    if tokens is None:
        return
    texts = [" ".join(texts)] if asked.get("joint") else list(texts)
    for word in read_embeddings(own.get("embeddings") or ()):
        tokens.add_tokens(word.tokens)
        texts = [text.replace(word.word, " ".join(word.tokens)) for text in texts]
    check(tokens, texts, asked.get("long_prompts", "refuse"))


def _made(maker: Callable[..., Any]) -> Callable[..., Any]:
    return maker.func if isinstance(maker, partial) else maker


def _given(maker: Callable[..., Any]) -> dict[str, Any]:
    """The arguments that a maker holds, by name."""
    if not isinstance(maker, partial):
        return {}
    return dict(signature(maker.func).bind_partial(*maker.args, **maker.keywords).arguments)
