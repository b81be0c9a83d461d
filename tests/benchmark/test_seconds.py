"""What the benchmark of seconds measures of a process, and how it is compared."""

from __future__ import annotations

import json

import pytest

from geodesic_lightning.benchmark.seconds import COMMANDS, IMPORTS, Row, study, table, timed
from geodesic_lightning.errors import UserError
from geodesic_lightning.models.embedded import pipeline_folder

SLEEPS = ("-c", "import time; time.sleep(0.3)")
HOLDS = ("-c", "held = bytes(range(256)) * 400_000")  # 102 MB, every page of it written


def test_of_a_process_by_the_wall_and_of_the_processor():
    asleep = timed(SLEEPS)
    assert asleep["wall"] > 0.3
    assert asleep["cpu"] < asleep["wall"]
    assert timed(HOLDS)["peak_mb"] - asleep["peak_mb"] == pytest.approx(102.4, abs=10)


def test_what_fails_is_told():
    with pytest.raises(UserError, match="nothing_of_that_name failed: ModuleNotFoundError"):
        timed(("-c", "import nothing_of_that_name"))


def test_commands_take_turns():
    rows = list(study({"a": ("-c", ""), "b": ("-c", "")}, rounds=2))
    assert [(row.command, row.round) for row in rows] == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]


def test_times_are_those_of_the_same_round():
    walls = {"imports alone": (5.0, 10.0, 6.0), "default": (8.0, 17.0, 9.0)}
    rows = [
        Row(name, index, wall, wall, 1000.0 + index)
        for name, found in walls.items()
        for index, wall in enumerate(found)
    ]
    assert table(rows).splitlines()[2:] == [
        "| imports alone | 3 | 6.0 | 6.0 | 1.00 | 1,002 |",
        "| default | 3 | 9.0 | 9.0 | 1.60 | 1,002 |",
    ]


def test_imports_are_those_of_a_run():
    """What the imports name is what the shipped model is made of."""
    assert next(iter(COMMANDS)) == "imports alone"
    parts = json.loads((pipeline_folder() / "model_index.json").read_text(encoding="utf-8"))
    networks = {parts[part][1] for part in ("vae", "unet", "text_encoder", "tokenizer")}
    assert {"AutoencoderKL", "UNet2DConditionModel"} < networks
    assert all(name in IMPORTS for name in networks)
