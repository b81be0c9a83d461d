"""The study of strengths: its rows, and that it goes on where it was."""

import pytest

from geodesic_lightning.benchmark import strength
from geodesic_lightning.models.diffusion import embedded


@pytest.mark.slow
def test_rows_of_clouds_and_cats_and_what_is_known_is_not_done_again(monkeypatch):
    monkeypatch.setattr(strength, "DIMENSIONS", (16,))
    monkeypatch.setattr(strength, "CLOUDS", 1)
    monkeypatch.setattr(strength, "STRENGTHS", (1.0,))
    monkeypatch.setattr(strength, "MANIFOLDS", ("sphere",))
    rows = list(strength.run(embedded(), ("pair_mood",), (0.4,)))
    assert [(row.where, row.what) for row in rows] == [
        ("cloud, flat", "16"),
        ("cloud, sphere", "16"),
        *(("cats, sphere", f"{field} at 0.4") for field in ("noise_prediction", "contrast")),
    ]
    assert all(0.02 < row.bend < 0.3 and row.ratio > 1 for row in rows)
    assert not list(strength.run(embedded(), ("pair_mood",), (0.4,), {row.key for row in rows}))
    assert "| cats, sphere | contrast at 0.4 | 1 | 1 |" in strength.table(rows)
