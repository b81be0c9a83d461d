"""The configuration, composed: from the folders of conf/ and what was typed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from geodesic_lightning.cli import config
from geodesic_lightning.cli.machine import process_count
from geodesic_lightning.cli.words import SWEEP
from geodesic_lightning.data.paths import expanded
from geodesic_lightning.errors import UserError

# In a clone conf/ stands beside the package, in a wheel inside it.
PACKAGE = Path(__file__).parent.parent
CONF = PACKAGE / "conf" if (PACKAGE / "conf").is_dir() else PACKAGE.parent / "conf"
config.register()


def unchecked(conf: Path, overrides: Sequence[str], hydra: bool = False) -> DictConfig:
    """The configuration of a folder of choices and these settings; with `hydra` Hydra's own too."""
    with initialize_config_dir(str(conf), version_base="1.3"):
        return compose("config", overrides=list(overrides), return_hydra_config=hydra)


def composed(overrides: Sequence[str]) -> DictConfig:
    """The configuration of these settings, checked and resolved, outside any run of Hydra."""
    cfg = unchecked(CONF, overrides)
    config.check(cfg)
    OmegaConf.resolve(cfg)
    return cfg


@dataclass(frozen=True)
class Early:
    """What has to be known of a command before Hydra runs it.

    Attributes:
        devices: trainer.devices, how many processes are wanted; 1 where it is no number.
        debug: whether errors are shown with their traceback.
        resume: the folder of the run to go on with, None for none.
    """

    devices: int = 1
    debug: bool = False
    resume: str | None = None


def early(words: Sequence[str]) -> Early:
    """Of a command line's words, and of whatever conf/ says; nothing where they do not compose.

    What does not compose is told when Hydra composes it again.
    """
    if any(word.startswith("-") and word not in SWEEP for word in words):
        return Early()
    settings = [word for word in words if "=" in word and not word.startswith("-")]
    for tells in (_may_tell, _tells):
        try:
            cfg = _early(CONF, tuple(word for word in settings if tells(word)))
        except Exception:  # a sweep's list of values, or a mistake
            continue
        resume = cfg.resume
        return Early(
            _processes(cfg),
            bool(cfg.debug),
            None if resume is None else str(expanded(str(resume))),
        )
    return Early(debug="debug=true" in words)


@lru_cache  # composing takes a quarter of a second, and a program may run many commands
def _early(conf: Path, overrides: tuple[str, ...]) -> DictConfig:
    GlobalHydra.instance().clear()
    try:
        return unchecked(conf, overrides)
    finally:
        GlobalHydra.instance().clear()


def _processes(cfg: DictConfig) -> int:
    devices: Any = OmegaConf.select(cfg, "trainer.devices", default=1)
    if OmegaConf.is_list(devices):
        devices = list(devices)
    if devices == 1:  # nothing to ask the machine for
        return 1
    try:
        return process_count(devices, cfg.trainer.accelerator)
    except UserError:  # told when the run is composed
        return 1


def _tells(word: str) -> bool:
    return word.lstrip("+").startswith(("trainer", "experiment=", "debug=", "resume="))


def _may_tell(word: str) -> bool:
    """Also a group's choice whose file sets what is no setting of its group, or is not ours."""
    group, _, choice = word.lstrip("+").partition("=")
    if _tells(word) or "." in group or not (CONF / group).is_dir():
        return _tells(word)
    file = CONF / group / f"{choice}.yaml"
    return not file.is_file() or "@package" in file.read_text(encoding="utf-8")
