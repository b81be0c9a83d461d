"""Defaults are written once: what the configuration sets is what the constructors take by themselves."""

from __future__ import annotations

import inspect
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import fields

import pytest
from hydra.utils import get_object
from omegaconf import MISSING, OmegaConf

from geodesic_lightning.cli import config
from geodesic_lightning.cli.compose import composed

# Lightning's Trainer keeps defaults of its own: trainer=default says what a path needs in their place.
OURS = {
    name: schema
    for name, schema in config.SCHEMAS.items()
    if getattr(schema, "_target_", "lightning").startswith("geodesic_lightning.")
}
# Settings that only the configuration has: where a run writes, and what refers to another setting.
ELSEWHERE = "${"


def defaults_of(schema) -> dict[str, object]:
    """Of a schema's settings those that have one; tuples and lists as lists."""
    found = {}
    for field in fields(schema):
        value = field.default
        if field.default_factory is not NO_DEFAULT:
            value = field.default_factory()
        refers = isinstance(value, str) and value.startswith(ELSEWHERE)
        if not field.name.startswith("_") and value != MISSING and not refers:
            found[field.name] = plain(value)
    return found


def plain(value: object) -> object:
    return list(value) if isinstance(value, tuple | list) else value


def parameters_of(target: str) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(get_object(target)).parameters)


@pytest.mark.parametrize("name", OURS)
def test_a_schema_has_its_constructor_s_defaults(name):
    parameters = parameters_of(OURS[name]._target_)
    anything = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for setting, value in defaults_of(OURS[name]).items():
        if setting not in parameters:
            assert anything, f"{setting} is no parameter of {OURS[name]._target_}"
            continue
        default = parameters[setting].default
        if default is inspect.Parameter.empty:  # the configuration alone knows one
            continue
        nothing = (None, [], {}, ())  # several ways to leave a setting out
        if default in nothing and value in nothing:
            continue
        assert value == plain(default), setting


def test_what_a_run_uses_by_default_are_the_constructors_defaults():
    """The default choice of every group, as composed: no YAML in between says otherwise."""
    cfg = composed(["folder=nowhere"])
    seen = 0
    for group in ("scheduler", "optimizer", "solver", "manifold", "condition", "retime", "score"):
        node = OmegaConf.to_container(cfg[group])
        parameters = parameters_of(node["_target_"])
        for setting, value in node.items():
            parameter = parameters.get(setting)
            if parameter is None or parameter.default is inspect.Parameter.empty:
                continue
            if not isinstance(value, dict):
                assert value == plain(parameter.default), f"{group}.{setting}"
                seen += 1
    assert seen > 20
