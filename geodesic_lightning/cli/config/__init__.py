"""The typed schema of every configuration group: names, types and defaults of what can be set.

One file a group, one class a choice; conf/<group>/<choice>.yaml starts from it and may set other
defaults. Ranges are checked where the values are used, by the constructors that `_target_` names.
"""

from dataclasses import dataclass, field, is_dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from geodesic_lightning.cli.config import (
    callbacks,
    condition,
    data,
    decoder,
    functional,
    logger,
    manifold,
    metrics,
    model,
    optimizer,
    retime,
    scheduler,
    score,
    solver,
    trainer,
    velocity,
)
from geodesic_lightning.cli.config.part import check_parts
from geodesic_lightning.errors import UserError

GROUPS = (
    scheduler,
    model,
    score,
    condition,
    manifold,
    optimizer,
    solver,
    velocity,
    data,
    retime,
    decoder,
    functional,
    metrics,
    trainer,
    callbacks,
    logger,
)


@dataclass
class Sweep:
    """A sweep that is started again: with resume, what is finished is skipped, the rest goes on."""

    resume: bool = False


@dataclass
class Config:
    """The whole run."""

    solver: Any = MISSING
    model: Any = MISSING
    scheduler: Any = MISSING
    score: Any = MISSING
    condition: Any = MISSING
    manifold: Any = MISSING
    optimizer: Any = MISSING
    data: Any = MISSING
    trainer: Any = MISSING
    callbacks: dict[str, Any] = field(default_factory=dict)
    logger: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    folder: str = "${hydra:runtime.output_dir}"
    resume: str | None = None
    sweep: Sweep = field(default_factory=Sweep)
    objective: str | None = None
    velocity: Any = None
    retime: Any = MISSING
    perceptual: Any = MISSING
    decoder: Any = MISSING
    functional: Any = MISSING
    metrics: Any = MISSING
    debug: bool = False


SCHEMAS = {"schema": Config} | {
    name: node for group in GROUPS for name, node in group.SCHEMAS.items()
}


def register() -> None:
    """Tell Hydra the schemas; they stand outside the groups, so that no group lists them.

    And ${pairs_in:folder}, the number of pairs in a folder, for sweeps over all of them.
    """
    store = ConfigStore.instance()
    for name, node in SCHEMAS.items():
        store.store(name=name, node=node)
    OmegaConf.register_new_resolver("pairs_in", _pairs_in, replace=True)


def _pairs_in(root: str) -> int:
    from geodesic_lightning.data.pair_folder import pairs_in  # late: images need torch

    return len(pairs_in(root))


def check(cfg: DictConfig) -> None:
    """Refuse what composing lets through: missing values, and settings that no schema has.

    Raises:
        OmegaConfBaseException: a value is missing or of another type than its schema says.
        UserError: a setting was added (+group.setting=…) that its schema does not know.
    """
    OmegaConf.to_object(cfg)
    _check_names(cfg, "")


def _check_names(node: DictConfig, where: str) -> None:
    schema = OmegaConf.get_type(node)
    if schema is not None and is_dataclass(schema):
        check_parts(node, schema, where)
    for name in node:
        key = str(name)
        if is_dataclass(schema) and key not in schema.__dataclass_fields__:
            names = ", ".join(k for k in schema.__dataclass_fields__ if not k.startswith("_"))
            raise UserError(f"No setting {where}{key}, expected one of {names}.")
        if isinstance(child := node[key], DictConfig):
            _check_names(child, f"{where}{key}.")
