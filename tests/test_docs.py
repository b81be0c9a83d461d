"""What is written for people holds: every command line composes, every link leads somewhere.

Commands are read off README.md, CONTRIBUTING.md, docs/*.md and the model card, wherever they stand,
and given to Hydra or to the very parser that would read them; nothing is run.
"""

import argparse
import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser

from geodesic_lightning.cli import config
from geodesic_lightning.cli.app import CONF

ROOT = Path(__file__).parent.parent
CARD = ROOT / "geodesic_lightning/models/embedded/MODEL_CARD.md"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md")), CARD]
COMMAND = re.compile(r"^(?:srun )?(?:python -m (geodesic_lightning[\w.]*)|(geodesic)(?= ))")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
# Launchers and sweepers that are extras: a clone without them has no such choice.
PLUGINS = {
    "cores": "hydra_plugins.hydra_joblib_launcher",
    "slurm": "hydra_plugins.hydra_submitit_launcher",
    "rehearsal": "hydra_plugins.hydra_submitit_launcher",
    "ray_cluster": "hydra_plugins.hydra_ray_launcher",
    "tune": "hydra_plugins.hydra_optuna_sweeper",
}


def commands(page: Path) -> Iterator[str]:
    """The page's commands of this project, each in one line."""
    text = page.read_text(encoding="utf-8")
    for language, block in FENCE.findall(text):
        if language in ("bash", "sh"):
            lines = block.replace("\\\n", " ").splitlines()
            yield from (line.strip() for line in lines if COMMAND.match(line.strip()))
    for span in SPAN.findall(FENCE.sub("", text)):
        if COMMAND.match(span):
            yield " ".join(span.split())


def words(command: str) -> list[str]:
    """What follows the program, without what a reader has to fill in and what only a shell knows."""
    command = re.sub(r"<way>", "slerp", command)
    command = re.sub(r"<[^>]+>", "folder", command)
    command = re.sub(r"\$\([^)]*\)|\$\{[^}]*\}", "$", command)
    rest = shlex.split(COMMAND.sub("", command), comments=True)
    return [word for word in rest if "…" not in word and "$" not in word]


FOUND = {command: page for page in reversed(PAGES) for command in commands(page)}  # each once
CASES = [pytest.param(command, id=f"{page.stem}: {command}") for command, page in FOUND.items()]


@pytest.mark.parametrize("command", CASES)
def test_command_line_composes(command, monkeypatch):
    match = COMMAND.match(command)
    assert match
    module, rest = match[1] or "geodesic_lightning", words(command)
    if rest[:1] in (["distance"], ["ui"]):
        module, rest = f"geodesic_lightning.{rest[0]}", rest[1:]
    if module == "geodesic_lightning":
        run(rest)
    elif module == "geodesic_lightning.distance":
        distances(rest)
    else:
        program(module, rest, monkeypatch)


def run(given: list[str]) -> None:
    """Every job of the command line; `--help` and what shows a configuration are composed as well."""
    for choice, plugin in PLUGINS.items():
        if any(word.endswith(f"={choice}") for word in given) and find_spec(plugin) is None:
            pytest.skip(f"{choice} is an extra")
    given = [word for word in given if word not in ("-m", "--help", "--cfg", "job")]
    overrides = OverridesParser.create().parse_overrides(given)
    values = [list(o.sweep_string_iterator()) if o.is_sweep_override() else [] for o in overrides]
    for job in range(max([len(several) for several in values], default=0) or 1):  # each value once
        settings = [
            f"{word.split('=')[0]}={several[job % len(several)]}" if several else word
            for word, several in zip(given, values)
        ]
        ours = [word for word in settings if not word.startswith("hydra")]
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config.check(compose("config", ["folder=run", *ours]))
            if ours != settings:
                compose("config", ["folder=run", *settings], return_hydra_config=True)


def distances(given: list[str]) -> None:
    """Its settings compose; pictures of the project exist."""
    from geodesic_lightning.distance.__main__ import configured

    configured([word for word in given if "=" in word])
    for word in given:
        if word.startswith("geodesic_lightning/"):
            for file in braces(word):
                assert (ROOT / file).is_file()


def braces(word: str) -> list[str]:
    """a{b,c} as a shell expands it."""
    match = re.search(r"\{([^}]*)\}", word)
    if match is None:
        return [word]
    return [
        whole
        for part in match[1].split(",")
        for whole in braces(word[: match.start()] + part + word[match.end() :])
    ]


class Parsed(Exception):
    """The parser has understood the words; what follows would be the work itself."""


def program(module: str, given: list[str], monkeypatch) -> None:
    """Read by the program's own parser, which it asks before anything else."""
    spec = find_spec(module)
    assert spec is not None, f"there is no module {module}"
    if spec.submodule_search_locations:
        spec = find_spec(f"{module}.__main__")
    assert spec is not None, f"{module} is no program"
    real = argparse.ArgumentParser.parse_args

    def parse_args(self, arguments=None, namespace=None):
        real(self, arguments, namespace)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
    monkeypatch.setattr(sys, "argv", [module, *given])
    with pytest.raises(Parsed):
        runpy.run_path(spec.origin, run_name="__main__")


# -- pages -----------------------------------------------------------------------------------------


def test_there_are_commands_on_the_pages_that_are_about_them():
    """The reader of pages reads: without this a slip in it would let every command pass."""
    found = {page.stem: len(list(commands(page))) for page in PAGES}
    assert found["README"] >= 10
    assert min(found[name] for name in ("cluster", "extrapolation", "keyframes", "clips")) >= 3
    assert list(commands(CARD))


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_the_densities_of_the_page_are_those_of_the_file():
    """Its commands and its picture are of the file; the code is of the page."""
    blocks = FENCE.findall((ROOT / "docs/own_density.md").read_text(encoding="utf-8"))
    file = (ROOT / "docs/densities.py").read_text(encoding="utf-8")
    assert blocks[0] == ("python", file)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_and_pictures_exist(page):
    text = SPAN.sub("", FENCE.sub("", page.read_text(encoding="utf-8")))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:|#", target):
            continue
        name, _, anchor = target.partition("#")
        if name.startswith("reference/"):  # made from the docstrings when the site is built
            continue
        file = page.parent / name
        assert file.exists(), f"{target} is not there"
        assert not anchor or anchor in anchors(file), f"{target}: no such heading"


def anchors(page: Path) -> set[str]:
    """Names of the headings, as GitHub and the site make them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_that_are_named_exist(page):
    """`geodesic_lightning/…` and `tests/…` in prose: files move, and pages are forgotten."""
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"`((?:geodesic_lightning|tests|conf|callbacks|docs)/[\w./]+)`", text):
        assert (ROOT / name).exists() or name.startswith("docs/_build"), f"{name} is not there"
