"""The command line: compose → build → run → summary. Objects are instantiated only here."""

import os
import platform
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from geodesic_lightning import __version__
from geodesic_lightning.cli import config, help_page, launch_processes, sweep
from geodesic_lightning.cli.compose import CONF, early
from geodesic_lightning.cli.machine import (
    at_home,
    process_count,
    settled_seed,
    without_a_home,
)
from geodesic_lightning.cli.resume import (
    Terminated,
    check_resumable,
    checkpoint,
    former_seed,
    interrupted,
    stopped,
    terminable,
    with_former,
)
from geodesic_lightning.cli.run_folder import entries, refuse_deleted, refuse_taken, set_aside
from geodesic_lightning.cli.sweep import objective
from geodesic_lightning.cli.words import as_typed
from geodesic_lightning.data.paths import expanded
from geodesic_lightning.data.text import check_typed
from geodesic_lightning.errors import UserError
from geodesic_lightning.report import run_settings
from geodesic_lightning.report.terminal import forgiving
from geodesic_lightning.solvers.stages import Stages
from geodesic_lightning.tracking import wandb_library
from geodesic_lightning.trainer.quiet import silence

PACKAGE = "geodesic_lightning"
# When the command began, until a run of it has taken that for its own beginning.
_begun: list[float] = []


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def task(cfg: DictConfig) -> dict | float | None:
    """One job; what the user can mend is told at once: every job of a sweep tells its own.

    Returns:
        the summary, or what objective= names of it, for sweepers; None of a job that failed.
    """
    job = HydraConfig.get()
    if (
        job.job.chdir
    ):  # names are meant from where they were typed; what a run writes is in its folder anyway
        os.chdir(job.runtime.cwd)
    try:
        if cfg.sweep.resume and "RANK" in os.environ:
            raise UserError(
                "sweep.resume: several processes cannot agree on what is done: leave trainer.devices at "
                "1 and give each job a device by hydra/launcher=."
            )
        if cfg.sweep.resume and job.mode == RunMode.RUN:
            raise UserError("sweep.resume goes with -m; go on with one run by resume=<its folder>.")
        done = sweep.finished(Path(cfg.folder)) if sweep.folder() else None
        with terminable(), tracked():
            summary = run(cfg) if done is None else done
        return objective(cfg.objective, summary) if cfg.objective else summary
    except Exception as error:
        told = explain(error)
        if cfg.debug or (told is None and job.mode == RunMode.RUN):
            raise
        if job.mode == RunMode.RUN:
            sys.exit(f"Error: {told}")
        if told is None:
            traceback.print_exc()
        words = job.job.override_dirname
        sweep.tell_failure(Path(cfg.folder), job.job.num, words, told or repr(error))
        return None


def run(cfg: DictConfig) -> dict[str, Any]:
    """One run, from configuration to summary.json; returns the summary."""
    stages = Stages("start", _begun.pop() if _begun else None)
    stages.enter("load")
    config.check(cfg)
    folder = expanded(cfg.folder)
    # A sweep's folder is its own: what stands in a job's is of the job itself, killed or queued again.
    resume = checkpoint((sweep.folder() and set_aside(folder)) or cfg.resume)
    cfg.seed = settled_seed(cfg.seed, former_seed(resume))
    OmegaConf.resolve(cfg)
    refuse_taken(folder, "hydra.run.dir")
    if "wandb" in cfg.logger:
        with stages.at("log"):
            wandb_library.prepare()  # before torch, which settings are written with
    keep_settings(cfg, folder)
    here = entries(folder)
    frames = instantiate(cfg.data)
    make_model = instantiate(cfg.model)
    check_model(make_model)

    import lightning

    from geodesic_lightning.report.files import write_json
    from geodesic_lightning.score.long_prompts import check_before_loading
    from geodesic_lightning.solvers.assemble import assemble
    from geodesic_lightning.solvers.rehearsal import rehearse
    from geodesic_lightning.trainer import loop
    from geodesic_lightning.trainer.checkpoint_io import replace

    silence()
    parts = parts_of(cfg)
    rehearse(rehearsed(parts))
    check_before_loading(make_model, parts["condition"], frames.prompts)
    parts["metrics"] = instantiate(cfg.metrics)
    loggers = [instantiate(one) for one in cfg.logger.values()]
    trainer = trainer_of(cfg, folder, loggers)
    lightning.seed_everything(cfg.seed, verbose=False)
    with during(trainer, lambda: "loading the model"):
        model = make_model(scheduler=instantiate(cfg.scheduler))
        model.to(trainer.strategy.root_device)
    context = {"model": model.name, "seed": cfg.seed}
    with during(trainer, lambda: f"encoding: {model.evaluations:,} evaluations of the network"):
        solver = assemble(model, frames, **parts, context=context, stages=stages)
    if resume:
        check_resumable(resume, solver)
        if "checkpoint" in cfg.callbacks:  # so that this run can be resumed from its start
            replace(folder / "checkpoints" / "last.ckpt", Path(resume).read_bytes())
    with stages.at("log"):
        for logger in loggers:
            logger.log_hyperparams(OmegaConf.to_container(cfg))
    unshown: BaseException | None = None
    try:
        with during(trainer, lambda: progress(trainer).stage(trainer, solver)):
            summary = loop.run(trainer, solver, resume)
    except loop.Unshown as done:  # the figures are kept before that is told
        summary, unshown = done.summary, done.__cause__
    except OSError:
        refuse_deleted(folder, here)
        raise
    except (SystemExit, KeyboardInterrupt, Terminated) as leaving:
        if (code := stopped(leaving)) is None:
            raise
        print(interrupted(folder, trainer.global_step, sweep.folder()), file=sys.stderr)
        sys.exit(code)
    summary["metrics"] = {name: float(value) for name, value in trainer.callback_metrics.items()}
    summary["versions"] = versions()
    summary["overrides"] = sweep.overrides()
    summary["seconds"] = solver.seconds
    summary["seconds"]["total"] = sum(summary["seconds"].values())
    write_json(folder / "summary.json", summary)
    refuse_deleted(folder, here)
    if summary["not_converged"] and trainer.is_global_zero:
        print(summary["not_converged"])
        for logger in loggers:
            if hasattr(logger, "note"):
                logger.note("not_converged", summary["not_converged"])
    if unshown is not None:
        told = explain(unshown) or f"{type(unshown).__name__}: {unshown}"
        raise UserError(
            f"{folder} has the figures of the run, but not all could be shown: {told}"
        ) from unshown
    return summary


def keep_settings(cfg: DictConfig, folder: Path) -> None:
    """Write down what the run was told, by which `resume=` goes on with it."""
    choices = dict(HydraConfig.get().runtime.choices)
    content: Any = OmegaConf.to_container(cfg)
    run_settings.write(folder, sweep.overrides(), choices, content)


def parts_of(cfg: DictConfig) -> dict[str, Any]:
    """What `assemble` puts together, made from the configuration; nothing of it needs the model."""
    parts = {group: instantiate(cfg[group]) for group in ("score", "condition", "manifold")}
    return parts | {
        "solver": instantiate(cfg.solver, optimizer=instantiate(cfg.optimizer)),
        "velocity": instantiate(cfg.velocity),
        "timing": instantiate(cfg.retime),
        "decoder": instantiate(cfg.decoder),
        "functional": instantiate(cfg.functional),
    }


def trainer_of(cfg: DictConfig, folder: Path, loggers: list[Any]) -> Any:
    """The Trainer with its callbacks."""
    settings: Any = OmegaConf.to_container(cfg.trainer)
    settings["devices"] = process_count(settings["devices"], settings["accelerator"])
    if "RANK" not in os.environ:  # one process, whatever a scheduler's variables around it say
        from lightning.pytorch.plugins.environments import LightningEnvironment

        settings["plugins"] = [LightningEnvironment()]
    else:
        from geodesic_lightning.trainer.replicated_strategy import strategy

        settings["strategy"] = strategy(settings["strategy"])
    return instantiate(
        settings,
        default_root_dir=str(folder),
        callbacks=[instantiate(one) for one in cfg.callbacks.values()],
        logger=loggers,
        enable_checkpointing="checkpoint" in cfg.callbacks,
    )


def progress(trainer: Any) -> Any:
    """The callback that says how far a run is; None where none was chosen."""
    from geodesic_lightning.callbacks import Progress  # type: ignore[import-untyped]

    return next((one for one in trainer.callbacks if isinstance(one, Progress)), None)


def during(trainer: Any, words: Callable[[], str]) -> AbstractContextManager[None]:
    """Inside, a log gets these words every half a minute, where the progress is to be said."""
    told = progress(trainer)
    return told.during(words) if told else nullcontext()


def check_model(make_model: Any) -> None:
    """Whatever of a diffusion model can be refused before a library is imported for it."""
    if getattr(make_model, "func", make_model).__module__.startswith(f"{PACKAGE}.models.diffusion"):
        from geodesic_lightning.models.diffusion.before_loading import check_settings

        check_settings(make_model)


def rehearsed(parts: dict[str, Any]) -> dict[str, Any]:
    """The parts as they are rehearsed: nothing of that is kept."""
    condition = parts["condition"]
    return (
        parts | {"condition": partial(condition, cache=None)}
        if "cache" in condition.keywords
        else parts
    )


def versions() -> dict[str, str]:
    """Of this project and of what it stands on."""
    names = ("torch", "lightning", "diffusers", "transformers", "hydra-core")
    return {
        "geodesic-lightning": __version__,
        "python": platform.python_version(),
        **{n: version(n) for n in names},
    }


def main(began: float | None = None) -> None:
    """Run, and tell the user's errors in one sentence; `debug=true` shows their traceback.

    Args:
        began: when the command did, a time.perf_counter(); now if not given.
    """
    _begun[:] = [time.perf_counter() if began is None else began]
    # Hydra then raises what went wrong, and we say it.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    # Idle threads of OpenMP wait asleep: where other programs want the cores too, waiting awake costs both dearly.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    forgiving()
    without_a_home()
    try:
        check_typed(sys.argv[1:])
    except UserError as error:
        sys.exit(f"Error: {error}")
    sys.argv[1:] = as_typed(at_home(sys.argv[1:]), CONF)
    known = early(sys.argv[1:])
    if known.resume:
        try:
            sys.argv[1:] = with_former(sys.argv[1:], known.resume)
        except UserError as error:
            sys.exit(f"Error: {error}")
        known = early(sys.argv[1:])
    if (count := launch_processes.asked(known.devices)) > 1:
        sys.exit(launch_processes.start(count, sys.argv[1:]))
    sys.argv[1:] = launch_processes.quieted(sys.argv[1:])
    try:
        with terminable(), threads_told():
            if help_page.asked(sys.argv[1:]):
                print(help_page.page(sys.argv[1:]))
            else:
                task()
    except (KeyboardInterrupt, Terminated) as leaving:
        print("Interrupted.", file=sys.stderr)
        sys.exit(stopped(leaving))
    except Exception as error:
        told = explain(error)
        if known.debug or told is None:
            raise
        sys.exit(f"Error: {told}")


def explain(error: BaseException) -> str | None:
    """One sentence for what the user can mend; None for what is a fault of the program."""
    from geodesic_lightning.cli.error_messages import sentence

    return sentence(error)


@contextmanager
def threads_told() -> Iterator[None]:
    """Inside, what goes wrong in a thread of a logger's, a deleted folder say, is one sentence as well."""
    usual = threading.excepthook

    def tell(failed: threading.ExceptHookArgs) -> None:
        told = explain(failed.exc_value) if failed.exc_value else None
        if told is None:
            usual(failed)
        else:
            print(f"Error: {told}", file=sys.stderr)

    threading.excepthook = tell
    try:
        yield
    finally:
        threading.excepthook = usual


@contextmanager
def tracked() -> Iterator[None]:
    """Whatever happens within, its W&B run is closed: the next job of a multirun must not log into it."""
    failed = True
    try:
        yield
        failed = False
    finally:
        wandb = sys.modules.get("wandb")
        if wandb is not None and wandb.run is not None:
            wandb.finish(exit_code=int(failed))


if __name__ == "__main__":
    main()
