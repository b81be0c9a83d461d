"""The command line: compose → build → run → summary. Objects are instantiated only here."""

import logging
import os
import platform
import re
import sys
import time
import warnings
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from geodesic_lightning import __version__, config
from geodesic_lightning.batches import Batches
from geodesic_lightning.errors import UserError

HERE = Path(__file__).parent
CONF = HERE / "conf" if (HERE / "conf").is_dir() else HERE.parent / "conf"
# What runs leave in their folders, beside Hydra's own .hydra and log.
LEFT = (
    *("checkpoints", "frames", "hparams.yaml", "metrics.csv", "multirun.yaml"),
    *("curves.png", "fan.png", "mean.png", "path.safetensors", "picture.png", "report.md", "strip.png"),
    *("summary.json", "video.mp4", "videos", "wandb"),
)
config.register()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def task(cfg: DictConfig) -> dict | None:
    """One job; what the user can mend is told at once: every job of a sweep tells its own."""
    try:
        return run(cfg)
    except Exception as error:
        told = explain(error)
        if cfg.debug or told is None:
            raise
        if HydraConfig.get().mode == RunMode.RUN:
            sys.exit(f"Error: {told}")
        overrides = HydraConfig.get().job.override_dirname
        print(f"Error in job {HydraConfig.get().job.num} ({overrides}): {told}", file=sys.stderr)
        raise UserError("not every job succeeded, see above; the others are done.") from error


def run(cfg: DictConfig) -> dict[str, Any]:
    """One run, from configuration to summary.json; returns the summary."""
    began = time.perf_counter()
    config.check(cfg)
    OmegaConf.resolve(cfg)
    folder = Path(cfg.folder)
    refuse_taken(folder, "hydra.run.dir")
    resume = checkpoint(cfg.resume)
    frames = instantiate(cfg.data)

    from geodesic_lightning.lean import import_lightning

    lightning = import_lightning()

    from geodesic_lightning.artifacts import write_json
    from geodesic_lightning.assemble import Clock, assemble

    clock = Clock(began=began)
    _quiet(cfg)
    scheduler = instantiate(cfg.scheduler)
    parts = {group: instantiate(cfg[group]) for group in ("score", "condition", "manifold")}
    parts["solver"] = instantiate(cfg.solver, optimizer=instantiate(cfg.optimizer))
    parts["velocity"] = instantiate(cfg.velocity)
    parts["timing"] = instantiate(cfg.retime)
    rehearse(parts)
    callbacks = [instantiate(one) for one in cfg.callbacks.values()]
    loggers = [instantiate(one) for one in cfg.logger.values()]
    trainer = instantiate(
        OmegaConf.to_container(cfg.trainer),
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
    if resume:
        check_resumable(resume, solver)
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
    except SystemExit:  # Lightning's answer to Ctrl+C; this job is over, and so is a sweep
        sys.exit(interrupted(folder, trainer.global_step))
    finally:
        _finish_wandb(failed=sys.exc_info()[0] is not None)
    summary = solver.summary()
    summary["seconds"]["total"] = time.perf_counter() - began
    summary["metrics"] = {name: float(value) for name, value in trainer.callback_metrics.items()}
    summary["versions"] = versions()
    write_json(folder / "summary.json", summary)
    return summary


def rehearse(parts: dict[str, Any]) -> None:
    """Put the parts together in the plane, which takes milliseconds.

    Whatever is out of range is refused by the constructors themselves, before a network is loaded.
    """
    from geodesic_lightning.assemble import assemble
    from geodesic_lightning.exact import ExactModel
    from geodesic_lightning.frames import points
    from geodesic_lightning.launch import Toward

    condition = parts["condition"]
    if "cache" in condition.keywords:  # what is rehearsed is not kept
        condition = partial(condition, cache=None)
    parts = parts | {"condition": condition}
    if parts["velocity"] is not None:  # what it was made from need not fit the plane
        parts["velocity"] = Toward()
    assemble(ExactModel("gaussian"), points([2.0, 0.0], [0.0, 1.0]), **parts)


def go(trainer, solver, verb: str, resume: str | None) -> None:
    """One verb of the trainer. A path has no data: a batch is an empty hand."""
    if verb == "fit":
        trainer.fit(solver, train_dataloaders=Batches(), ckpt_path=resume)
    elif verb == "validate":
        trainer.validate(solver, dataloaders=[0], verbose=False)
    else:
        raise ValueError(f"unknown verb {verb!r}: expected fit or validate")


class KeepFormerRuns(Callback):
    """Refuses a folder that holds a run before Hydra writes into it.

    What a callback raises Hydra turns into a warning, unless it is an exit.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        _exit_if_taken(Path(config.hydra.run.dir), "hydra.run.dir")

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        _exit_if_taken(Path(config.hydra.sweep.dir), "hydra.sweep.dir")


def _exit_if_taken(folder: Path, setting: str) -> None:
    try:
        refuse_taken(folder, setting)
    except UserError as error:
        sys.exit(f"Error: {error}")


def refuse_taken(folder: Path, setting: str) -> None:
    """Raise UserError where a run has left its files; a folder that has others may be used."""
    if found := [name for name in LEFT if (folder / name).exists()]:
        raise UserError(
            f"{folder} already holds a run ({found[0]}), expected a folder without one: nothing is "
            f"overwritten, give another {setting}="
        )


def checkpoint(resume: str | None) -> str | None:
    """The checkpoint file of a run's folder, or the file itself."""
    if resume is None:
        return None
    found = Path(resume) / "checkpoints" / "last.ckpt" if Path(resume).is_dir() else Path(resume)
    if not found.is_file():
        raise UserError(
            f"resume: {found} does not exist, expected the folder of a run that wrote "
            "checkpoints/last.ckpt."
        )
    return str(found)


def check_resumable(resume: str, solver) -> None:
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
        if name in getattr(solver, "moving", ()):
            continue
        other = states.get(name)
        if other is None or other.shape != own.shape or (other - own).norm() > 1e-2 * own.norm():
            raise UserError(
                f"resume: {resume} is of a path between other ends: give the same data and model."
            )
    fresh = solver.configure_optimizers().state_dict()
    groups = (set(state["param_groups"][0]) for state in (fresh, written))
    states = (set(state["state"].get(0, ())) for state in (fresh, written))
    if len(set(map(frozenset, groups))) > 1 or not next(states) <= next(states):
        raise UserError(
            f"resume: {resume} is of another optimizer: choose the one it was run with."
        )


def interrupted(folder: Path, steps: int) -> str:
    """What to say after Ctrl+C."""
    way = (
        f"go on with resume={folder}"
        if (folder / "checkpoints" / "last.ckpt").exists()
        else "too early to resume"
    )
    return f"Interrupted after {steps} steps; {way}."


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
    debug = any(re.fullmatch(r"\+*debug=(true|True|1|yes|on)", a) for a in sys.argv)
    try:
        task()
    except KeyboardInterrupt:
        sys.exit("Interrupted.")
    except Exception as error:
        told = explain(error)
        if debug or told is None:
            raise
        sys.exit(f"Error: {told}")


def explain(error: BaseException) -> str | None:
    """One sentence for what the user can mend; None for what is a fault of the program."""
    from geodesic_lightning.explain import sentence

    return sentence(error)


def _quiet(cfg: DictConfig) -> None:
    """Silence what libraries say of things that are as they should be here."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", message=".*isinstance\\(treespec, LeafSpec\\).*")
    if any(one.get("offline") for one in cfg.logger.values()):
        from geodesic_lightning.lean import set_up_wandb

        set_up_wandb()


def _finish_wandb(failed: bool) -> None:
    """Close the W&B run if one was opened: the next job of a multirun must not log into it."""
    wandb = sys.modules.get("wandb")
    if wandb is not None and wandb.run is not None:
        wandb.finish(exit_code=int(failed))


if __name__ == "__main__":
    main()
