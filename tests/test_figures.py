"""Pictures of README.md and docs/: each was made by a command that is still there, and by which code is known."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def docs():
    """docs/made.py and docs/figures.py as modules."""
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        import figures
        import made

        yield figures, made
    finally:
        sys.path.remove(str(ROOT / "docs"))
        for name in ("figures", "made"):
            sys.modules.pop(name, None)


def test_every_picture_is_as_its_command_left_it(docs):
    figures, made = docs
    pictures = {f.name for f in made.FIGURES.iterdir() if f.suffix in (".png", ".webp")}
    known = made.read()
    assert set(known) == pictures
    for name, one in known.items():
        assert name in figures.PICTURES[one["by"]], f"{name}: {one['by']} makes no such picture"
        assert made.bytes_of(made.FIGURES / name) == one["bytes"], f"{name} was changed by hand"
    assert set(figures.PICTURES) == set(figures.MAKERS)


def test_code_is_told_apart_by_what_it_does(docs):
    _, made = docs
    one = made.tree(ast.parse('def f(x):\n    "Says."\n    return x + 1  # so\n'))
    said = made.tree(ast.parse('def f(x):\n    """Says more."""\n\n    return (x + 1)\n'))
    other = made.tree(ast.parse('def f(x):\n    "Says."\n    return x + 2\n'))
    assert one == said
    assert one != other


def test_defaults_and_numerics_are_part_of_the_code(docs):
    _, made = docs
    names = {f.relative_to(ROOT).as_posix() for f in made.sources()}
    assert {"conf/solver/bvp.yaml", "geodesic_lightning/functional/length.py"} <= names
    assert "geodesic_lightning/models/diffusion/model.py" in names
    assert not any("/train/" in name for name in names)


@pytest.mark.slow
def test_no_picture_is_older_than_the_code_that_makes_it(docs):
    """Before a release: `python docs/figures.py` with the names that this tells."""
    _, made = docs
    assert not made.older()
