"""The configuration: every choice of every group composes, is typed, and fits its constructor."""

import inspect
from collections.abc import Iterator

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from geodesic_lightning.cli import config
from geodesic_lightning.cli.app import CONF

CHOICES = sorted((file.parent.name, file.stem) for file in CONF.glob("*/*.yaml"))
NEEDED = {
    "data=clip": ["data.path=film.mp4"],
    "clip_points": ["data.path=points.csv"],
    "data=keyframes": ["data.images=[a.png,b.png,c.png]"],
    "keyframe_points": ["data.points=[[0,1],[1,1],[1,0]]"],
    "diffusers": ["model.pretrained=folder"],
    "pair": ["data.start=a.png", "data.end=b.png"],
    "image": ["data.image=a.png"],
    "velocity=toward": ["solver=ivp"],
    "velocity=continue": ["solver=ivp", "velocity.path=outputs/run"],
    "velocity=prompt": ["solver=ivp", "velocity.prompt=a cat"],
    "velocity=clip": ["solver=ivp"],
    "velocity=random": ["solver=ivp"],
    "points": ["data.start=[0.0,0.0]", "data.end=[1.0,0.0]"],
}


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=["folder=run", *overrides])


def nodes(cfg: DictConfig) -> Iterator[DictConfig]:
    """Every node that names a constructor."""
    if "_target_" in cfg:
        yield cfg
    for key in cfg:
        if isinstance(cfg[key], DictConfig):
            yield from nodes(cfg[key])


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_choice_composes_and_fits_its_constructor(group, choice):
    cfg = composed(f"{group}={choice}", *NEEDED.get(f"{group}={choice}", NEEDED.get(choice, [])))
    config.check(cfg)
    for node in nodes(cfg):
        schema, target = OmegaConf.get_type(node), get_object(node["_target_"])
        takes = inspect.signature(target).parameters
        free = any(p.kind is p.VAR_KEYWORD for p in takes.values())
        names = {key for key in node if not str(key).startswith("_")}
        free = (
            free and schema in config.SCHEMAS.values()
        )  # a choice without one names what it takes
        assert free or names <= set(takes), f"{node['_target_']} does not take {names - set(takes)}"


def test_schemas_are_no_choices():
    assert not any("schema" in choice for _, choice in CHOICES)


def test_an_experiment_yields_to_the_command_line():
    cfg = composed("experiment=paper", "score=nfsd", "condition.steps=7")
    assert cfg.score.field["_target_"].endswith("NoiseFree")
    assert cfg.condition.steps == 7
    assert cfg.optimizer["_target_"].endswith("Paper")


def test_the_seed_reaches_every_part():
    cfg = composed("seed=5", "condition=textual_inversion")
    assert cfg.score.seed == cfg.condition.seed == 5
