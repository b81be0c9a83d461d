"""The command line as a user meets it: help, a run and what it leaves, sweeps, errors."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from geodesic_lightning.cli.app import CONF

KEYS = {
    *(
        "solver",
        "model",
        "seed",
        "frames",
        "u",
        "length",
        "length_start",
        "log_density",
        "measured_by",
    ),
    *("score_evaluations", "unet_evaluations", "seconds", "metrics", "versions"),
}
RING = ("model=exact", "model.density=ring")


def files(folder: Path) -> set[str]:
    """Relative paths of all files, without Hydra's and W&B's own."""
    found = {p.relative_to(folder) for p in folder.rglob("*") if p.is_file()}
    return {str(p) for p in found if p.parts[0] not in (".hydra", "wandb") and p.suffix != ".log"}


@pytest.fixture
def shell(tmp_path):
    """`shell(*arguments)` runs Python in an empty folder with an empty home, as for a newcomer."""
    xdg = {f"XDG_{name.upper()}_HOME": name for name in ("cache", "config", "data")}
    homes = {"HOME": "home", **xdg}
    for name in (*homes.values(), "place"):
        (tmp_path / name).mkdir()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB", "HYDRA", "MPL"))}
    env = kept | {key: str(tmp_path / name) for key, name in homes.items()}
    env["PYTHONPATH"] = str(CONF.parent)

    def run(*arguments: str, **options) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path / "place",
            env=env,
            capture_output=True,
            text=True,
            timeout=300,
            **options,
        )

    return run


def geodesic_in(shell, *overrides: str) -> subprocess.CompletedProcess:
    return shell("-m", "geodesic_lightning", *overrides)


def test_help_lists_groups_and_choices_and_imports_nothing_heavy(shell):
    code = (
        "import sys; from geodesic_lightning.cli.app import main\n"
        "try: main()\n"
        "finally: print(sorted({'torch', 'lightning', 'diffusers', 'wandb'} & set(sys.modules)))"
    )
    done = shell("-c", code, "--help")
    assert done.returncode == 0, done.stderr
    for folder in CONF.iterdir():
        # Launchers: --hydra-help lists them. What experiments set of one choice is chosen by nobody.
        if folder.is_dir() and folder.name not in ("hydra", "preset"):
            choices = ", ".join(sorted(p.stem for p in folder.glob("*.yaml")))
            assert f"{folder.name}: {choices}" in done.stdout
    assert done.stdout.endswith("[]\n")


def test_cfg_prints_the_run_and_runs_nothing(geodesic):
    done = geodesic("--cfg", "job", "solver.segments=12")
    assert done.code == 0
    assert "segments: 12" in done.out
    assert list(Path.cwd().iterdir()) == []


def test_run_leaves_its_files_in_its_folder_and_nothing_elsewhere(shell, tmp_path):
    """And an exact density needs no library of diffusion models for it."""
    code = (
        "import sys; from geodesic_lightning.cli.app import main; main()\n"
        "print('diffusers' in sys.modules)"
    )
    done = shell("-c", code, *RING, "solver.frames=3")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.endswith("False\n")
    (folder,) = (tmp_path / "place" / "outputs").glob("*/*")
    frames = {f"frames/0{i}.png" for i in range(3)}
    assert files(folder) >= {
        *("summary.json", "video.mp4", "strip.png", "path.safetensors", "metrics.csv"),
        *("hparams.yaml", "checkpoints/last.ckpt", "videos/step_0000.mp4", *frames),
    }
    assert list((folder / "wandb").glob("offline-run-*/files/media/videos/video/*.mp4"))
    summary = json.loads((folder / "summary.json").read_text())
    assert set(summary) >= KEYS
    assert set(summary["seconds"]) >= {"load", "encode", "solve", "decode", "write", "total"}
    *stages, total = summary["seconds"].values()
    assert sum(stages) == pytest.approx(total)
    assert sum(summary["unet_evaluations_by_stage"].values()) == summary["unet_evaluations"]
    assert len(summary["u"]) == len(summary["log_density"])
    assert summary["log_density"][0] == 0
    assert os.path.relpath(folder / "video.mp4", tmp_path / "place") in done.stdout
    elsewhere = [p for name in ("home", "config", "data") for p in (tmp_path / name).rglob("*")]
    assert [p for p in elsewhere if p.is_file()] == []
    assert {p.name for p in (tmp_path / "place").iterdir()} == {"outputs"}


@pytest.mark.parametrize(
    ("callbacks", "left"),
    [
        ("default", {"video.mp4", "strip.png", "path.safetensors", "videos/step_0000.mp4"}),
        pytest.param(
            "video", {"video.mp4", "strip.png", "path.safetensors"}, marks=pytest.mark.slow
        ),
        ("log", {"path.safetensors", "checkpoints/last.ckpt"}),
        ("none", set()),
    ],
)
def test_callbacks(geodesic, callbacks, left):
    run = geodesic(*RING, f"callbacks={callbacks}", "solver.frames=3", "logger=none")
    assert run.code == 0, run.err
    found = files(run.folder)
    assert left | {"summary.json"} <= found
    assert ("video.mp4" in found) == ("video.mp4" in left)
    assert any(name.startswith("videos/") for name in found) == (callbacks == "default")
    if callbacks == "none":
        assert found == {"summary.json", "settings.yaml"}


@pytest.mark.parametrize("logger", ["default", "csv", "wandb", "none"])
def test_loggers(geodesic, logger):
    run = geodesic(*RING, "callbacks=none", f"logger={logger}")
    assert run.code == 0, run.err
    assert (run.folder / "metrics.csv").exists() == (logger in ("default", "csv"))
    assert (run.folder / "wandb").exists() == (logger in ("default", "wandb"))


@pytest.mark.parametrize("solver", ["lerp", "slerp"])
def test_nothing_to_solve_is_measured_and_shown_alike(geodesic, solver):
    run = geodesic(*RING, f"solver={solver}", "solver.frames=3")
    assert run.code == 0, run.err
    assert {"video.mp4", "path.safetensors", "metrics.csv"} <= files(run.folder)
    assert set(json.loads((run.folder / "summary.json").read_text())) >= KEYS


def test_sweep_gives_every_job_a_folder_and_a_wandb_run_of_its_own(geodesic):
    densities = "model.density=ring,gaussian"
    done = geodesic(
        "-m", "model=exact", densities, "callbacks=none", "logger=wandb", "hydra.sweep.dir=sweep"
    )
    assert done.code == 0, done.err
    for job, name in enumerate(("ring", "gaussian")):
        folder = Path("sweep") / str(job)
        assert json.loads((folder / "summary.json").read_text())["model"] == name
        assert len(list((folder / "wandb").glob("offline-run-*/*.wandb"))) == 1


def test_failing_job_stops_no_other_and_is_told(geodesic):
    densities = "model.density=ring,nope,gaussian"
    done = geodesic(
        "-m", "model=exact", densities, "callbacks=none", "logger=none", "hydra.sweep.dir=sweep"
    )
    assert done.code == 1
    assert done.err.startswith("Error in job 1 (")
    assert "model.density=nope,model=exact): model.density: got 'nope'" in done.err
    assert done.err.splitlines()[-1].startswith("Error: failed: job 1 (")
    assert "Traceback" not in done.err
    assert [(Path("sweep") / str(job) / "summary.json").exists() for job in range(3)] == [
        True,
        False,
        True,
    ]


def test_error_reaches_the_shell(shell):
    done = geodesic_in(shell, "model=nope")
    assert done.returncode == 1
    assert done.stdout == ""
    assert (
        done.stderr
        == "Error: model: got 'nope', expected one of "
        + ", ".join(sorted(p.stem for p in (CONF / "model").glob("*.yaml")))
        + ".\n"
    )
    traced = geodesic_in(shell, "model=nope", "debug=true")
    assert traced.returncode == 1
    assert "Traceback" in traced.stderr
