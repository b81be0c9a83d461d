"""A container as docs/Dockerfile makes it: a user whom nobody knows, without a home, beside others' package."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from geodesic_lightning.cli.machine import NOWHERE, without_a_home

ROOT = Path(__file__).parent.parent
DOCKERFILE = ROOT / "docs" / "Dockerfile"
# Somebody else may read what root may: this very Python may stand in root's own home.
SOMEBODY = (
    *("setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"),
    *("--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search"),
)


def test_the_image_is_of_this_project():
    lines = DOCKERFILE.read_text(encoding="utf-8").splitlines()
    said = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (extras,) = [rest.partition("=")[2] for word, rest in said if word == "ARG"]
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    (entry,) = [json.loads(rest) for word, rest in said if word == "ENTRYPOINT"]
    assert entry[0] in project["scripts"]
    (user,) = [rest for word, rest in said if word == "USER"]
    assert not user.startswith(("0", "root"))
    low, high = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", project["requires-python"]).groups()
    pythons = {int(n) for n in re.findall(r"python:3\.(\d+)", DOCKERFILE.read_text("utf-8"))}
    assert len(pythons) == 1
    assert int(low) <= pythons.pop() < int(high)


def test_what_the_wheel_is_built_of_reaches_the_image():
    ignored = (ROOT / "docs" / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    sent = {line[1:] for line in ignored if line.startswith("!")}
    assert all((ROOT / name).exists() for name in sent)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    parts = {*wheel["packages"], *wheel["force-include"]}
    assert {*parts, project["project"]["readme"], "LICENSE", "pyproject.toml"} <= sent


@pytest.mark.skipif(os.name == "nt", reason="Windows has its homes elsewhere than in HOME")
@pytest.mark.parametrize("home", [None, "/proc", "given"])
def test_libraries_get_on_without_a_home(monkeypatch, tmp_path, home):
    monkeypatch.delenv("MPLCONFIGDIR", raising=False)
    if home is None:
        import pwd

        def unknown(number: int) -> None:
            raise KeyError(number)

        monkeypatch.delenv("HOME", raising=False)
        monkeypatch.setattr(pwd, "getpwuid", unknown)  # as the system answers of such a user
    else:
        monkeypatch.setenv("HOME", str(tmp_path) if home == "given" else home)
    without_a_home()
    if home == "given":
        assert os.environ["HOME"] == str(tmp_path)
        assert "MPLCONFIGDIR" not in os.environ
        assert not list(tmp_path.iterdir())
    else:
        assert os.environ["HOME"] == (home or NOWHERE)
        cache = Path(os.environ["MPLCONFIGDIR"])
        (cache / "file").touch()
        shutil.rmtree(cache)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that everybody may write to, and so are those above it."""
    folder = Path(tempfile.mkdtemp(prefix="geodesic-place-"))
    try:
        for name in ("work", "tmp"):
            (folder / name).mkdir()
            (folder / name).chmod(0o777)
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.parametrize("home", [None, "/"])
def test_a_user_whom_nobody_knows(place, home):
    somebody = SOMEBODY if os.name == "posix" and os.geteuid() == 0 else ()
    if somebody and subprocess.run([*somebody, sys.executable, "-c", ""], check=False).returncode:
        pytest.skip("nobody else may run this Python here")
    gone = {"HOME", "USER", "LOGNAME", "WANDB_MODE", "WANDB_CACHE_DIR", "MPLCONFIGDIR"}
    known = {key: value for key, value in os.environ.items() if key not in gone}
    known |= {"TMPDIR": str(place / "tmp"), "PYTHONPATH": str(ROOT)}
    known |= {} if home is None else {"HOME": home}
    words = ("model=exact", "solver.frames=3", "hydra.run.dir=run", "logger=default")
    done = subprocess.run(
        [*somebody, sys.executable, "-m", "geodesic_lightning", *words],
        cwd=place / "work",
        env=known,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    left = {file.name for file in (place / "work" / "run").iterdir()}
    assert {"video.mp4", "curves.png", "summary.json", "wandb"} <= left
    assert [file.name for file in (place / "work").iterdir()] == ["run"]
    # What torch keeps of code that it has compiled, and nothing else.
    assert all(file.name.startswith("torchinductor") for file in (place / "tmp").iterdir())
