"""What is asked for on the page: lines that can be pasted, and that say what was asked for."""

import shlex
from pathlib import Path

import pytest
from hydra.utils import instantiate

from geodesic_lightning.cli.compose import CONF, composed
from geodesic_lightning.cli.config.solver import BoundaryValue
from geodesic_lightning.cli.words import as_typed
from geodesic_lightning.errors import UserError
from geodesic_lightning.functional import strength
from geodesic_lightning.report.terminal import command
from geodesic_lightning.ui.wish import FRAMES, MODELS, RETIMES, STRENGTH, WAYS, Wish, words

PAIR = (Path("outputs/run/given/1_a.png"), Path("outputs/run/given/2_b.jpg"))
HARD = [
    "a cat",
    "a cat, sly (very) & {x} = [1, 2]",
    'it\'s a "sly" cat',
    '"quoted"',
    "${seed} cats",
    "日本の猫 $HOME `ls` \\",
    "true",
    "null",
    "3e5",
    "--help",
]


def typed(wish, fixed=()):
    """The configuration of the line that the page shows, as a shell and the command line read it."""
    line = shlex.split(command(words(wish, fixed)))
    assert line[:3] == ["python", "-m", "geodesic_lightning"]
    return composed(["folder=outputs", *as_typed(line[3:])])


def handed(cfg):
    """The settings of data= as a run hands them to what they name, by name."""
    cfg.data._target_ = "builtins.dict"
    return instantiate(cfg.data)


@pytest.mark.parametrize("prompts", list(zip(HARD[::2], HARD[1::2])))
def test_prompts_come_through_a_shell_as_they_are(prompts):
    data = handed(typed(Wish(PAIR, prompts)))
    assert (data["prompt_start"], data["prompt_end"]) == prompts
    assert (data["start"], data["end"]) == tuple(map(str, PAIR))


def test_keyframes_have_a_prompt_each():
    prompts = (HARD[1], "", HARD[2], HARD[4])
    data = handed(typed(Wish((*PAIR, *PAIR), prompts, closed=True)))
    assert tuple(data["prompts"]) == prompts
    assert list(data["images"]) == [str(one) for one in (*PAIR, *PAIR)]
    assert data["closed"]


def test_settings_are_said_where_they_differ():
    assert words(Wish(shipped="pair_cat")) == ["data=pair_cat", "model=embedded", "solver=bvp"]
    cfg = typed(Wish(shipped="pair_cat", strength=0.5, frames=9, retime="perceptual", watch=True))
    assert (cfg.solver.strength, cfg.solver.frames) == (0.5, 9)
    assert cfg.callbacks.decode.every_n_steps == 2
    assert cfg.retime._target_.endswith("EvenlyPerceived")


@pytest.mark.parametrize(
    ("group", "choices"), [("model", MODELS), ("solver", WAYS), ("retime", RETIMES)]
)
def test_every_choice_of_the_page_is_one_of_the_command_line(group, choices):
    there = {file.stem for file in (CONF / group).glob("*.yaml")}
    assert set(choices) - {""} <= there


def test_a_recipe_composes_with_another_timing():
    cfg = typed(Wish(shipped="pair_cat", model="sd2", way="diffmorpher", retime="u"))
    assert cfg.solver.label == "diffmorpher"
    assert cfg.retime._target_.endswith("EvenInDistance")


def test_what_the_page_was_started_with_holds():
    fixed = ("model=exact", "solver.strength=2", "logger=none")
    said = words(Wish(shipped="pair_cat", strength=0.5), fixed)
    assert said == ["data=pair_cat", "solver=bvp", *fixed]


def test_words_alone_are_drawn():
    cfg = typed(Wish(prompts=("a cat", "a dog, black")))
    assert cfg.data.prompt_end == "a dog, black"
    assert "prompts" in cfg.data._target_


@pytest.mark.parametrize(("wish", "told"), [
    (Wish(), "no pictures"), (Wish(prompts=("a cat",)), "no pictures"), (Wish(PAIR[:1]), "one picture"),
])  # fmt: skip
def test_what_is_missing_is_said(wish, told):
    with pytest.raises(UserError, match=told):
        words(wish)


def test_nothing_that_cannot_be_typed_gets_into_a_line():
    line = command(words(Wish(PAIR, ("a\ncat\x00\ud800", "b\tcat"))))
    assert "prompt_start=a cat" in line
    assert line.isprintable()


def test_the_page_leaves_out_what_is_the_default():
    assert STRENGTH == strength.DEFAULT
    assert BoundaryValue.frames == FRAMES
