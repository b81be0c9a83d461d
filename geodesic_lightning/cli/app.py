"""The command line: compose → build → run → summary. Objects are instantiated only here."""

import os
import platform
import re
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
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
from geodesic_lightning.cli import config, sweep
from geodesic_lightning.cli import launch_processes as ranks
from geodesic_lightning.cli.resume import (
    Terminated,
    check_resumable,
    checkpoint,
    interrupted,
    stopped,
    terminable,
    with_former,
)
from geodesic_lightning.cli.run_folder import refuse_taken, set_aside
from geodesic_lightning.cli.sweep import objective
from geodesic_lightning.errors import UserError
from geodesic_lightning.solvers.batches import Batches
from geodesic_lightning.trainer.quiet import silence

HERE = Path(__file__).parent.parent
CONF = HERE / "conf" if (HERE / "conf").is_dir() else HERE.parent / "conf"
config.register()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def task(cfg: DictConfig) -> dict | float | None:
    """One job; what the user can mend is told at once: every job of a sweep tells its own.

    Returns:
        the summary, or what objective= names of it, for sweepers; None of a job that failed.
    """
    job = HydraConfig.get()
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
    began = time.perf_counter()
    config.check(cfg)
    OmegaConf.resolve(cfg)
    folder = Path(cfg.folder)
    # A sweep's folder is its own: what stands in a job's is of the job itself, killed or queued again.
    resume = checkpoint((sweep.folder() and set_aside(folder)) or cfg.resume)
    refuse_taken(folder, "hydra.run.dir")
    frames = instantiate(cfg.data)

    from geodesic_lightning.trainer.fast_import import import_lightning

    lightning = import_lightning()

    from geodesic_lightning.report.files import write_json
    from geodesic_lightning.solvers.assemble import Clock, assemble
    from geodesic_lightning.trainer.checkpoint_io import replace

    clock = Clock(began=began)
    silence()
    scheduler = instantiate(cfg.scheduler)
    parts = {group: instantiate(cfg[group]) for group in ("score", "condition", "manifold")}
    parts["solver"] = instantiate(cfg.solver, optimizer=instantiate(cfg.optimizer))
    parts["velocity"] = instantiate(cfg.velocity)
    parts["timing"] = instantiate(cfg.retime)
    parts["decoder"] = instantiate(cfg.decoder)
    parts["functional"] = instantiate(cfg.functional)
    rehearse(parts)
    metrics = instantiate(cfg.metrics)
    callbacks = [instantiate(one) for one in cfg.callbacks.values()]
    loggers = [instantiate(one) for one in cfg.logger.values()]
    settings = OmegaConf.to_container(cfg.trainer)
    if "RANK" in os.environ:
        from geodesic_lightning.trainer.replicated_strategy import strategy

        settings["strategy"] = strategy(settings["strategy"])
    trainer = instantiate(
        settings,
        default_root_dir=str(folder),
        callbacks=callbacks,
        logger=loggers,
        enable_checkpointing="checkpoint" in cfg.callbacks,
    )
    lightning.seed_everything(cfg.seed, verbose=False)
    model = instantiate(cfg.model)(scheduler=scheduler)
    model.to(trainer.strategy.root_device)
    clock.lap("load")
    solver = assemble(model, frames, **parts, clock=clock)
    metrics.check(solver)
    solver.metrics = metrics
    if resume:
        check_resumable(resume, solver)
        if "checkpoint" in cfg.callbacks:  # so that this run can be resumed from its start
            replace(folder / "checkpoints" / "last.ckpt", Path(resume).read_bytes())
    field = solver.problem.score.field.name
    solver.context = {
        "model": model.name,
        "seed": cfg.seed,
        "score": field,
        "seconds": clock.seconds,
    }
    for logger in loggers:
        logger.log_hyperparams(OmegaConf.to_container(cfg))
    try:
        for verb in solver.verbs:
            go(trainer, solver, verb, resume)
    except (SystemExit, KeyboardInterrupt, Terminated) as leaving:
        if (code := stopped(leaving)) is None:
            raise
        print(interrupted(folder, trainer.global_step, sweep.folder()), file=sys.stderr)
        sys.exit(code)
    summary = solver.summary()
    summary["seconds"]["total"] = time.perf_counter() - began
    summary["metrics"] = {name: float(value) for name, value in trainer.callback_metrics.items()}
    summary["versions"] = versions()
    summary["overrides"] = list(HydraConfig.get().overrides.task)
    write_json(folder / "summary.json", summary)
    return summary


def rehearse(parts: dict[str, Any]) -> None:
    """Put the parts together in the plane, which takes milliseconds.

    Whatever is out of range is refused by the constructors themselves, before a network is loaded.
    """
    from geodesic_lightning.data.frames import points
    from geodesic_lightning.geometry.choose_manifold import CHANNELWISE, automatic
    from geodesic_lightning.integrators.initial_velocity import Toward
    from geodesic_lightning.models.exact import ExactModel
    from geodesic_lightning.solvers.assemble import assemble

    condition = parts["condition"]
    if "cache" in condition.keywords:  # what is rehearsed is not kept
        condition = partial(condition, cache=None)
    parts = parts | {"condition": condition}
    if parts["velocity"] is not None:  # what it was made from need not fit the plane
        parts["velocity"] = Toward()
    if parts["manifold"].func in CHANNELWISE:  # the plane has no channels
        parts["manifold"] = automatic
    assemble(ExactModel("gaussian"), points([2.0, 0.0], [0.0, 1.0]), **parts)


def go(trainer, solver, verb: str, resume: str | None) -> None:
    """One verb of the trainer. A path has no data: a batch is an empty hand."""
    if verb == "fit":
        trainer.fit(solver, train_dataloaders=Batches(), ckpt_path=resume)
    elif verb == "validate":
        trainer.validate(solver, dataloaders=[0], verbose=False)
    else:
        raise ValueError(f"unknown verb {verb!r}: expected fit or validate")


def versions() -> dict[str, str]:
    """Of this project and of what it stands on."""
    names = ("torch", "lightning", "diffusers", "transformers", "hydra-core")
    return {
        "geodesic-lightning": __version__,
        "python": platform.python_version(),
        **{n: version(n) for n in names},
    }


def main() -> None:
    """Run, and tell the user's errors in one sentence; `debug=true` shows their traceback."""
    os.environ.setdefault(
        "HYDRA_FULL_ERROR", "1"
    )  # Hydra then raises what went wrong, and we say it
    if sys.argv[1:2] == ["distance"]:
        from geodesic_lightning.distance.__main__ import main as distance

        return distance(sys.argv[2:])
    # Idle threads of OpenMP wait asleep: where other programs want the cores too, waiting awake costs both dearly.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if (count := ranks.asked(sys.argv[1:])) > 1:
        sys.exit(ranks.start(count, sys.argv[1:]))
    sys.argv[1:] = ranks.quieted(sys.argv[1:])
    debug = any(re.fullmatch(r"\+*debug=(true|True|1|yes|on)", a) for a in sys.argv)
    sys.argv[1:] = with_former(sys.argv[1:])
    try:
        with terminable():
            task()
    except (KeyboardInterrupt, Terminated) as leaving:
        print("Interrupted.", file=sys.stderr)
        sys.exit(stopped(leaving))
    except Exception as error:
        told = explain(error)
        if debug or told is None:
            raise
        sys.exit(f"Error: {told}")


def explain(error: BaseException) -> str | None:
    """One sentence for what the user can mend; None for what is a fault of the program."""
    from geodesic_lightning.cli.error_messages import sentence

    return sentence(error)


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
