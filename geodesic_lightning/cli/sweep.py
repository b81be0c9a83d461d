"""Many runs at once: folders of their own, what was done is not done again, what failed is named."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, flag_override

from geodesic_lightning.cli.run_folder import claim, refuse_taken
from geodesic_lightning.errors import UserError

# Settings that change nothing about a run's outcome.
ASIDE = ("sweep.", "objective", "debug", "resume")

FAILED = "failed.json"


class KeepFormerRuns(Callback):
    """A folder that nobody has for every run and every sweep, before Hydra writes into it.

    What a callback raises Hydra turns into a warning, unless it is an exit.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        _own_folder(config, "run")

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        if not config.sweep.resume:
            return _own_folder(config, "sweep")
        try:
            refuse_other_sweep(config)
        except UserError as error:
            sys.exit(f"Error: {error}")


class IndexPage(Callback):
    """At a sweep's end writes its index.html."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        from geodesic_lightning.report.sweep_page import write

        try:
            print(write(Path(config.hydra.sweep.dir)))
        except UserError as error:
            print(f"No index.html: {error}", file=sys.stderr)


class NameFailures(Callback):
    """At a sweep's end says which jobs failed, and leaves with an error if any did.

    Hydra calls callbacks backwards at the end: the first in its list, this one, has the last word.
    """

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        folder = Path(config.hydra.sweep.dir)
        if failed := failures(folder):
            sys.exit(
                f"Error: failed: {'; '.join(failed)}. The others are done; what failed runs again with "
                f"sweep.resume=true hydra.sweep.dir={folder}"
            )


def failures(folder: Path) -> list[str]:
    """Number and settings of each failed job of the sweep in this folder."""
    files = (f for f in folder.rglob(FAILED) if "unfinished" not in f.parent.name)
    found = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    return [
        f"job {one['job']} ({one['overrides']})"
        for one in sorted(found, key=lambda one: one["job"])
    ]


def tell_failure(folder: Path, job: int, overrides: str, told: str) -> None:
    """Say that a job failed, now and at the sweep's end."""
    print(f"Error in job {job} ({overrides}): {told}", file=sys.stderr)
    text = json.dumps({"job": job, "overrides": overrides, "error": told}, ensure_ascii=False)
    (folder / FAILED).write_text(text, encoding="utf-8", errors="backslashreplace")


def _own_folder(config: DictConfig, mode: str) -> None:
    """A folder that was asked for has to be free; the default one makes way for a run of the same second."""
    setting = f"hydra.{mode}.dir"
    folder = Path(config.hydra[mode].dir)
    if any(word.lstrip("+").startswith(f"{setting}=") for word in config.hydra.overrides.hydra):
        try:
            return refuse_taken(folder, setting)
        except UserError as error:
            sys.exit(f"Error: {error}")
    with flag_override(config, ["readonly", "struct"], [False, False]):
        config.hydra[mode].dir = str(claim(folder))
        # Jobs of a sweep are composed anew, from the overrides.
        config.hydra.overrides.hydra.append(f"{setting}={config.hydra[mode].dir}")


def refuse_other_sweep(config: DictConfig) -> None:
    """Raise UserError where sweep.resume=true is said of a folder that holds another sweep, or of none."""
    if not any(
        word.lstrip("+").startswith("hydra.sweep.dir=") for word in config.hydra.overrides.hydra
    ):
        raise UserError("sweep.resume=true: say which sweep, with hydra.sweep.dir=<its folder>.")
    folder = Path(config.hydra.sweep.dir)
    if not (folder / "multirun.yaml").exists():
        return
    former = OmegaConf.load(folder / "multirun.yaml").hydra
    if plan(former) != plan(config.hydra):
        raise UserError(
            f"sweep.resume: {folder} holds another sweep ({' '.join(former.overrides.task)}): give "
            "the same settings, or another hydra.sweep.dir="
        )


def job() -> Any:
    """What Hydra says of the present job; None where it started none."""
    return HydraConfig.get() if HydraConfig.initialized() else None


def folder() -> str | None:
    """Of the sweep that this job belongs to; None outside of one."""
    hydra = job()
    return str(hydra.sweep.dir) if hydra and hydra.mode == RunMode.MULTIRUN else None


def overrides() -> list[str]:
    """Of the present job, as typed."""
    hydra = job()
    return list(hydra.overrides.task) if hydra else []


def plan(hydra: DictConfig) -> tuple[list[str], dict]:
    """What decides the jobs of a sweep: the command's settings, and the sweeper's."""
    with flag_override(hydra, "readonly", False):
        sweeper = OmegaConf.to_container(hydra.sweeper, resolve=False)
    assert isinstance(sweeper, dict)
    return telling(hydra.overrides.task), sweeper


def telling(overrides: Any) -> list[str]:
    """Of a run's overrides those that its outcome depends on."""
    return sorted(word for word in overrides if not word.lstrip("+~").startswith(ASIDE))


def finished(folder: Path) -> dict[str, Any] | None:
    """The summary that an earlier start of this sweep left of the present job, None if it is still to do.

    Raises:
        UserError: the folder holds the result of other settings.
    """
    if not (folder / "summary.json").exists():
        return None
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    was = summary.get("overrides", [])
    if telling(was) != telling(overrides()):
        raise UserError(
            f"{folder} holds the result of {' '.join(was)}, expected a sweep that numbers its jobs in the "
            "same way: give another hydra.sweep.dir=, or the sweeper a seed."
        )
    (folder / FAILED).unlink(missing_ok=True)
    print(f"Job {HydraConfig.get().job.num} is done already.")
    return summary


def objective(name: str, summary: Mapping[str, Any]) -> float:
    """The number of a summary by its dotted path: length, measures.crossfade, metrics.final/energy.

    Raises:
        UserError: there is no such number.
    """
    found: Any = summary
    for part in name.split("."):
        if not isinstance(found, Mapping) or part not in found:
            known = ", ".join(found) if isinstance(found, Mapping) else "nothing"
            raise UserError(f"objective: no {part!r} in the summary's {name!r}, there is {known}.")
        found = found[part]
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise UserError(f"objective: {name} is {found!r}, expected a number.")
    return float(found)
