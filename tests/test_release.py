"""A release says one version and one day wherever they stand, and its notes are the changelog's."""

from __future__ import annotations

import datetime
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from geodesic_lightning import __version__

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / ".github" / "release_notes.py"

CHANGELOG = """# Changelog

## [0.3.0] – unreleased

### Added

- More.

## [0.2.0] – 2026-12-01

In short.

### Added

- One point, that is
  broken in two.
- Another:

  a paragraph of it

### Fixed

- A third.

## [0.1.0]

### Added

- All.
"""


@pytest.fixture(scope="module")
def notes():
    spec = importlib.util.spec_from_file_location("release_notes", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.notes


def script(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *words], capture_output=True, encoding="utf-8",
        env={"PYTHONUTF8": "1"},
    )  # fmt: skip


def test_one_version_and_one_day():
    said = re.findall(
        r"^## \[(.+?)\](?: – (.+))?$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M
    )
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    version, day = said[0]
    assert version == cited["version"] == __version__
    if day == "unreleased":
        assert "date-released" not in cited
    else:
        assert datetime.date.fromisoformat(day) == cited["date-released"]


def test_notes_are_one_section_with_its_lines_joined(notes):
    assert notes(CHANGELOG, "0.2.0") == (
        "In short.\n\n### Added\n\n- One point, that is broken in two.\n- Another:\n\n"
        "  a paragraph of it\n\n### Fixed\n\n- A third.\n"
    )


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("0.4.0", r"no section \[0\.4\.0\], it has 0\.3\.0, 0\.2\.0, 0\.1\.0"),
        ("0.3.0", "got 'unreleased', expected a date"),
        ("0.1.0", "got 'no date', expected a date"),
    ],
)
def test_what_is_no_release(notes, version, told):
    with pytest.raises(ValueError, match=told):
        notes(CHANGELOG, version)


def test_nothing_said(notes):
    with pytest.raises(ValueError, match="says nothing"):
        notes("## [1.0.0] – 2026-12-01\n\n## [0.9.0]\n", "1.0.0")


def test_the_script(tmp_path):
    done = script(f"v{__version__}", str(tmp_path / "notes.md"))
    if done.returncode:  # between two releases
        assert done.stderr.endswith(
            "got 'unreleased', expected a date: write ## [1.2.3] – 2026-12-31.\n"
        )
    else:
        written = (tmp_path / "notes.md").read_text("utf-8")
        assert script(f"v{__version__}").stdout == written
        assert written.count("### ") >= 1
    for tag in (__version__, "v9.9.9", "vx"):
        refused = script(tag, str(tmp_path / "other.md"))
        assert refused.returncode == 1
        assert refused.stderr == (
            f"Error: got the tag {tag}, expected v{__version__}: geodesic_lightning/version.py.\n"
        )
    assert not (tmp_path / "other.md").exists()
