"""What is known of a model before any library or weights are loaded: seconds instead of minutes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

from geodesic_lightning.errors import UserError
from geodesic_lightning.models.diffusion import DiffusionModel, embedded
from geodesic_lightning.models.diffusion.compiler import check_compiler
from geodesic_lightning.models.diffusion.loading import Source, refuse_unreachable
from geodesic_lightning.models.diffusion.lora_file import given_loras
from geodesic_lightning.models.diffusion.prediction import check_prediction
from geodesic_lightning.models.embedded import pipeline_folder


def check_settings(make_model: Callable[..., Any]) -> None:
    """Raise UserError for what a maker of a diffusion model would only find out later.

    That is torch.compile without a compiler, a hub that does not answer, low-rank weights that are not
    there, and what is no file's name.
    """
    options = arguments(make_model)
    for name in ("pretrained", "config", "lora", "embeddings"):
        given = options.get(name) or ()
        if not isinstance(given, str | Path) and not _texts(given):
            raise UserError(
                f"model.{name}: got {given}, expected a file, a folder or a hub id, or a list of them: "
                "write [a,b]."
            )
    if (source := source_of(make_model)) is None:
        return
    check_prediction(options.get("prediction", "auto"))
    if options.get("compile"):
        check_compiler()
    given_loras(options.get("lora") or [], options.get("lora_scale", 1.0))
    refuse_unreachable(source)


def _texts(given: Any) -> bool:
    listed = isinstance(given, Sequence)
    return listed and all(isinstance(one, str | Path) and str(one) for one in given)


def source_of(make_model: Callable[..., Any]) -> Source | None:
    """Where a maker of a diffusion model would load from; None for any other maker."""
    made = make_model.func if isinstance(make_model, partial) else make_model
    if made not in (DiffusionModel, embedded):
        return None
    names = set(signature(Source).parameters) - {"dtype"}
    options = {name: value for name, value in arguments(make_model).items() if name in names}
    if made is embedded:
        options["pretrained"] = str(pipeline_folder())
    return Source(**options)


def arguments(maker: Callable[..., Any]) -> dict[str, Any]:
    """The arguments that a partial holds, by name; none of another callable."""
    if not isinstance(maker, partial):
        return {}
    positional = signature(maker.func).bind_partial(*maker.args).arguments
    return {**positional, **maker.keywords}
