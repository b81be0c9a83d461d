"""The page of --help: what Hydra would print, from the folders of conf/ alone.

Hydra's own takes three times as long: it lists each group by copying every stored schema.
"""

from collections.abc import Sequence
from string import Template

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf, open_dict

from geodesic_lightning.cli.compose import CONF


def asked(words: Sequence[str]) -> bool:
    """For help, and with no other flag, whose meaning there only Hydra knows."""
    flags = [word for word in words if word.startswith("-")]
    return bool(flags) and set(flags) <= {"--help", "-h"}


def page(words: Sequence[str]) -> str:
    """hydra.help.template of conf/config.yaml, filled in for these settings."""
    settings = [word for word in words if not word.startswith("-")]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=settings, return_hydra_config=True)
    template = Template(cfg.hydra.help.template)
    with open_dict(cfg):
        del cfg["hydra"]
    return template.substitute(APP_CONFIG_GROUPS=groups(), CONFIG=OmegaConf.to_yaml(cfg))


def groups() -> str:
    """A line a group: its name and its choices."""
    lines = []
    for folder in sorted(path for path in CONF.rglob("*") if path.is_dir()):
        name = folder.relative_to(CONF).as_posix()
        choices = sorted(file.stem for file in folder.glob("*.yaml"))
        if choices and not name.startswith(
            "hydra/"
        ):  # those of Hydra itself: --hydra-help lists them
            lines.append(f"{name}: {', '.join(choices)}")
    return "".join(f"{line}\n" for line in lines)
