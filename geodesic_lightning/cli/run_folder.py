"""The folders of runs: one run a folder, and nothing that a run has left is written over."""

import itertools
import shutil
from pathlib import Path

from geodesic_lightning.errors import UserError
from geodesic_lightning.report import run_settings

# What runs leave in their folders, beside their settings and Hydra's log: a run that failed has those.
LEFT = (
    *("checkpoints", "frames", "hparams.yaml", "metrics.csv", "multirun.yaml"),
    *("curves.png", "fan.png", "mean.png", "path.safetensors", "picture.png"),
    *("index.html", "report.html", "report.md", "strip.png"),
    *("summary.json", "video.mp4", "videos", "wandb", "failed.json"),
)


def refuse_taken(folder: Path, setting: str) -> None:
    """Raise UserError where a run has left its files; a folder that has others may be used."""
    sweep = setting == "hydra.sweep.dir"
    found = [name for name in LEFT if (folder / name).exists()]
    found += [run.name for run in folder.glob("*") if sweep and run_settings.is_told(run)]
    if found:
        on = ", or add sweep.resume=true to go on with it" if sweep else ""
        raise UserError(
            f"{folder} already holds a run ({found[0]}), expected a folder without one: nothing is "
            f"overwritten, give another {setting}={on}"
        )


def entries(folder: Path) -> set[str]:
    """Names of what is in the folder; none where there is none."""
    return {file.name for file in folder.iterdir()} if folder.is_dir() else set()


def refuse_deleted(folder: Path, before: set[str]) -> None:
    """Raise UserError where the folder has lost what was in it when the run began: nobody of us deletes."""
    if lost := before - entries(folder):
        raise UserError(
            f"{folder} was deleted while the run wrote to it: {', '.join(sorted(lost))} and what was written "
            "till then are gone, what was written after stands there; run it again to have all."
        )


def claim(folder: Path) -> Path:
    """Make the folder, or the first of folder-2, folder-3, … that nobody has: it is this run's alone."""
    for number in itertools.count(1):
        free = folder if number == 1 else folder.with_name(f"{folder.name}-{number}")
        try:
            free.mkdir(parents=True)
        except FileExistsError:
            continue
        return free
    raise AssertionError("there are always more numbers")


def set_aside(folder: Path) -> Path | None:
    """Move what an unfinished run left into folder/unfinished, unfinished-2, …

    Returns:
        where it is now, if the run wrote a checkpoint to go on from; otherwise None.
    """
    left = [folder / name for name in LEFT if (folder / name).exists()]
    if not left:
        return None
    aside = claim(folder / "unfinished")
    for file in left:
        shutil.move(file, aside / file.name)
    return aside if (aside / "checkpoints").exists() else None
