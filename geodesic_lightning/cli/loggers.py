"""Loggers as the configuration chooses them: a W&B run is named after its overrides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geodesic_lightning.cli import sweep
from geodesic_lightning.tracking.run_name import Identity, identity

if TYPE_CHECKING:
    from geodesic_lightning.tracking.wandb_logger import WandB


def wandb(
    save_dir: str,
    project: str = "geodesic-lightning",
    entity: str | None = None,
    group: str | None = None,
    name: str | None = None,
    tags: list[str] | None = None,
    offline: bool | str = "auto",
    init_timeout: float = 10.0,
) -> WandB:
    """logger=wandb: as WandB, for the present job."""
    from geodesic_lightning.tracking.wandb_logger import WandB

    return WandB(
        save_dir, project, entity, group, name, tags, offline, init_timeout, present_identity()
    )


def present_identity() -> Identity:
    """Of the present job; nothing where none was started by Hydra."""
    job = sweep.job()
    if job is None:
        return Identity()
    words = sweep.telling(job.overrides.task)
    folder = sweep.folder()
    found = identity(words, job.runtime.choices, folder, job.job.num if folder else None)
    found.config["overrides"] = list(job.overrides.task)
    return found
