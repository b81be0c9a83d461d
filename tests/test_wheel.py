"""The built wheel, installed alone: configuration, callbacks and data travel inside it."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    done = subprocess.run([*command, str(ROOT)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = folder.glob("*.whl")
    return file


def test_wheel_holds_what_a_clone_does(wheel):
    inside = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("conf", "callbacks"):
        for file in (ROOT / folder).rglob("*"):
            if file.suffix in (".yaml", ".py"):
                assert f"geodesic_lightning/{file.relative_to(ROOT).as_posix()}" in inside
    for name in (
        "models/exact/references.json",
        "models/exact/references.safetensors",
        "models/embedded/pairs/pairs.json",
        "py.typed",
    ):
        assert f"geodesic_lightning/{name}" in inside
    assert any(name.startswith("geodesic_lightning/models/embedded/pipeline/") for name in inside)
    assert not any(name.startswith(("outputs/", "tests/", "docs/")) for name in inside)


@pytest.mark.parametrize("start", ["module", "script"])
def test_wheel_runs_in_a_folder_with_callbacks_of_its_own(wheel, tmp_path, start):
    site, place = tmp_path / "site", tmp_path / "place"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (place / "callbacks").mkdir(parents=True)
    (place / "callbacks" / "__init__.py").write_text("raise RuntimeError('not these callbacks')")
    entry = "from geodesic_lightning.cli.app import main; main()"  # what the console script holds
    how = ["-m", "geodesic_lightning"] if start == "module" else ["-c", entry]
    done = subprocess.run(
        [sys.executable, *how, "model=exact", "model.density=ring", "hydra.run.dir=run"],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((place / "run" / "summary.json").read_text())["model"] == "ring"
    assert (place / "run" / "video.mp4").exists()
