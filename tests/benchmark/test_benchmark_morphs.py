"""The benchmark of morphs: its statistics by known answers, its ways by the configuration, one cell for real."""

import json

import pytest

from geodesic_lightning.benchmark import morphs
from geodesic_lightning.benchmark.__main__ import main
from geodesic_lightning.benchmark.morphs import Cell


def cells(values, measure="crossfade"):
    return [
        Cell(way, f"p{k}", {measure: v}) for way, row in values.items() for k, v in enumerate(row)
    ]


def test_interval_of_a_constant_and_of_a_mean():
    assert morphs.interval([2.0] * 5) == (2.0, 2.0)
    low, high = morphs.interval([float(k % 2) for k in range(400)])
    # The mean of 400 fair coins: 0.5 ± 1.96/40.
    assert low == pytest.approx(0.451, abs=0.01)
    assert high == pytest.approx(0.549, abs=0.01)


def test_differences_are_paired():
    """One way is 1 better on every pair, however different the pairs are."""
    found = morphs.paired(cells({"a": [1, 5, 90], "b": [2, 6, 91]}), "a", "b", "crossfade")
    assert found == (-1.0, -1.0, -1.0)


def test_the_best_is_bold_and_so_is_what_ties():
    table = morphs.table(cells({"a": [1, 2, 3, 4], "b": [1.1, 1.9, 3.1, 3.9], "c": [5, 6, 7, 8]}))
    lines = {line.split(" | ")[0].strip("| "): line for line in table.splitlines()}
    assert "**" in lines["a"]
    assert "**" in lines["b"]
    assert "**" not in lines["c"]


def test_ways_as_published_and_re_timed_alike_stand_apart():
    """Each table has its own best."""
    found = morphs.tables(cells({"a": [1, 2], "b": [5, 6], "a_even": [7, 7], "b_even": [8, 9]}))
    assert [title for title, *_ in found] == ["As published", "Re-timed alike"]
    ways = [[row[0] for row in body] for _, _, body in found]
    assert ways == [["a", "b"], ["a_even", "b_even"]]
    assert [[row[1].startswith("**") for row in body] for _, _, body in found] == [
        [True, False]
    ] * 2


def test_ours_against_each_pair_by_pair():
    """One better on every pair is a win, as much better as worse is none."""
    values = {morphs.OURS: [1, 5, 9, 3], "a": [2, 6, 10, 4], "b": [2, 4, 10, 2]}
    head, body = morphs.differences(cells(values), morphs.OURS)
    assert head == ["geodesic_even −", "crossfade"]
    assert body[0] == ["a", "**-1.000 [-1.000, -1.000]**"]
    assert not body[1][1].startswith("**")


def test_a_win_is_what_the_measure_calls_good():
    """More light is a win, more Fréchet distance a loss."""
    values = {morphs.OURS: [1.0, 0.9], "a": [0.5, 0.4]}
    _, light = morphs.differences(cells(values, "lightness"), morphs.OURS)
    _, far = morphs.differences(cells(values, "fid_inputs"), morphs.OURS)
    assert light[0][1] == "**+0.500 [+0.500, +0.500]**"
    assert far[0][1] == "+500.00 [+500.00, +500.00]"


def test_a_setting_is_compared_with_the_default():
    """Setting minus default: 1 lower is a win of the setting."""
    found = morphs.tables(cells({"default": [2, 3], "a": [1, 2]}), morphs.DEFAULT)
    assert [title for title, *_ in found] == [
        "One setting at a time",
        "each minus the default, pair by pair",
    ]
    assert found[1][1:] == (
        ["minus default", "crossfade"],
        [["a", "**-1.000 [-1.000, -1.000]**"]],
    )


def test_both_geodesics_are_compared_each_with_its_like():
    """As published with as published, re-timed with re-timed."""
    values = {"geodesic": [1, 2], "a": [2, 3], "geodesic_even": [4, 5], "a_even": [3, 4]}
    found = {title: body for title, _, body in morphs.tables(cells(values))}
    assert found["geodesic against each, pair by pair"][0][0] == "a"
    assert found["geodesic_even against each, pair by pair"][0][0] == "a_even"


def test_the_page_shows_all_ways_of_a_pair(tmp_path):
    from PIL import Image

    from geodesic_lightning.benchmark import morphs_page

    for way, colour in (("a", "red"), ("b", "blue")):
        (tmp_path / way / "p0" / "frames").mkdir(parents=True)
        for k in range(17):
            Image.new("RGB", (32, 32), colour).save(
                tmp_path / way / "p0" / "frames" / f"{k:02d}.png"
            )
    made = cells({"a": [1.0], "b": [2.0], "c": [3.0]})
    morphs.draw(made, tmp_path / "m.png")
    page = morphs_page.render(morphs.tables(made), tmp_path / "m.png", tmp_path, "abc", ["p0"])
    assert page.count("data:image/jpeg") == 2  # c left no frames
    assert "<b>1.000 ± 0.000</b>" in page
    assert "http" not in page


@pytest.mark.slow
def test_every_way_is_one_of_the_configurations():
    from hydra import compose, initialize_config_dir

    from geodesic_lightning.cli.app import CONF

    for words in (*morphs.available().values(), *morphs.ABLATIONS.values()):
        with initialize_config_dir(str(CONF), version_base="1.3"):
            compose("config", overrides=[*words, "folder=x"])


def test_unknown_ways_are_one_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="--ways: got nope, expected some of lerp"):
        main(["morphs", "--ways", "nope"])


def test_a_picture_of_the_table(tmp_path):
    morphs.draw(cells({"geodesic": [1.0, 2.0], "slerp": [2.0, 3.0]}), tmp_path / "measures.png")
    assert (tmp_path / "measures.png").stat().st_size > 5_000


@pytest.mark.slow
def test_one_way_on_one_pair(tmp_path, monkeypatch, capsys):
    """Half a minute; a second start does nothing again."""
    pytest.importorskip("skia", reason="redraw errors need the extra train")
    monkeypatch.chdir(tmp_path)
    words = ["morphs", "--ways", "slerp", "--pairs", "1", "--output", "out/morphs.json"]
    main(words)
    assert "redraw error" in capsys.readouterr().out
    summary = tmp_path / "out" / "morphs" / "slerp" / "eval_00" / "summary.json"
    written = summary.stat().st_mtime_ns
    kept = json.loads((tmp_path / "out" / "morphs" / "cells.json").read_text())["cells"]
    assert set(morphs.MEASURES) | {"passes", "redraw"} <= set(kept[0])
    main(words)
    assert summary.stat().st_mtime_ns == written
