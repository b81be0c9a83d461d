"""tools/mutants.py: its table fits today's tree, and on a package of its own it says what tests see."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
CODE = "def add(a, b):\n    return a + b\n\n\ndef twice(a):\n    return 2 * a\n"
TESTS = "import adder\n\n\ndef test_add():\n    assert adder.add(1, 2) == 3\n"
TABLE = """
[[mutant]]
name = "a difference"
room = "adder"
file = "adder.py"
text = "a + b"
replacement = "a - b"

[[mutant]]
name = "three times"
room = "adder"
file = "adder.py"
text = "2 * a"
replacement = "3 * a"

[[mutant]]
name = "no code"
room = "adder"
file = "adder.py"
text = "def twice(a):"
replacement = "def twice(a:"
"""


@pytest.fixture
def mutants(monkeypatch):
    """tools/mutants.py as a module."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import mutants

    return mutants


def test_every_mutant_of_the_table_applies_to_this_tree_and_is_code(mutants):
    table = mutants.read(ROOT)
    assert len(table) >= 20
    for one in table:
        assert one.fault(ROOT) is None
        assert one.text != one.replacement
        whole = (ROOT / one.file).read_text(encoding="utf-8")
        compile(whole.replace(one.text, one.replacement), one.file, "exec")


@pytest.fixture
def toy(tmp_path):
    """A package of one file with one test, in a working tree of git."""
    if shutil.which("git") is None:
        pytest.skip("no git")
    files = {"adder.py": CODE, "tests/adder/test_adder.py": TESTS, "tools/mutants.toml": TABLE}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for words in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    return tmp_path


def told(toy: Path, *words: str) -> str:
    """What the command says, on both its outputs."""
    command = [sys.executable, str(ROOT / "tools/mutants.py"), "--root", str(toy), *words]
    done = subprocess.run(
        [*command, "--output", "out.json"],
        cwd=toy,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # the toy needs none
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1  # nowhere here are all caught, or it refuses
    assert "Traceback" not in done.stderr
    assert (toy / "adder.py").read_text() in (CODE, CODE.upper())  # the tree stays as it is
    return done.stdout + done.stderr


def test_caught_survived_and_what_is_neither(toy):
    first = told(toy, "--only", "three times")
    assert "| three times | adder | survived |  |" in first
    assert "1 mutants: 0 caught, 1 survived, 0 error." in first
    kept = json.loads((toy / "out.json").read_text())["mutants"]
    whole = told(toy)
    assert "| a difference | adder | caught | `tests/adder/test_adder.py::test_add` |" in whole
    assert "3 mutants: 1 caught, 1 survived, 1 error." in whole
    assert "survived: three times" not in whole  # it was known, and is not asked again
    assert json.loads((toy / "out.json").read_text())["mutants"].items() >= kept.items()
    (toy / "tests/adder/test_adder.py").write_text(TESTS + "\n")
    assert "out.json is of another tree" in told(toy)


def test_what_has_to_be_mended_first_is_told(toy):
    (toy / "tests/adder/test_adder.py").write_text(TESTS.replace("== 3", "== 4"))
    said = (
        "Without any mutant the tests fail (tests/adder/test_adder.py::test_add): mend that first."
    )
    assert said in told(toy)
    assert "Got four times, expected names of tools/mutants.toml." in told(
        toy, "--only", "four times"
    )
    (toy / "adder.py").write_text(CODE.upper())
    assert "a difference: adder.py has its text 0 times, expected once" in told(toy)
    assert not (toy / "out.json").exists()
