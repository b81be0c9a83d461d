"""The Python interface says what the command line says, and says nothing else."""

import json

import pytest
import torch

from geodesic_lightning import interpolate
from geodesic_lightning.errors import UserError
from geodesic_lightning.exact import ExactModel
from geodesic_lightning.frames import SHIPPED

ENDS = SHIPPED / "pair_cat_start.png", SHIPPED / "pair_cat_end.png"


def test_four_lines(tmp_path, capfd):
    solution = interpolate(*ENDS, model=ExactModel("ring"), frames=5)
    assert solution.frames.shape == (5, 3, 256, 256)
    assert solution.nodes.shape == (17, 2)
    assert len(solution.u) == len(solution.log_density) == 17
    assert solution.length == pytest.approx(2.01407, rel=1e-3)  # the shipped reference
    assert solution.evaluations == solution.summary["score_evaluations"] <= 130
    folder = solution.save(tmp_path / "morph")
    left = {p.name for p in folder.iterdir()}
    assert left == {"video.mp4", "frames", "strip.png", "path.safetensors", "summary.json"}
    assert json.loads((folder / "summary.json").read_text())["length"] == solution.length
    with pytest.raises(UserError, match="already holds a run"):
        solution.save(folder)
    assert "Trainer" not in "".join(capfd.readouterr())


def test_the_ends_are_the_given_images():
    from geodesic_lightning.frames import pair

    solution = interpolate(*ENDS, "a happy orange cat", "a sly blue cat", segments=4, frames=3, tolerance=1e-2)
    given = pair(*ENDS).at(solution.frames.shape[-1]).images
    assert torch.equal(solution.frames[[0, -1]], given)


def test_wrong_names_are_one_sentence():
    with pytest.raises(UserError, match=r"score: got 'nope', expected one of noise_prediction"):
        interpolate(*ENDS, score="nope")
