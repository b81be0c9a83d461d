"""The configuration: every choice of every group composes, is typed, and fits its constructor."""

import inspect
import re
from collections.abc import Iterator

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from geodesic_lightning.benchmark.morphs import WAYS
from geodesic_lightning.cli import config
from geodesic_lightning.cli.app import CONF

CHOICES = sorted((file.parent.name, file.stem) for file in CONF.glob("*/*.yaml"))
NEEDED = {
    "data=clip": ["data.path=film.mp4"],
    "clip_points": ["data.path=points.csv"],
    "data=keyframes": ["data.images=[a.png,b.png,c.png]"],
    "keyframe_points": ["data.points=[[0,1],[1,1],[1,0]]"],
    "diffusers": ["model.pretrained=folder"],
    "python": ["model.target=my_module.my_density"],
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


def test_freemorph_is_sampled_step_by_step_unless_told_otherwise():
    """Its attention changes between stages, which a multistep rule would carry over."""
    assert composed("solver=freemorph").scheduler.sampler == "heun"
    assert composed("solver=freemorph", "scheduler=ddim").scheduler.sampler == "ddim"
    assert composed("solver=bvp").scheduler.sampler == "multistep"


@pytest.mark.parametrize(
    ("words", "colours"),
    [
        ((), "ends"),
        (("data=keyframes_cats",), "ends"),
        (("decoder.colours=path",), "path"),
        (("solver=slerp",), "path"),  # as its authors have it
        (("solver=ivp",), "path"),  # there is nothing on both sides
        (("solver=mean",), "path"),
        (("experiment=paper",), "path"),
        (("decoder=adain",), None),
        (("experiment=paper", "decoder=adain"), None),
    ],
)
def test_frames_between_images_have_their_colours(words, colours):
    assert composed(*words).decoder.get("colours") == colours


EXPERIMENTS = sorted(file.stem for file in (CONF / "experiment").glob("*.yaml"))
PRESETS = sorted((file.parent.name, file.stem) for file in (CONF / "preset").glob("*/*.yaml"))


def written(*place: str) -> dict:
    """What a file of conf/ says."""
    return yaml.safe_load((CONF.joinpath(*place[:-1]) / f"{place[-1]}.yaml").read_text())


def settings_of(group: str, choice: str) -> set[str]:
    """Names that a choice of a group has: its schema's, and what its file adds."""
    file = (CONF / group / f"{choice}.yaml").read_text()
    schema = config.SCHEMAS[re.search(rf"- /(\w+)@(?:_here_|{group})", file)[1]]
    return {*schema.__dataclass_fields__, *written(group, choice)}


def choices_of(group: str) -> list[str]:
    return [choice for of, choice in CHOICES if of == group]


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_an_experiment_sets_what_every_choice_of_the_group_has(experiment):
    groups = {group for group, _ in CHOICES}
    said = written("experiment", experiment)
    for group in groups & set(said):
        for choice in choices_of(group):
            missing = set(said[group]) - settings_of(group, choice)
            assert not missing, f"experiment={experiment} {group}={choice}: no {missing}"


@pytest.mark.parametrize(("group", "name"), PRESETS)
def test_what_it_sets_of_one_choice_that_choice_has(group, name):
    by, _, choice = name.partition("_")
    if group == "film":  # what a solver sets of a decoder
        assert by in choices_of("solver")
        group = "decoder"
        found = written("preset", "film", name)
    else:
        assert by in EXPERIMENTS
        found = written("preset", group, name)
    assert choice in choices_of(group)
    assert set(found.get(group, ())) <= settings_of(group, choice)
    for other in set(found) - {group}:  # what comes with the choice: every choice of it has that
        assert all(set(found[other]) <= settings_of(other, one) for one in choices_of(other))


@pytest.mark.parametrize(
    "words",
    [
        ("experiment=paper", "condition=prompt"),
        ("experiment=keyframes", "data=pair_cat"),
        ("experiment=extrapolate", "solver=bvp"),
    ],
)
def test_an_experiment_composes_with_choices_that_it_was_not_made_for(words):
    config.check(composed(*words))


@pytest.mark.slow
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_composes_with_every_choice_of_what_it_sets(experiment):
    presets = {group for group, name in PRESETS if name.startswith(f"{experiment}_")}
    for group, choice in CHOICES:
        if group in presets | set(written("experiment", experiment)):
            needed = NEEDED.get(f"{group}={choice}", NEEDED.get(choice, []))
            config.check(composed(f"experiment={experiment}", f"{group}={choice}", *needed))


def test_what_an_experiment_sets_of_one_choice_yields_to_the_command_line():
    assert composed("experiment=paper", "condition.steps=500").condition.steps == 500
    cfg = composed("experiment=extrapolate")
    assert (cfg.solver.length, cfg.velocity.count) == (0.5, 3)


def test_the_paper_s_recipe_shows_its_film_as_the_released_code_does():
    cfg = composed("experiment=paper")
    assert cfg.condition.steps == 60
    assert cfg.retime["_target_"].endswith("EvenlyPerceived")
    assert cfg.decoder.ends == "decoded"
    assert cfg.score.chunk == 10


@pytest.mark.parametrize(("model", "alpha"), [("embedded", 0.1), ("sd2", 0.002), ("sd15", 0.002)])
def test_the_paper_s_recipe_has_the_alpha_that_goes_with_the_model(model, alpha):
    """On drawn cats that which docs/published.md was measured with, on Stable Diffusion the paper's own."""
    assert composed("experiment=paper", f"model={model}").solver.alpha == alpha
    assert composed("experiment=paper", f"model={model}", "solver.alpha=0.05").solver.alpha == 0.05


def test_the_published_way_of_the_benchmark_is_the_experiment():
    """What docs/published.md was measured by, and what users are told to type, are one recipe."""
    way = composed(*WAYS["published"], "condition.cache=null")
    typed = composed("experiment=paper", "condition.cache=null")
    assert way == typed
    assert way.solver.alpha == 0.1


def test_the_seed_reaches_every_part():
    cfg = composed("seed=5", "condition=textual_inversion")
    assert cfg.score.seed == cfg.condition.seed == 5
