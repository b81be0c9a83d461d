"""Where a run's numbers go beside metrics.csv: Weights & Biases, TensorBoard. Only the command line uses this."""

import os
import shutil
from functools import cache
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from lightning.pytorch.loggers.logger import rank_zero_experiment

from geodesic_lightning.errors import UserError, require
from geodesic_lightning.report.terminal import short
from geodesic_lightning.tracking import wandb_library
from geodesic_lightning.tracking.run_name import Identity

FINISH_TIMEOUT = (
    120.0  # seconds that uploads may take after the end; what is left, `wandb sync` sends
)


class WandB(WandbLogger):
    """A W&B run that never waits long for a network: online where there is a key and an answer.

    Everything it writes, what tables stage for an upload included, is under `save_dir`. Name, group
    and tags that are not given are those of its identity.

    Args:
        save_dir: the run's folder.
        project, entity, group, name, tags: W&B's own.
        offline: true, false, or auto, that is offline where no key is found or nobody answers; an
            environment that has WANDB_MODE decides for auto.
        init_timeout: seconds to wait for an answer.
        identity: name, group and tags where they are not given.

    Raises:
        UserError: offline is none of these.
    """

    def __init__(
        self,
        save_dir: str,
        project: str = "geodesic-lightning",
        entity: str | None = None,
        group: str | None = None,
        name: str | None = None,
        tags: list[str] | None = None,
        offline: bool | str = "auto",
        init_timeout: float = 10.0,
        identity: Identity | None = None,
    ) -> None:
        if offline not in (True, False, "auto"):
            raise UserError(f"logger.wandb.offline: got {offline!r}, expected true, false or auto.")
        own = identity or Identity()
        super().__init__(
            name=name or own.name,
            save_dir=save_dir,
            project=project,
            entity=entity,
            group=group or own.group,
            tags=list(tags or own.tags),
            config=own.config,
        )
        self._choice, self._init_timeout = offline, init_timeout

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The run, begun when it is first asked for."""
        _set_up()
        import wandb

        known = self._experiment is not None or getattr(self, "_attach_id", None) is not None
        if not known and wandb.run is None:
            self._begin()
        return super().experiment

    def note(self, name: str, words: str) -> None:
        """Words about the run, in its summary."""
        self.experiment.summary[name] = words

    def _begin(self) -> None:
        import wandb

        folder = Path(str(self._save_dir)).absolute() / "wandb"
        _stage_under(folder)
        mode, why = self._mode()
        if mode == "online":
            former = set(folder.glob("run-*"))
            try:
                run = self._open(mode)
                return print(f"W&B: {run.url}")
            except wandb.errors.Error as error:
                if self._choice is False:
                    raise
                for left in set(folder.glob("run-*")) - former:
                    shutil.rmtree(left, ignore_errors=True)
                mode, why = "offline", self._reason(error)
        run = self._open(mode)
        if mode == "offline":
            kept = short(Path(run.settings.sync_dir))
            print(f"W&B: offline, {why}; to send the run: wandb sync {kept}")

    def _mode(self) -> tuple[str, str]:
        """online, offline or disabled, and why."""
        import wandb

        if self._choice is not True and self._choice is not False:
            if said := os.environ.get("WANDB_MODE"):
                return {"dryrun": "offline"}.get(said, said), f"as WANDB_MODE={said} says"
            if not wandb.login(prompt=False, verify=False):
                return "offline", "no key found"
        return ("offline", "as asked") if self._choice is True else ("online", "")

    def _reason(self, error: Exception) -> str:
        import wandb

        if isinstance(error, wandb.errors.CommError):
            server = wandb.setup().settings.base_url
            return f"no answer from {server} within {self._init_timeout:g} s"
        return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")

    def _open(self, mode: Any) -> Any:
        """Open the run; its settings hold in spite of WANDB_MODE, which a former run may have left."""
        import wandb

        self._wandb_init["settings"] = wandb.Settings(
            mode=mode, init_timeout=self._init_timeout, finish_timeout=FINISH_TIMEOUT, silent=True
        )
        return super().experiment


def tensorboard(save_dir: str) -> TensorBoardLogger:
    """Events under save_dir/tensorboard.

    Raises:
        UserError: the package is not installed.
    """
    require(
        "tensorboard",
        "logger=tensorboard is not installed: pip install 'geodesic-lightning[tensorboard]'.",
    )
    return TensorBoardLogger(save_dir, name="", version="tensorboard", default_hp_metric=False)


@cache
def _set_up() -> None:
    """W&B's service begun, and silent."""
    wandb_library.prepare()
    import wandb

    wandb.setup(wandb.Settings(silent=True))


_OWN = "GEODESIC_WANDB_DATA_DIR"  # marks that WANDB_DATA_DIR is ours, in worker processes too


def _stage_under(folder: Path) -> None:
    """Keep pictures of tables in the run's folder until they are sent, unless the environment says where."""
    if "WANDB_DATA_DIR" not in os.environ or os.environ.get(_OWN) == os.environ["WANDB_DATA_DIR"]:
        os.environ["WANDB_DATA_DIR"] = os.environ[_OWN] = str(folder)
