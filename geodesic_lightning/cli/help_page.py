"""The page of --help: what Hydra would print, from the folders of conf/ alone.

Hydra's own takes three times as long: it lists each group by copying every stored schema.
"""

from collections.abc import Sequence
from string import Template

from omegaconf import OmegaConf, open_dict

from geodesic_lightning.cli.compose import CONF, unchecked


def asked(words: Sequence[str]) -> bool:
    """For help, and with no other flag, whose meaning there only Hydra knows."""
    flags = [word for word in words if word.startswith("-")]
    return bool(flags) and set(flags) <= {"--help", "-h"}


def page(words: Sequence[str]) -> str:
    """hydra.help.template of conf/config.yaml, filled in for these settings."""
    settings = [word for word in words if not word.startswith("-")]
    cfg = unchecked(CONF, settings, hydra=True)
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
        # Those of Hydra itself --hydra-help lists.
        if choices and not name.startswith("hydra/"):
            lines.append(f"{name}: {', '.join(choices)}")
    return "".join(f"{line}\n" for line in lines)
