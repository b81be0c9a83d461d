"""Other systems than this one: what Windows lacks is not used, its paths and shells are understood, its console too."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path, PureWindowsPath

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st

from geodesic_lightning.cli.compose import composed
from geodesic_lightning.cli.machine import at_home
from geodesic_lightning.cli.words import as_typed, quoted
from geodesic_lightning.report import __main__ as sweep_page
from geodesic_lightning.report.terminal import command, forgiving, short, shown

ROOT = Path(__file__).parent.parent
WITHOUT_POSIX = Path(__file__).parent / "without_posix.py"


def without_posix(folder: Path, module: str, *words: str) -> subprocess.CompletedProcess:
    """A module run as a program by a Python that has of `os`, `signal` and modules what Windows has."""
    return subprocess.run(
        [sys.executable, "-X", "warn_default_encoding", str(WITHOUT_POSIX), module, *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)])},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.mark.parametrize(
    "words",
    [
        ("model=exact", "logger=default"),
        pytest.param(("data=pair_cat", "logger=csv"), marks=pytest.mark.slow),
    ],
    ids=" ".join,
)
def test_a_run_uses_nothing_that_windows_lacks(tmp_path, words):
    done = without_posix(
        tmp_path, "geodesic_lightning", *words, "solver.frames=3", "hydra.run.dir=run"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run" / "summary.json").read_text("utf-8"))["converged"]
    assert {"video.mp4", "report.html"} <= {file.name for file in (tmp_path / "run").iterdir()}


def test_what_windows_lacks_would_be_noticed(tmp_path):
    attempts = ("os.getuid()", "signal.SIGHUP", "__import__('resource')", "open(__file__).close()")
    lines = [f"try: print({a})\nexcept Exception as error: print(error)" for a in attempts]
    (tmp_path / "uses.py").write_text("\n".join(["import os, signal", *lines]), encoding="utf-8")
    done = without_posix(tmp_path, "uses", "model=exact")
    assert done.stdout.splitlines() == [
        "module 'os' has no attribute 'getuid'",
        "module 'signal' has no attribute 'SIGHUP'",
        "No module named 'resource'",
        "'encoding' argument not specified",
    ]


# -- words -----------------------------------------------------------------------------------------

PATHS = [
    r"C:\pics\new a.png",
    r"C:\table\x (1)\a.png",
    r"\\server\share\pics, new\a.png",
    r"..\up\{a}\[b].png",
    "C:\\ends in a backslash\\",
]


@pytest.mark.parametrize("path", PATHS)
def test_paths_of_windows_are_what_was_typed(path):
    typed = (
        *("data=pair", f"data.start={path}", f"data.end={path}", f"resume={path}", "folder=x"),
        *("model=diffusers", f"model.pretrained={path}", f"model.embeddings=[{path},{path}]"),
    )
    one = composed(as_typed(typed))
    assert [one.data.start, one.data.end, one.resume, one.model.pretrained] == [path] * 4
    if not {",", "{", "["} & set(path):  # which mean something in a list
        assert list(one.model.embeddings) == [path, path]


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("\\/:.,()[]{}'\" =&%~ab1é"), max_size=16))
def test_any_path_is_what_was_typed(text):
    path = f"C:{text}".strip()
    for setting in ("data.start", "model.pretrained", "hydra.run.dir"):
        read = OverridesParser.create().parse_override(quoted(f"{setting}={path}"))
        assert read.value() == path


def test_a_home_with_backslashes(monkeypatch):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, r"C:\Users\new")
    assert at_home(["data=pair_cat", "data.start=~/a.png"]) == [
        *("data=pair_cat", r"data.start=C:\Users\new/a.png"),
    ]


# -- shells ----------------------------------------------------------------------------------------

WORDS = [
    "solver.frames=3",
    "data.start=[0,1]",
    "data.prompt_start=a red cat",
    "data.prompt_start=it's \\",
    'data.prompt_end="a red, sly cat"',
    'data.prompt_end="it\'s a \\"sly\\" cat"',
    "hydra.run.dir=C:\\runs\\",
    "data=pair_cat,pair_ears",
    "data.prompt=50 % & more | $HOME",
]


def unquoted(line: str) -> list[str]:
    """The words of a line as a program on Windows reads them, by Microsoft's rules for arguments."""
    words, word, inside, at = [], None, False, 0
    while at < len(line):
        slashes = len(line[at:]) - len(line[at:].lstrip("\\"))
        after = line[at + slashes : at + slashes + 1]
        if after == '"':
            word = (word or "") + "\\" * (slashes // 2)
            if slashes % 2:
                word += '"'
            else:
                inside = not inside
        elif after in (" ", "") and not inside:
            word = word if not slashes else (word or "") + "\\" * slashes
            words += [] if word is None else [word]
            word = None
        else:
            word = (word or "") + "\\" * slashes + after
        at += slashes + 1
    return words + ([] if word is None else [word])


def test_a_line_for_windows_is_read_back():
    read = unquoted(command(WORDS, windows=True))
    assert read[:3] == ["python", "-m", "geodesic_lightning"]
    same = [word.replace('"', "'") if "'" not in word else word for word in WORDS]
    assert read[3:] == same  # to Hydra both quotes are the same
    assert shlex.split(command(WORDS, windows=False))[3:] == WORDS


def test_windows_shells_see_one_word():
    """cmd and PowerShell both take double quotes; a comma unquoted is two words to PowerShell."""
    for word in WORDS[1:]:
        line = shown(word, windows=True)
        assert line == word or (line.startswith('"') and line.endswith('"'))
        assert line != word or not re.search(r"[ ,&|%$'\"()\[\]]", line)


def test_a_folder_on_another_drive_is_named_whole(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert short(tmp_path / "run" / "video.mp4") == os.path.join("run", "video.mp4")

    def apart(path: str) -> str:
        raise ValueError("path is on mount 'D:', start on mount 'C:'")  # as ntpath says it

    monkeypatch.setattr(os.path, "relpath", apart)
    assert short(tmp_path / "run") == str(tmp_path / "run")


# -- consoles and files ----------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "cp437"])
def test_a_program_loses_letters_that_the_console_has_not(monkeypatch, tmp_path, encoding):
    (folder := tmp_path / "日本 → α").mkdir()
    (folder / "0" / ".hydra").mkdir(parents=True)
    (folder / "0" / ".hydra" / "overrides.yaml").write_text("- model=exact\n", encoding="utf-8")
    said = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(said, encoding, write_through=True))
    sweep_page.main([str(folder)])
    assert said.getvalue().decode(encoding).strip().endswith("index.html")
    assert b"?" in said.getvalue()


def test_what_is_no_stream_of_text_stays_as_it_is(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)  # of pythonw
    forgiving()


RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.I)


def test_every_file_of_the_project_has_a_name_on_every_system():
    """For Windows no reserved names, signs or ends; for it and macOS no two that differ in case alone."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    names = [name for name in listed.stdout.split("\0") if name]
    if not names:
        pytest.skip("no clone: git names no files here")
    parts = {part for name in names for part in PureWindowsPath(name).parts}
    assert not [part for part in parts if RESERVED.fullmatch(part)]
    assert not [part for part in parts if re.search(r'[<>:"|?*\\]|[. ]$', part)]
    assert len({name.casefold() for name in names}) == len(names)
    assert max(map(len, names)) < 140  # 260 in all, with the folder of a clone
