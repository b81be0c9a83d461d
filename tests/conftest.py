"""The command line as a fixture, and a tiny random Stable Diffusion 2 on disk."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

# Before torch is imported, here and in commands that tests start: networks as small as these gain
# nothing from a second thread, and on a busy machine wait for it fifty times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# No test sends anything anywhere, whoever's key is on this machine.
os.environ["WANDB_MODE"] = "offline"


@dataclass(frozen=True)
class Outcome:
    """What a command left: its exit code, its words, and the folder it was to write."""

    code: int
    out: str
    err: str
    folder: Path


@pytest.fixture
def geodesic(monkeypatch, capsys, tmp_path):
    """`geodesic(*overrides)` runs the command line in this process, in an empty working folder.

    Runs go to `run` there, and are not logged to W&B, unless the overrides say otherwise.
    """
    from geodesic_lightning.__main__ import main

    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")

    def command(*overrides: str) -> Outcome:
        given = {o.split("=")[0].lstrip("+") for o in overrides}
        usual = {"hydra.run.dir": "run", "logger": "csv"}
        if given & {"-m", "--help", "--cfg", "distance"}:
            usual = {}
        rest = [f"{key}={value}" for key, value in usual.items() if key not in given]
        monkeypatch.setattr(sys, "argv", ["geodesic", *overrides, *rest])
        capsys.readouterr()
        code: int | str | None = 0
        try:
            main()
        except SystemExit as leaving:
            code = leaving.code or 0
        out, err = capsys.readouterr()
        if isinstance(code, str):  # the interpreter itself would print it
            code, err = 1, f"{err}{code}\n"
        chosen = [o.split("=", 1)[1] for o in overrides if o.startswith("hydra.run.dir=")]
        return Outcome(code, out, err, place / (chosen[0] if chosen else "run"))

    return command


@pytest.fixture(scope="session")
def tiny_sd2(tmp_path_factory) -> Path:
    """A folder with a Stable Diffusion 2 of the real classes, tiny: 4×8×8 latents, 16 px images."""
    import tiny

    return tiny.save("sd2", tmp_path_factory.mktemp("tiny") / "sd2")
