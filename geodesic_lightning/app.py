"""The command line: compose → build → run → summary. Objects are instantiated here and nowhere else."""

import os
import platform
import re
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import hydra
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from geodesic_lightning import __version__, config
from geodesic_lightning.errors import UserError

HERE = Path(__file__).parent
CONF = HERE / "conf" if (HERE / "conf").is_dir() else HERE.parent / "conf"
config.register()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def task(cfg: DictConfig) -> dict:
    """One run, from configuration to summary.json; returns the summary."""
    began = time.perf_counter()
    OmegaConf.to_object(cfg)  # every name and type is checked here, before anything is loaded
    OmegaConf.resolve(cfg)
    folder = Path(cfg.folder)
    if (folder / "summary.json").exists():
        raise UserError(f"{folder} already holds a run: give another hydra.run.dir=, nothing is overwritten.")
    frames = instantiate(cfg.data)

    import lightning as L

    from geodesic_lightning.artifacts import write_json
    from geodesic_lightning.assemble import Clock, assemble

    _quiet()
    L.seed_everything(cfg.seed, verbose=False)
    clock = Clock()
    scheduler = instantiate(cfg.scheduler)
    model = instantiate(cfg.model)(scheduler=scheduler)
    trainer_config = OmegaConf.to_container(cfg.trainer)
    callbacks = [instantiate(c) for c in cfg.callbacks.values()]
    loggers = [instantiate(c) for c in cfg.logger.values()]
    trainer = instantiate(trainer_config, default_root_dir=str(folder), callbacks=callbacks, logger=loggers,
                          enable_checkpointing="checkpoint" in cfg.callbacks)
    model.to(trainer.strategy.root_device)
    clock.lap("load")
    optimizer = instantiate(cfg.optimizer)
    solver = assemble(
        model,
        frames,
        solver=instantiate(cfg.solver, optimizer=optimizer),
        score=instantiate(cfg.score),
        condition=instantiate(cfg.condition),
        manifold=instantiate(cfg.manifold),
        clock=clock,
    )
    solver.context = {"model": model.name, "seed": cfg.seed, "score": solver.problem.score.field.name,
                      "seconds": clock.seconds}
    for logger in loggers:
        logger.log_hyperparams(OmegaConf.to_container(cfg, resolve=True))
    try:
        for verb in solver.verbs:
            run(trainer, solver, verb, cfg.resume)
    finally:
        _finish_wandb()
    summary = solver.summary()
    summary["seconds"]["total"] = time.perf_counter() - began
    summary |= {"metrics": {k: float(v) for k, v in trainer.callback_metrics.items()}, "versions": versions()}
    write_json(folder / "summary.json", summary)
    return summary


def run(trainer, solver, verb: str, resume: str | None) -> None:
    """One verb of the trainer. A path has no data: a batch is an empty hand."""
    from geodesic_lightning.batches import Batches

    if verb == "fit":
        trainer.fit(solver, train_dataloaders=Batches(), ckpt_path=checkpoint(resume))
    elif verb == "validate":
        trainer.validate(solver, dataloaders=[0], verbose=False)
    else:
        raise ValueError(f"unknown verb {verb!r}: expected fit or validate")


def checkpoint(resume: str | None) -> str | None:
    """The checkpoint file of a run folder, or the file itself."""
    if resume is None:
        return None
    found = Path(resume) / "checkpoints" / "last.ckpt" if Path(resume).is_dir() else Path(resume)
    if not found.is_file():
        raise UserError(f"resume: {found} does not exist; give the folder of a run that wrote checkpoints/last.ckpt.")
    return str(found)


def versions() -> dict[str, str]:
    """Of this project and of what it stands on."""
    names = ("torch", "lightning", "diffusers", "transformers", "hydra-core")
    return {"geodesic-lightning": __version__, "python": platform.python_version(), **{n: version(n) for n in names}}


def main() -> None:
    """Run, and tell the user's errors in one sentence; `debug=true` shows their traceback."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra then raises what went wrong, and we say it
    debug = any(re.fullmatch(r"\+*debug=(true|True|1|yes|on)", a) for a in sys.argv)
    try:
        task()
    except KeyboardInterrupt:
        sys.exit("Interrupted.")
    except Exception as error:
        sentence = explain(error)
        if debug or sentence is None:
            raise
        sys.exit(f"Error: {sentence}")


def explain(error: BaseException) -> str | None:
    """One sentence for what the user can mend; None for what is a fault of the program."""
    from geodesic_lightning.explain import sentence

    return sentence(error, CONF)


def _quiet() -> None:
    """Silence what libraries say of things that are as they should be here."""
    import logging

    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    os.environ.setdefault("WANDB_SILENT", "true")
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", message=".*isinstance\\(treespec, LeafSpec\\).*")


def _finish_wandb() -> None:
    """Close the W&B run if one was opened: the next job of a multirun must not log into it."""
    wandb = sys.modules.get("wandb")
    if wandb is not None and wandb.run is not None:
        wandb.finish()


if __name__ == "__main__":
    main()
