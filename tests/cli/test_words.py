"""Free text is taken as it is typed, whatever Hydra's grammar makes of it; in a sweep quotes decide."""

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import instantiate
from hypothesis import given, settings
from hypothesis import strategies as st

from geodesic_lightning.cli.compose import CONF, composed
from geodesic_lightning.cli.words import as_typed, quoted, sweeps


def read(word: str):
    """What Hydra makes of a word."""
    return OverridesParser.create().parse_override(word).value()


TYPED = [
    ("data.prompt_start=a cat (sly)", "a cat (sly)"),
    ("data.prompt_start=un été, 日本 & ! = ( ) ' { } [ ] ~ 🐱", "un été, 日本 & ! = ( ) ' { } [ ] ~ 🐱"),
    ("data.prompt_start=a cat , a dog", "a cat , a dog"),
    ('data.prompt_start=say "hi" to \'em', 'say "hi" to \'em'),
    ('data.prompt_end="a" cat, he said "hi"', '"a" cat, he said "hi"'),
    ("data.prompt_end='a' cat's 'hi'", "'a' cat's 'hi'"),
    ('data.prompt_end="a" cat\\"', '"a" cat\\"'),
    ('data.prompts=["a" cat "b", c]', ['"a" cat "b"', "c"]),
    ("data.prompt_end=true", "true"),
    ("data.prompt_end=3e5", "3e5"),
    ("data.prompt=a \\ b\\", "a \\ b\\"),
    ("data.start=2024_01_15", "2024_01_15"),
    ("data.start=a (1), b.png", "a (1), b.png"),
    ("data.start=[2.0,0.0]", [2.0, 0.0]),
    ("data.images=[a.png, b (2).png]", ["a.png", "b (2).png"]),
    ('data.prompts=[a cat, a dog (sly, black), "x,y", 3]', ["a cat", "a dog (sly, black)", "x,y", "3"]),
    ("logger.wandb.name=2024_01_15", "2024_01_15"),
    ("logger.wandb.tags=[a b,c&d]", ["a b", "c&d"]),
    ("model.pretrained=/a b/c (1)", "/a b/c (1)"),
    ("model.pretrained=[a,b]", ["a", "b"]),
    ("model.pretrained=2024_01_15", "2024_01_15"),
    ("hydra.run.dir=runs, été (1)", "runs, été (1)"),
    ("model.size=[128,192]", [128, 192]),
    ("model.size=512", 512),
    ("score.negative_prompt=ugly, blurry", "ugly, blurry"),
    ("velocity.prompt=a (sad) cat", "a (sad) cat"),
    ("resume=runs/a (1)", "runs/a (1)"),
]  # fmt: skip


@pytest.mark.parametrize(("word", "value"), TYPED, ids=[word for word, _ in TYPED])
def test_text_is_what_was_typed(word, value):
    assert read(quoted(word)) == value


AS_THEY_ARE = [
    "solver.alpha=0.1", "model=embedded", "data.prompt_start=null", 'data.prompt_start="a, b"', "-m",
    "data.prompt_start='a, b'", "hydra.run.dir=outputs/${now:%Y}", "+solver.segments=8", "--help",
    "data.name=pair_cat", "logger=[csv,wandb]", "data.range=[0,3]", "score.timestep_range=[-5,5]",
]  # fmt: skip


@pytest.mark.parametrize("word", AS_THEY_ARE)
def test_what_has_a_meaning_keeps_it(word):
    assert quoted(word) == word


@pytest.mark.parametrize("typed", ["${seed} cats", "a (${x}) & {y} ' cat"])
def test_a_reference_in_a_prompt_is_text(typed):
    words = ("data=prompts", f"data.prompt_start={typed}", "data.prompt_end=a cat", "folder=x")
    cfg = composed([quoted(word) for word in words])
    assert instantiate(cfg.data).prompts[0] == typed
    listed = composed([quoted(f"data.prompts=[a cat,{typed}]"), "data=prompts", "folder=x"])
    assert list(instantiate(listed.data).prompts) == ["a cat", typed]


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=24))
def test_any_text(text):
    stripped = text.strip()
    if stripped in ("", "null") or stripped[0] in "\"'" or "${" in stripped:
        return
    found = read(quoted(f"data.prompt_start={stripped}"))
    assert found == stripped


def test_in_a_sweep_quotes_decide():
    words = ["-m", "data.prompt_start=a cat,a dog"]
    assert as_typed(words) == words
    assert sweeps(["experiment=pairs"], CONF)
    assert not sweeps(["experiment=paper"], CONF)
    assert (
        as_typed(["experiment=pairs", "data.prompt_start=a,b"], CONF)[1] == "data.prompt_start=a,b"
    )


@pytest.mark.parametrize("flag", ["-m", "--multirun"])
def test_a_sweep_is_one_wherever_that_is_said(flag):
    settings = ["solver=slerp,lerp", "--cfg", "job", "seed=1"]
    for at in range(len(settings) + 1):
        if at != 2:  # between --cfg and its word
            assert as_typed([*settings[:at], flag, *settings[at:]]) == [flag, *settings]


def test_what_a_wandb_agent_passes():
    """The shipped recipe's parameters as an agent writes them: values unquoted, prompts too."""
    recipe = yaml.safe_load((CONF.parent / "docs" / "wandb_sweep.yaml").read_text())
    assert recipe["command"][-3:] == ["-m", "geodesic_lightning", "${args_no_hyphens}"]
    passed = {
        name: one["value"] if "value" in one else one.get("values", [one.get("min")])[0]
        for name, one in recipe["parameters"].items()
    }
    words = [f"{name}={value}" for name, value in passed.items()]
    cfg = composed([*as_typed(words), "folder=x"])
    assert cfg.solver.strength == 0.4
    assert cfg.metrics.names
    text = composed(
        as_typed(["data=pair", "data.start=a.png", "data.end=b.png", "folder=x",
                  "data.prompt_start=a cat, sly (and dark)"])
    )  # fmt: skip
    assert text.data.prompt_start == "a cat, sly (and dark)"


class TestCommandLine:
    def test_a_run(self, geodesic):
        words = (
            "data=pair",
            "data.start=a (1).png",
            "data.end=b, c.png",
            "data.prompt_start=so (sly), 日本",
        )
        missing = geodesic(*words)
        assert missing.code == 1
        assert "a (1).png" in missing.err
        assert len(missing.err.splitlines()) == 1

    def test_quotes_of_the_prompt_itself(self, geodesic):
        typed = 'data.prompt_end="a" cat, he said "hi"'
        done = geodesic("-m", "data=pair", typed)
        assert done.code == 1
        assert """type 'data.prompt_end="\\"a\\" cat, he said \\"hi\\""'.""" in done.err
        several = geodesic("data=pair", 'data.prompt_end="a cat","a dog"')
        assert "gives several values: add -m" in several.err

    def test_a_sweep_says_the_very_line_to_type(self, geodesic):
        done = geodesic("-m", "data=pair", "data.prompt_start=a cat (sly), b")
        assert done.code == 1
        assert "type 'data.prompt_start=\"a cat (sly), b\"'." in done.err


@pytest.mark.parametrize(
    "word",
    [
        '{"data": "pair_ears", "solver": {"alpha": 1e-05, "segments": 8}, "data.x": ["a, b", 1, null]}',
        "{'data': 'pair_ears', 'solver': {'alpha': 1e-05, 'segments': 8}, 'data.x': ['a, b', 1, None]}",
    ],
)
def test_a_whole_configuration(word):
    found = {one.partition("=")[0]: read(one) for one in as_typed([word])}
    expected = {"data": "pair_ears", "solver.alpha": 1e-05, "solver.segments": 8}
    assert found == expected | {"data.x": ["a, b", 1, None]}


def test_a_group_with_its_settings():
    nested = "data={'prompt_start': 'a (sly) cat', 'prompt_end': 'été'}"
    assert [read(word) for word in as_typed([nested])] == ["a (sly) cat", "été"]
    for word in ("solver={", "solver={a", "data.prompt_start={'a': 1}", "{"):
        assert len(as_typed([word])) == 1
