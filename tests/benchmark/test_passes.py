"""Where passes go: a run's summary tells, and its table has a column a stage."""

from __future__ import annotations

import pytest

from geodesic_lightning.benchmark.passes import RUNS, Row, spent, table
from geodesic_lightning.cli.compose import composed
from geodesic_lightning.errors import UserError


def test_a_column_a_stage_and_their_sum():
    rows = [
        Row("a", "heun", {"encode": 36, "solve": 1000}),
        Row("b", "multistep", {"solve": 7, "show": 2}),
    ]
    head, _, *lines = table(rows).splitlines()
    assert head == "| run | scheduler | encode | solve | show | all |"
    assert lines == [
        "| a | `heun` | 36 | 1,000 | 0 | 1,036 |",
        "| b | `multistep` | 0 | 7 | 2 | 9 |",
    ]


@pytest.mark.parametrize("name", RUNS)
def test_every_run_composes(name):
    composed([*RUNS[name], "folder=nowhere"])


@pytest.mark.slow
def test_a_run_that_fails_is_told():
    with pytest.raises(UserError, match=r"data=nothing failed: .*nothing"):
        spent(("data=nothing",))
