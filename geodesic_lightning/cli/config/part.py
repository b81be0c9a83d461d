"""A setting that holds a part of its own, as a choice of its group puts it there: score.field, say."""

from dataclasses import field, fields
from typing import Any

from omegaconf import MISSING, DictConfig

from geodesic_lightning.errors import UserError


def part(default: Any = MISSING) -> Any:
    """Such a field of a schema; None is allowed where it is the default."""
    return field(default=default, metadata={"part": True})


def check_parts(node: DictConfig, schema: type, where: str) -> None:
    """Raise UserError where something else than a part stands in one of these fields of the node."""
    for one in fields(schema):
        if not one.metadata.get("part") or (node[one.name] is None and one.default is None):
            continue
        if not isinstance(node[one.name], DictConfig):
            value = "null" if node[one.name] is None else repr(node[one.name])
            raise UserError(
                f"{where}{one.name}: got {value}, expected the settings of a part: choose another "
                f"{where.partition('.')[0]}=, or set {where}{one.name}.<name>=."
            )
