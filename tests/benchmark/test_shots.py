"""The study of shots: how far one stays drawable, its rows and its table."""

import pytest

from geodesic_lightning.benchmark import shots
from geodesic_lightning.benchmark.__main__ import main


def test_reach_is_where_the_error_passes_the_limit():
    assert shots.reach([1, 2, 3], 1.5, limit=4) == 1.5
    assert shots.reach([1, 3, 5], 2.0, limit=4) == pytest.approx(1.5)
    assert shots.reach([1, 5, 1], 2.0, limit=4) == pytest.approx(0.75)
    assert shots.reach([5, 6, 7], 2.0, limit=4) == 0.0


def row(pair, floor, drawable):
    return shots.Row(pair, "continue", floor, 1.5, [2.0, 9.0], drawable, None, 97)


def test_a_table_has_the_ratios_pair_by_pair():
    rows = [row("a", None, 0.5), row("b", None, 0.25), row("a", 6.0, 1.0), row("b", 6.0, 1.0)]
    table = shots.table(rows)
    assert "| continue | free | 2 | 0.38 | 1.00 [1.00, 1.00] |" in table
    assert "| continue | 6 | 2 | 1.00 | 3.00 [2.00, 4.00] |" in table


def test_an_unknown_velocity_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="--ways: got nope, expected some of continue"):
        main(["shots", "--ways", "nope"])


@pytest.mark.slow
def test_rows_of_a_pair(tmp_path, monkeypatch):
    """A minute: a floor lengthens the shot, and what is known is not done again."""
    pytest.importorskip("skia", reason="redraw errors need the extra train")
    from geodesic_lightning.models.diffusion import embedded

    monkeypatch.setattr(shots, "FRAMES", 5)
    model = embedded()
    rows = list(shots.run(model, tmp_path, ("pair_ears",), (), ("continue",)))
    free, floored = rows
    assert (free.floor, floored.floor, free.evaluations, floored.evaluations) == (
        None,
        6.0,
        97,
        121,
    )
    assert 0 < free.trusted < floored.drawable
    assert floored.drawable > 1.5 * free.drawable
    known = {one.key for one in rows}
    assert not list(shots.run(model, tmp_path, ("pair_ears",), known, ("continue",)))
