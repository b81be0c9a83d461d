"""docs/made.py on a tree of its own: which pictures are to be made again. Of today's tree a release asks it."""

from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
CODE = 'def f(x):\n    "Says."\n    return x + 1  # so\n'
BY_CAT = {"cat": ["cat.png"]}


@pytest.fixture
def made(monkeypatch):
    """docs/made.py as a module."""
    monkeypatch.syspath_prepend(str(DOCS))
    import made

    return made


@pytest.fixture
def tree(tmp_path, made):
    """A room with a file, one beside the rooms, a default, and a picture that was made by them."""
    place(tmp_path, "geodesic_lightning/functional/length.py", CODE)
    place(tmp_path, "geodesic_lightning/models/embedded/train/recipe.py", CODE)
    place(tmp_path, "conf/solver/bvp.yaml", "strength: 1.5  # radians\n")
    place(tmp_path, "docs/figures/cat.png", "a picture")
    made.record("cat", ["cat.png"], tmp_path)
    assert made.faults(BY_CAT, tmp_path) == []
    return tmp_path


def place(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("functional/length.py", "def f(x):\n    'Says more.'\n\n    return (x + 1)\n"),
        ("models/embedded/train/recipe.py", "def f(x):\n    return x + 2\n"),
        ("../conf/solver/bvp.yaml", "# the default\nstrength: 1.5\n"),
        ("../README.md", "A page.\n"),
    ],
)
def test_code_that_does_the_same_makes_no_picture_old(made, tree, file, text):
    place(tree / "geodesic_lightning", file, text)
    assert made.faults(BY_CAT, tree) == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("functional/length.py", CODE.replace("+ 1", "+ 2")),
        ("functional/length.py", CODE.replace("x + 1", "(lambda: x + 1)()")),
        ("optimizers/paper.py", CODE),
        ("../conf/solver/bvp.yaml", "strength: 1.0\n"),
    ],
)
def test_code_that_does_something_else_makes_it_old_until_it_is_made_again(made, tree, file, text):
    place(tree / "geodesic_lightning", file, text)
    told = "cat.png is older than the code that makes it: python docs/figures.py cat"
    assert made.faults(BY_CAT, tree) == [told]
    made.record("cat", ["cat.png"], tree)
    assert made.faults(BY_CAT, tree) == []


def test_what_no_command_left_as_it_is_is_told(made, tree):
    (tree / "docs/figures/cat.png").write_text("another")
    assert made.faults(BY_CAT, tree) == ["cat.png was changed by hand: python docs/figures.py cat"]
    assert "makes no such picture any more" in made.faults({}, tree)[0]
    (tree / "docs/figures/cat.png").rename(tree / "docs/figures/dog.webp")
    lost, stray = made.faults(BY_CAT, tree)
    assert lost == "cat.png is gone: python docs/figures.py cat"
    assert stray.startswith("dog.webp is of no command that is known")
