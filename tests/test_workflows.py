"""The workflows of .github: what they hold is allowed, and what they run is what runs on a developer's machine."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
GITHUB = ROOT / ".github"
WORKFLOWS = {file.stem: file for file in sorted(GITHUB.glob("workflows/*.yml"))}
FORMS = sorted(set(GITHUB.glob("ISSUE_TEMPLATE/*.yml")) - {GITHUB / "ISSUE_TEMPLATE/config.yml"})
SCHEMAS: dict[str, list[Path]] = {
    "vendor.github-workflows": [*WORKFLOWS.values()],
    "custom.github-workflows-require-timeout": [*WORKFLOWS.values()],
    "vendor.github-issue-forms": FORMS,
    "vendor.github-issue-config": [GITHUB / "ISSUE_TEMPLATE" / "config.yml"],
    "vendor.dependabot": [GITHUB / "dependabot.yml"],
    "vendor.citation-file-format": [ROOT / "CITATION.cff"],
}
# What a job may do beside reading the repository.
MAY = {
    ("docs", "deploy"): {"pages": "write", "id-token": "write"},
    ("release", "publish"): {"id-token": "write"},
    ("release", "announce"): {"contents": "write"},
}


def content(name: str) -> dict[str, Any]:
    return yaml.safe_load(WORKFLOWS[name].read_text(encoding="utf-8"))


def jobs() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Workflow, name and content of every job."""
    for name in WORKFLOWS:
        for job, what in content(name)["jobs"].items():
            yield name, job, what


def commands(job: dict[str, Any]) -> Iterator[str]:
    """What a job runs, once for each point of its matrix."""
    matrix = job.get("strategy", {}).get("matrix", {})
    for point in itertools.product(*matrix.values()):
        for step in job["steps"]:
            command = step.get("run", "")
            for name, value in zip(matrix, point):
                command = command.replace(f"${{{{ matrix.{name} }}}}", value)
            yield command


def sessions() -> dict[str, set[str]]:
    """The sessions of nox that each workflow runs, as they are named there."""
    found: dict[str, set[str]] = {name: set() for name in WORKFLOWS}
    for name, _, job in jobs():
        for command in commands(job):
            if command.startswith("nox -s "):
                words = shlex.split(command.removeprefix("nox -s "))
                found[name] |= set(itertools.takewhile(lambda word: word != "--", words))
    return found


def checked(schema: str, *files: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "check_jsonschema", "--default-filetype=yaml"]
    return subprocess.run(
        [*command, "--builtin-schema", schema, *map(str, files)], capture_output=True, text=True
    )


@pytest.mark.parametrize("schema", SCHEMAS)
def test_files_are_as_their_schema_has_them(schema, tmp_path):
    done = checked(schema, *SCHEMAS[schema])
    assert done.returncode == 0, done.stdout
    (tmp_path / "broken.yml").write_text("jobs: {one: {steps: 1}}\nbody: 1\n", encoding="utf-8")
    assert checked(schema, tmp_path / "broken.yml").returncode == 1


def test_workflows_run_sessions_that_there_are():
    found = sessions()
    listed = {"lint", "types", "docs", "tests_lowest", "arithmetic", "package", "ui"}
    assert listed <= found["tests"]
    assert {"tests-3.11", "tests-3.12", "tests-3.13"} <= found["tests"]
    assert found["docs"] == {"docs"}
    assert found["release"] == {"release"}
    names = sorted(set().union(*found.values()))
    known = subprocess.run(
        [sys.executable, "-m", "nox", "--list", "--json", "-s", *names],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert known.returncode == 0, known.stderr  # nox names those that there are not
    listed = {name for one in json.loads(known.stdout) for name in (one["session"], one["name"])}
    assert set(names) <= listed


def test_tests_run_on_three_systems_and_on_every_python():
    matrix = content("tests")["jobs"]["tests"]["strategy"]["matrix"]
    assert {one.partition("-")[0] for one in matrix["system"]} == {"ubuntu", "macos", "windows"}
    assert tuple(matrix["python"]) == noxfile().PYTHONS


def test_jobs_may_do_what_they_need_and_no_more():
    for name in WORKFLOWS:
        assert content(name)["permissions"] == {"contents": "read"}
        assert "concurrency" in content(name)
    given = {(name, job): what.get("permissions") for name, job, what in jobs()}
    assert {place: what for place, what in given.items() if what is not None} == MAY
    assert content("release")["jobs"]["publish"]["environment"] == "pypi"


def test_actions_are_of_one_major_version():
    used = [step["uses"] for _, _, job in jobs() for step in job["steps"] if "uses" in step]
    assert used
    assert [one for one in used if not re.search(r"@(v\d+|release/v\d+)$", one)] == []
    names = [one.partition("@")[0] for one in set(used)]
    assert len(names) == len(set(names))


# -- the same checks everywhere --------------------------------------------------------------------


class Session:
    """What a session of nox would run; nothing is installed, nothing is run."""

    posargs: tuple[str, ...] = ()

    def __init__(self, place: Path) -> None:
        self.place = place
        self.ran: list[tuple[str, ...]] = []
        self.next: list[str] = []

    def install(self, *words: str) -> None:
        """Nothing."""

    def run(self, *words: str, **options: Any) -> None:
        self.ran.append(words)
        if words[:3] == ("python", "-m", "build"):
            folder = Path(words[words.index("--outdir") + 1])
            folder.mkdir(exist_ok=True)
            for name in ("a.tar.gz", "a.whl"):
                (folder / name).touch()

    def notify(self, name: str, posargs: list[str]) -> None:
        self.next.append(name)
        assert sorted(Path(posargs[0]).iterdir())

    def create_tmp(self) -> str:
        return str(self.place)


@cache
def noxfile() -> ModuleType:
    spec = importlib.util.spec_from_file_location("noxfile", ROOT / "noxfile.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = os.getcwd()
    os.chdir(ROOT)  # as nox does
    try:
        spec.loader.exec_module(module)
    finally:
        os.chdir(before)
    return module


def ran(place: Path, *names: str) -> list[tuple[str, ...]]:
    """What these sessions run."""
    session = Session(place)
    for name in names:
        getattr(noxfile(), name).func(session)
    return session.ran


STUB = '#!/bin/sh\necho "$(basename "$0") $*" >> "{log}"\n'
VENV = 'if [ "$2" = venv ]; then mkdir -p "$3/bin"; : > "$3/bin/activate"; fi\n'


@pytest.mark.skipif(os.name == "nt", reason=".ci/run is for a shell of POSIX")
def test_the_projects_own_check_is_that_of_nox(tmp_path):
    """`.ci/run` with programs that only say how they were called."""
    log, programs = tmp_path / "log", tmp_path / "bin"
    programs.mkdir()
    for name in ("python3", "python", "pip", "ruff", "mypy", "chromium"):
        (programs / name).write_text(STUB.format(log=log) + VENV, encoding="utf-8")
        (programs / name).chmod(0o755)
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", str(ROOT / ".ci" / "run")], env=os.environ | {"PATH": path}, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    lines = [tuple(line.split()) for line in log.read_text(encoding="utf-8").splitlines()]
    called = [line for line in lines if line[0] not in ("python3", "pip")]
    tests = [line for line in called if line[:3] == ("python", "-m", "pytest")]
    rest = [line for line in called if line not in tests]
    assert len(tests) == 2  # the numerics as an older processor adds up, then everything
    assert tests[1] == (*ran(tmp_path, "tests")[0], "-q", "-n", "2")
    checks = ran(tmp_path, "lint", "types", "docs")
    assert set(rest) <= set(checks)
    assert {line[0] for line in rest} == {line[0] for line in checks}
    assert [line for line in checks if line not in rest] == [("mypy", "--platform", "win32")]


def test_a_release_checks_and_runs_the_very_files_that_are_uploaded(tmp_path, monkeypatch):
    nox, session = noxfile(), Session(tmp_path)
    monkeypatch.chdir(tmp_path)
    nox.release.func(session)
    assert session.ran[-1][2:5] == ("twine", "check", "--strict")
    assert [Path(word).name for word in session.ran[-1][5:]] == ["a.tar.gz", "a.whl"]
    listed = subprocess.run(
        [sys.executable, "-m", "nox", "--list", "--json", "-s", *session.next],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert {one["session"] for one in json.loads(listed.stdout)} == set(session.next)
    assert {one["name"] for one in json.loads(listed.stdout)} == {"package"}
