"""Runs made by release 0.1, before the modules moved into their rooms: they go on, and their paths are read.

`former_runs/<name>` holds what is needed of two runs on the exact density `mixture`: the settings and
the checkpoint of one that was stopped on its way, and the path of one that was not. They stay as they
are: what is written here cannot be made again by a later program.
"""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from known import assert_as_stored
from released import release
from safetensors.torch import load_file

from geodesic_lightning.integrators.initial_velocity import read_path
from geodesic_lightning.models.exact import density

FORMER = Path(__file__).parent / "former_runs"
NAMES = sorted(folder.name for folder in FORMER.iterdir())
# The paper's scheme changes its level by another rule since: it does not end where it did.
SAME = [name for name in NAMES if name != "paper"]


def laid_out(name: str) -> None:
    """The run that was stopped as `stopped`, the path of the other as `whole`, as they were left."""
    for file, place in (
        ("overrides.yaml", "stopped/.hydra"),
        ("last.ckpt", "stopped/checkpoints"),
        ("path.safetensors", "whole"),
    ):
        Path(place).mkdir(parents=True)
        shutil.copy(FORMER / name / file, place)


@pytest.mark.parametrize("name", SAME)
def test_a_former_run_goes_on_to_the_end_of_the_one_that_was_not_stopped(geodesic, name):
    laid_out(name)
    done = geodesic("resume=stopped", "trainer.max_steps=-1")
    assert done.code == 0, done.err
    found, former = (load_file(f"{run}/path.safetensors") for run in (done.folder, "whole"))
    assert set(found) == set(former)
    for key, value in former.items():
        if name == "lbfgs" and key == "nodes":
            # It stopped at an excess that was foretold too small, and goes on today until it is below the
            # tolerance: 1e-4 of the length, which is about its root in the nodes.
            torch.testing.assert_close(found[key], value, rtol=0, atol=0.01 * float(value.norm()))
        else:
            assert_as_stored(found[key], value)
    # There was something left to do.
    stopped = torch.load("stopped/checkpoints/last.ckpt", weights_only=True)
    steps = json.loads((done.folder / "summary.json").read_text())["steps"]
    given = re.search(r"max_steps=(\d+)", Path("stopped/.hydra/overrides.yaml").read_text())
    assert 0 < stopped["global_step"] == int(given[1]) < steps


def test_a_former_run_of_the_paper_s_scheme_goes_on_and_changes_level_as_today(geodesic):
    """Stopped at iteration 9, within level 2 of 6 iterations each: the rest as it is written down again."""
    laid_out("paper")
    done = geodesic("resume=stopped", "trainer.max_steps=-1")
    assert done.code == 0, done.err
    found = load_file(f"{done.folder}/path.safetensors")
    stopped = torch.load("stopped/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    points = torch.cat(
        [stopped["path.start"][None], stopped["path.nodes"], stopped["path.end"][None]]
    )
    *_, expected = release(density("mixture"), 16, iterations=6, begun=(points.numpy(), 2, 9))
    torch.testing.assert_close(found["nodes"], torch.from_numpy(expected[1:-1]), rtol=1e-9, atol=0)
    # Another rule, another path; both are the scheme's.
    former = load_file("whole/path.safetensors")
    assert 1e-6 < (found["nodes"] - former["nodes"]).norm(dim=-1).max() < 0.5


@pytest.mark.parametrize("name", NAMES)
def test_the_path_of_a_former_run_is_read(name):
    file = FORMER / name / "path.safetensors"
    points, alpha = read_path(str(file))
    former = load_file(file)
    assert torch.equal(points[1:-1], former["nodes"])
    assert torch.equal(points[[0, -1]], former["ends"])
    assert alpha == 0.3  # the density's own


def test_a_shot_goes_on_from_the_end_of_a_former_path(geodesic):
    laid_out("bvp")
    words = ("model=exact", "solver=ivp", "velocity=continue", "velocity.path=whole")
    done = geodesic(*words, "solver.segments=4", "solver.length=0.2", "callbacks=log")
    assert done.code == 0, done.err
    ends = [load_file(f"{run}/path.safetensors")["ends"] for run in ("whole", done.folder)]
    torch.testing.assert_close(ends[1][0], ends[0][1])
