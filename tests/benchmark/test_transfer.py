"""What somebody with weights reports back: figures, and nothing of their own."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from geodesic_lightning.benchmark import transfer


def test_the_bend_of_a_known_detour(tmp_path):
    """A great circle of a quarter turn, one node lifted off it by a known angle."""
    angle = torch.tensor([0.0, torch.pi / 4, torch.pi / 2])
    points = 3 * torch.stack([angle.cos(), angle.sin(), 0 * angle], -1)
    lifted = 3 * torch.tensor([0.2]).cos() * points[1] / 3 + 3 * torch.tensor([0, 0, 0.2]).sin()
    file = tmp_path / "path.safetensors"
    save_file({"ends": points[[0, 2]].clone(), "nodes": lifted[None]}, file)
    chord = 2 * 3 * torch.tensor(0.1).sin()
    assert transfer.bend(file) == pytest.approx(float(chord / (3 * torch.pi / 2)), rel=1e-5)


@pytest.mark.slow
def test_a_sweep_becomes_one_file_that_names_nobody(geodesic, tiny_sd2, capsys):
    done = geodesic(
        "experiment=transfer", "model=diffusers", f"model.pretrained={tiny_sd2}",
        "solver.strength=0,1", "solver.segments=4", "solver.frames=5", "scheduler.steps=5",
        "callbacks=log", "hydra.sweep.dir=transfer",
    )  # fmt: skip
    assert done.code == 0, done.err
    transfer.main(["transfer"])
    assert "| 0 | 0 | 0.000 |" in capsys.readouterr().out
    text = Path("transfer/transfer.json").read_text()
    found = json.loads(text)
    straight, bent = found["rows"]
    assert straight["bend"] < 1e-3 < bent["bend"]
    assert bent["strength"] == pytest.approx(1, rel=1e-4)
    assert set(bent["measures"]) >= {"lightness", "seam", "crossfade"}
    for own in (str(tiny_sd2), str(Path.cwd()), "a cat", "pair_cat", ".png"):
        assert own not in text


def test_without_a_run_one_sentence(tmp_path):
    with pytest.raises(SystemExit, match="holds no finished run: make them with"):
        transfer.main([str(tmp_path)])
