"""Pairs in a folder: listed or a folder each, by number; and the sweep over all of them."""

import json
import logging
from pathlib import Path

import pytest
from PIL import Image

from geodesic_lightning.benchmark.__main__ import main
from geodesic_lightning.data.pair_folder import numbered, pairs_in
from geodesic_lightning.errors import UserError
from geodesic_lightning.models.embedded import pairs_folder


def png(path, colour):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 20), colour).save(path)
    return path


def folders(root, names):
    for name in names:
        png(root / name / "0.png", "red")
        png(root / name / "1.jpg", "blue")
    return root


class TestFolders:
    def test_ninety_in_two_groups(self, tmp_path):
        groups = [f"metamorphosis/{k:02d}" for k in range(66)]
        groups += [f"animation/{k:02d}" for k in range(24)]
        found = pairs_in(folders(tmp_path, groups))
        assert len(found) == 90
        assert [p.name for p in found] == sorted(groups)
        assert found[0].start.name == "0.png"
        assert found[0].end.name == "1.jpg"

    def test_prompts(self, tmp_path):
        folders(tmp_path, "abc")
        (tmp_path / "a" / "prompts.txt").write_text("a cat\na lion\n")
        (tmp_path / "b" / "prompts.txt").write_text("a cat\n")
        given = [numbered(str(tmp_path), k).prompts for k in range(3)]
        assert given == [("a cat", "a lion"), ("a cat", "a cat"), ("", "")]

    def test_three_images(self, tmp_path):
        png(folders(tmp_path, "a") / "a" / "2.png", "green")
        with pytest.raises(UserError, match=r"a holds 3 images, expected two"):
            pairs_in(tmp_path)

    def test_three_prompts(self, tmp_path):
        (folders(tmp_path, "a") / "a" / "prompts.txt").write_text("a\nb\nc\n")
        with pytest.raises(UserError, match=r"prompts.txt has 3 lines"):
            pairs_in(tmp_path)


class TestManifest:
    def write(self, tmp_path, *lines):
        png(tmp_path / "x" / "a.png", "red")
        png(tmp_path / "x" / "b.png", "blue")
        heading = "name,start,end,prompt_start,prompt_end"
        (tmp_path / "pairs.csv").write_text("\n".join([heading, *lines]) + "\n")
        return str(tmp_path)

    def test_lines_are_pairs(self, tmp_path):
        root = self.write(
            tmp_path, 'fur,x/a.png,x/b.png,"red, plain",blue', ",x/b.png,x/a.png,sky,"
        )
        first, second = pairs_in(root)
        assert (first.name, first.prompt_start, first.prompt_end) == ("fur", "red, plain", "blue")
        assert (second.name, second.prompt_start, second.prompt_end) == ("1", "sky", "sky")
        assert numbered(root, 1).names == ("b.png", "a.png")

    def test_a_missing_file_is_named_with_its_line(self, tmp_path):
        root = self.write(tmp_path, "a,x/a.png,x/b.png,,", "b,x/a.png,x/no.png,,")
        with pytest.raises(
            UserError, match=r"pairs.csv, line 3: there is no file x/no.png for end"
        ):
            pairs_in(root)

    def test_a_comma_outside_quotes_loses_nothing_in_silence(self, tmp_path):
        root = self.write(
            tmp_path,
            "a,x/a.png,x/b.png,a red cat,a dog",
            "b,x/a.png,x/b.png,a red, sly cat,a dog",
        )
        with pytest.raises(UserError, match=r"pairs\.csv, line 3: got 6 columns .* of 5") as told:
            pairs_in(root)
        assert '"a red, ""sly"" cat"' in str(told.value)

    @pytest.mark.parametrize(
        "cell", ['"unclosed', '"a" cat', '"a red, sly cat" and more', 'a dog,"unclosed']
    )
    def test_a_quote_swallows_no_other_line(self, tmp_path, cell):
        """The next line has quotes of its own, which would close it."""
        lines = f"a,x/a.png,x/b.png,{cell}", 'b,x/a.png,x/b.png,sky,"grey, or blue"'
        with pytest.raises(UserError, match=r"pairs\.csv, line 2 .* close every quote in its line"):
            pairs_in(self.write(tmp_path, *lines))

    def test_what_is_quoted_as_it_should_be(self, tmp_path):
        row = 'a, x/a.png, "x/b.png", "a red, ""sly"" cat",5" tall,,'
        (found,) = pairs_in(self.write(tmp_path, row, "", ",,,,"))
        assert (found.prompt_start, found.prompt_end) == ('a red, "sly" cat', '5" tall')

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
    @pytest.mark.parametrize("between", [";", "\t"])
    def test_tables_of_a_spreadsheet_are_read_as_strictly(self, tmp_path, encoding, between):
        root = self.write(tmp_path)
        rows = [["name", "start", "end", "prompt_start"], ["ä", "x/a.png", "x/b.png", "a, b"]]
        text = "\r\n".join(between.join(row) for row in rows)
        (tmp_path / "pairs.csv").write_bytes(f"{text}\r\n".encode(encoding))
        assert [(one.name, one.prompt_end) for one in pairs_in(root)] == [("ä", "a, b")]
        (tmp_path / "pairs.csv").write_bytes(f"{text}{between}c\r\n".encode(encoding))
        with pytest.raises(UserError, match="line 2: got 5 columns under a heading of 4"):
            pairs_in(root)

    def test_backslashes_are_told(self, tmp_path):
        root = self.write(tmp_path, "a,x\\a.png,x/b.png")
        with pytest.raises(UserError, match=r"no file x\\a\.png for start.* write x/a\.png"):
            pairs_in(root)

    def test_columns_that_are_not_read_are_said(self, tmp_path, caplog):
        root = self.write(tmp_path, "a,x/a.png,x/b.png,sky,night")
        text = (tmp_path / "pairs.csv").read_text()
        (tmp_path / "pairs.csv").write_text(text.replace("prompt_end", "promt_end"))
        with caplog.at_level(logging.WARNING):
            assert pairs_in(root)[0].prompt_end == "sky"
        assert "the column promt_end is not read" in caplog.text
        (tmp_path / "pairs.csv").write_text(text.replace("prompt_end", "prompt_start"))
        with pytest.raises(UserError, match="has the column prompt_start twice"):
            pairs_in(root)

    def test_a_missing_column(self, tmp_path):
        (tmp_path / "pairs.csv").write_text("name,start\n")
        with pytest.raises(UserError, match=r"has no column end, expected the heading name,start"):
            pairs_in(tmp_path)


class TestRefuses:
    def test_no_root(self):
        with pytest.raises(UserError, match=r"data.root: got '', expected a folder of pairs"):
            numbered("", 0)

    def test_an_empty_root(self, tmp_path):
        with pytest.raises(UserError, match=r"holds no pairs"):
            pairs_in(tmp_path)

    def test_a_number_beyond(self, tmp_path):
        with pytest.raises(
            UserError, match=r"data.number: got 2, expected 0 to 1: .* holds 2 pairs"
        ):
            numbered(str(folders(tmp_path, "ab")), 2)


@pytest.mark.slow
def test_the_sweep_and_its_table(geodesic, tmp_path, tiny_sd2, capsys):
    """Three drawn pairs stand in for MorphBench, a tiny network for Stable Diffusion 2."""
    root = tmp_path / "bench"
    for name in ("pair_cat", "pair_ears", "pair_mood"):
        (root / name).mkdir(parents=True)
        for end in ("start", "end"):
            target = root / name / f"{'0' if end == 'start' else '1'}.png"
            target.write_bytes((pairs_folder() / f"{name}_{end}.png").read_bytes())
        (root / name / "prompts.txt").write_text("a cat\n")
    few = ("scheduler.steps=3", "solver.segments=4", "solver.frames=3", "callbacks=log")
    words = (
        *("experiment=morphbench", f"data.root={root}", f"model.pretrained={tiny_sd2}", *few),
        *("solver=slerp,lerp", "metrics.names=[pdv,crossfade]", "logger=none"),
        "hydra.sweep.dir=sweep",
    )
    done = geodesic("-m", *words)
    assert done.code == 0, done.err
    summaries = list(Path("sweep").glob("*/summary.json"))
    assert len(summaries) == 6
    assert {json.loads(f.read_text())["solver"] for f in summaries} == {"slerp", "lerp"}
    again = geodesic("-m", *words, "sweep.resume=true")
    assert again.out.count("is done already") == 6
    main(["morphs", "--sweep", "sweep"])
    table = capsys.readouterr().out
    assert "| slerp |" in table
    assert "crossfade" in table


def test_without_a_root_one_sentence_before_any_job(geodesic):
    done = geodesic("experiment=morphbench", "solver=slerp,lerp", "hydra.sweep.dir=sweep")
    assert done.code == 1
    assert done.err.startswith("Error: data.root: got '', expected a folder of pairs")
    assert len(done.err.splitlines()) == 1
    assert not list(Path("sweep").glob("*/*"))


def test_a_sweep_of_something_else_has_no_table(tmp_path):
    with pytest.raises(SystemExit, match="holds no measured run of a numbered pair"):
        main(["morphs", "--sweep", str(tmp_path)])
