"""Going on with a run that was stopped: its settings, its checkpoint, and what to say when it is stopped."""

import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from geodesic_lightning.cli.words import SWEEP
from geodesic_lightning.data.paths import expanded
from geodesic_lightning.errors import UserError
from geodesic_lightning.report import run_settings


class Terminated(BaseException):
    """SIGTERM, as a scheduler sends it before it kills."""


@contextmanager
def terminable() -> Iterator[None]:
    """Inside, SIGTERM raises Terminated, as Ctrl+C (and Ctrl+Break) raises KeyboardInterrupt; each but once.

    A process that was told to leave leaves: whatever is sent while it tidies up, it has heard before.
    Where somebody handles a signal already, as submitit's jobs do, it is left to them.
    """

    def leave(number: int, frame: object) -> None:
        for one in usual:
            signal.signal(one, signal.SIG_IGN)
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    usual: dict[signal.Signals, Any] = {
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGINT: signal.default_int_handler,
    }
    if sys.platform == "win32":  # by which the page stops its runs, ui/job.py
        usual[signal.SIGBREAK] = signal.SIG_DFL
    main = threading.current_thread() is threading.main_thread()
    usual = {one: now for one, now in usual.items() if main and signal.getsignal(one) is now}
    for one in usual:
        signal.signal(one, leave)
    try:
        yield
    finally:
        for one, before in usual.items():
            if signal.getsignal(one) is leave:
                signal.signal(one, before)


def with_former(words: Sequence[str], resume: str | None) -> list[str]:
    """The command line, before it the settings of the run it resumes that it does not set itself.

    A word of a group (model=…) also replaces what was set in it (model.…=…).

    Args:
        resume: the folder of that run, or the checkpoint in it; None for none.

    Raises:
        UserError: there is a checkpoint, but the settings of its run are not known.
    """
    if resume is None:
        return list(words)
    given = {_key(word): word for word in words if "=" in word}
    folder = run_of(Path(resume))
    former = run_settings.overrides(folder)
    if former is None and _checkpoint_in(Path(resume)).is_file():
        raise UserError(
            f"resume: the settings of the run in {folder} are not known, expected its "
            f"{run_settings.NAME} or .hydra/overrides.yaml: give the folder that the run wrote, with "
            "all its files."
        )
    if former is None:  # told by checkpoint
        return list(words)
    kept = [
        word
        for word in former
        if not any(_key(word) == key or _key(word).startswith(f"{key}.") for key in given)
        and _key(word) != "sweep.resume"
    ]
    # A job of a sweep that an experiment prescribes is resumed alone.
    alone = [] if set(SWEEP) & set(words) else ["hydra.mode=RUN"]
    said = {_key(word) for word in kept} | set(given)
    now = set(given) - set(map(_key, former))
    silent = [word for word in unsaid(folder) if not _said(word, said, now)]
    return [*silent, *kept, *alone, *words]


# Groups whose default was another in a former release.
RENEWED = ("scheduler", "manifold")


def unsaid(folder: Path) -> list[str]:
    """What a run took without being told, and a later release would take otherwise: as settings."""
    choices = run_settings.choices(folder)
    found = [f"{group}={choices[group]}" for group in RENEWED if choices.get(group)]
    path = folder / "path.safetensors"
    if path.is_file():
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "pt") as file:
                alpha = (file.metadata() or {}).get("alpha")
        except SafetensorError:  # told where the path is read
            alpha = None
        if alpha is not None:
            found.append(f"solver.alpha={alpha}")
    return found


def _said(word: str, keys: set[str], now: set[str]) -> bool:
    """A setting is among the keys, or something that stands for it, or is said anew that it belonged to."""
    key = _key(word)
    if key != "solver.alpha":
        return key in keys
    return bool({key, "solver.strength"} & keys or {"solver", "model", "score"} & now)


def run_of(resume: Path) -> Path:
    """The folder of the run that `resume` names by its folder or by the checkpoint in it."""
    if not resume.is_file():
        return resume
    return resume.parent.parent if resume.parent.name == "checkpoints" else resume.parent


def _checkpoint_in(resume: Path) -> Path:
    return resume if resume.is_file() else resume / "checkpoints" / "last.ckpt"


def _key(word: str) -> str:
    """group or group.setting of an override."""
    return re.split("[=@]", word.lstrip("+~"), maxsplit=1)[0]


def checkpoint(resume: str | Path | None) -> str | None:
    """The checkpoint file of a run's folder, or the file itself.

    None where there is nothing to resume, and where the run was stopped before its first step.

    Raises:
        UserError: it is neither a file nor the folder of a run.
    """
    if resume is None:
        return None
    folder = expanded(resume)
    found = _checkpoint_in(folder) if folder.is_dir() else folder
    if found.is_file():
        return str(found)
    if run_settings.overrides(folder) is not None and not (folder / "summary.json").exists():
        return None
    raise UserError(
        f"resume: {found} does not exist, expected the folder of a run that wrote "
        "checkpoints/last.ckpt."
    )


def former_seed(resume: str | None) -> int | None:
    """The seed of the run that wrote a checkpoint; None where none is resumed or it does not say."""
    if resume is None:
        return None
    import torch

    try:
        return torch.load(resume, map_location="cpu", weights_only=True).get("seed")
    except Exception:  # told by check_resumable
        return None


def check_resumable(resume: str, solver: Any) -> None:
    """Raise UserError unless the checkpoint is of a path between these ends, by this optimizer."""
    import torch

    if "fit" not in solver.verbs:
        raise UserError(
            f"resume: got {resume}, but solver={solver.name} solves nothing: leave it out."
        )
    try:
        saved = torch.load(resume, map_location=solver.device, weights_only=True)
        states, written = saved["state_dict"], saved["optimizer_states"][0]
    except Exception as error:  # whatever unpickling a file of another kind comes upon
        raise UserError(
            f"resume: {resume} is not a run's checkpoint: give a run's folder."
        ) from error
    for name, own in solver.named_buffers():
        if name in solver.moving:
            continue
        other = states.get(name)
        if other is None or other.shape != own.shape or (other - own).norm() > 1e-2 * own.norm():
            raise UserError(
                f"resume: {resume} is of a path between other ends: give the same data and model."
            )
    try:
        solver.make_optimizer().load_state_dict(written)
    except ValueError as error:
        raise UserError(
            f"resume: {resume} is of another optimizer: choose the one it was run with."
        ) from error


def stopped(leaving: BaseException) -> int | None:
    """The shell's code for what stopped a run: 130 for Ctrl+C, 143 for SIGTERM.

    Either may come as Lightning passes it on. None for other exits, which are of schedulers:
    submitit's, say, by which a job is queued again.
    """
    if isinstance(leaving, KeyboardInterrupt) or isinstance(leaving.__context__, KeyboardInterrupt):
        return 130
    by_lightning = type(leaving).__name__ == "SIGTERMException"
    return 143 if by_lightning or isinstance(leaving, Terminated) else None


def interrupted(folder: Path, steps: int, sweep: str | None = None) -> str:
    """What to say of a run that was stopped from outside; `sweep` is the folder of its sweep."""
    if sweep is not None:
        way = f"go on with sweep.resume=true hydra.sweep.dir={sweep}"
    elif (folder / "checkpoints" / "last.ckpt").exists():
        way = f"go on with resume={folder}"
    else:
        way = "too early to resume"
    return f"Interrupted after {steps} steps; {way}."
