"""Stable Diffusion 2.1-base's architecture at full size on a CPU: it loads, and an iteration runs.

Needs 3 GB of disk, 24 GB of memory and some minutes; in a process of its own, whose peak it says.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "geodesic_lightning.benchmark.full_size"]


@pytest.mark.slow
def test_one_iteration_with_one_interior_node(tmp_path):
    folder = tmp_path / "full_size"
    subprocess.run([*COMMAND, "make", str(folder)], check=True, cwd=ROOT)
    done = subprocess.run(
        [*COMMAND, "step", str(folder)], check=True, cwd=ROOT, capture_output=True, text=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    print(found)
    assert found["moved"] > 0
    assert found["peak_gb"] < 24


@pytest.mark.slow
def test_a_compiled_denoiser_predicts_the_same(tiny_sd2):
    """Compiled for a CPU, which takes a compiler and a minute."""
    from geodesic_lightning.models.diffusion import DiffusionModel

    plain, compiled = (DiffusionModel(str(tiny_sd2), compile=c) for c in (False, True))
    embedding = plain.embed(["a cat"] * 3)
    for count in (1, 3):
        x = torch.randn(count, 4, 8, 8, generator=torch.Generator().manual_seed(count))
        torch.testing.assert_close(
            compiled.noise_prediction(x, 581, embedding[:count]),
            plain.noise_prediction(x, 581, embedding[:count]),
            rtol=1e-4,
            atol=1e-5,
        )
