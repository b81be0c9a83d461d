"""settings.yaml: what a run was told, kept in its own folder whatever Hydra keeps there.

    overrides  the settings as they were typed
    choices    the choice of every group, those that nobody typed among them
    config     the whole configuration

Runs of before 0.2 have only Hydra's notes, in .hydra/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from geodesic_lightning.errors import UserError

NAME = "settings.yaml"
HYDRAS = Path(".hydra")
KEYS = {"overrides", "choices", "config"}
FILES = (NAME, HYDRAS / "overrides.yaml")

__all__ = ["choices", "config", "is_told", "overrides", "run_folders", "write"]


def write(
    folder: Path, overrides: Sequence[str], choices: Mapping[str, str], config: Mapping[str, Any]
) -> None:
    """Keep the settings of the run in this folder, in place of those of a run that failed there."""
    from geodesic_lightning.report.files import write_text  # late: it needs torch

    content = {
        "overrides": list(overrides),
        "choices": {k: v for k, v in choices.items() if not k.startswith("hydra/")},
        "config": dict(config),
    }
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    write_text(folder / NAME, text)


def overrides(folder: Path) -> list[str] | None:
    """What was typed for the run in this folder; None where that is not known."""
    own = _own(folder)
    found = own["overrides"] if own else _read(folder / HYDRAS / "overrides.yaml")
    return None if found is None else [str(word) for word in found]


def choices(folder: Path) -> dict[str, str]:
    """The choice of every group of that run; empty where it is not known."""
    if own := _own(folder):
        return own["choices"]
    content = _read(folder / HYDRAS / "hydra.yaml") or {}
    return content.get("hydra", content).get("runtime", {}).get("choices", {})


def config(folder: Path) -> dict[str, Any]:
    """The whole configuration of that run; empty where it is not known."""
    own = _own(folder)
    return (own["config"] if own else _read(folder / HYDRAS / "config.yaml")) or {}


def is_told(folder: Path) -> bool:
    """A run has its settings in this folder."""
    return any((folder / name).is_file() for name in FILES)


def run_folders(sweep: Path) -> set[Path]:
    """The folders anywhere below a sweep's that hold the settings of a run."""
    found = {file.parent for file in sweep.glob(f"**/{NAME}")}
    return found | {file.parent.parent for file in sweep.glob(f"**/{HYDRAS / 'overrides.yaml'}")}


def _own(folder: Path) -> dict[str, Any] | None:
    """The content of settings.yaml; None where a run has none."""
    content = _read(folder / NAME)
    if content is not None and not (isinstance(content, dict) and set(content) >= KEYS):
        raise UserError(_unreadable(folder / NAME))
    return content


def _read(file: Path) -> Any:
    """The content of a YAML file, plain values alone; None where it is missing or a kill left it empty."""
    if not file.is_file():
        return None
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(_unreadable(file)) from error


def _unreadable(file: Path) -> str:
    return (
        f"{file} cannot be read, expected the settings that a run wrote: give another run's folder."
    )
