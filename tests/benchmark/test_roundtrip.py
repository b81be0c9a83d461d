"""The round trip counts what it says it counts, and goes on where it was interrupted."""

import json
from dataclasses import asdict

import pytest

from geodesic_lightning.benchmark import roundtrip
from geodesic_lightning.errors import UserError
from geodesic_lightning.models.diffusion import DiffusionModel
from geodesic_lightning.models.scheduler import Scheduler

RULES = [
    {"sampler": "multistep", "steps": 10, "grid": "karras"},
    {"sampler": "ddim", "steps": 10, "iterations": 1},
    roundtrip.TRUE,
]


@pytest.mark.slow
def test_rows(tiny_sd2):
    model = DiffusionModel(str(tiny_sd2), Scheduler("ddim", 5), batch_size=16)
    rows = list(roundtrip.run(model, ["pair_cat"], RULES, (0.4,)))
    assert model.scheduler == Scheduler("ddim", 5)
    assert [(row.passes_up, row.passes_down) for row in rows] == [(4, 4), (8, 4), (40, 40)]
    # By the true rule itself the true latent and the true film are met to the bit.
    assert rows[2].miss == rows[2].film == 0
    assert rows[0].miss > 0
    left = roundtrip.run(model, ["pair_cat"], RULES, (0.4,), {row.key for row in rows[:2]})
    assert [row.rule for row in left] == ["multistep 100 karras order=3"]


def row(pair, error, miss):
    return roundtrip.Row("heun 15", 0.6, pair, 18, 18, error, error, error, miss, 100.0)


def test_table_takes_the_mean_of_the_errors_first():
    """Mean square errors 1e-4 and 3e-4 are 36.99 dB; misses 1 and 3 of 200 are √0.02."""
    lines = roundtrip.table([row("a", 1e-4, 1.0), row("b", 3e-4, 3.0)]).splitlines()
    assert len(lines) == 3
    assert lines[2] == "| heun 15 | 0.6 | 2 | 18 | 18 | 37.0 | 37.0 | 37.0 | 14.14% |"


def test_rows_are_read_again(tmp_path):
    file = tmp_path / "rows.json"
    assert roundtrip.read(file) == []
    rows = [row("a", 1e-4, 1.0)]
    file.write_text(json.dumps({"rows": [asdict(each) for each in rows]}))
    assert roundtrip.read(file) == rows


def test_names():
    assert roundtrip.chosen(()) == roundtrip.RULES
    (rule,) = roundtrip.chosen(["multistep 16 karras order=3"])
    assert Scheduler(**rule).order == 3
    assert len({roundtrip.label(rule) for rule in roundtrip.RULES}) == len(roundtrip.RULES)
    with pytest.raises(UserError, match=r"--rules: got 'x', expected some of multistep 10 karras"):
        roundtrip.chosen(["x"])
