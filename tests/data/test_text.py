"""Prompts and tables say the same in whatever encoding they were saved."""

from __future__ import annotations

import codecs

import pytest
from PIL import Image

from geodesic_lightning.data.clip import clip_points
from geodesic_lightning.data.pair_folder import numbered, pairs_in
from geodesic_lightning.data.text import decoded, read_text
from geodesic_lightning.errors import UserError

ENCODINGS = {
    "utf-8": b"",
    "utf-8-sig": b"",
    "utf-16": b"",  # with a mark
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32": b"",
    "cp1252": b"",
}
LATIN = "ein Kätzchen – „süß“, 5 €"


def saved(path, text, encoding):
    path.write_bytes(ENCODINGS.get(encoding, b"") + text.encode(encoding))
    return path


@pytest.fixture
def folder(tmp_path):
    for name, colour in (("0.png", "red"), ("1.png", "blue")):
        (tmp_path / "pair").mkdir(exist_ok=True)
        Image.new("RGB", (20, 20), colour).save(tmp_path / "pair" / name)
    return tmp_path


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_prompts(folder, encoding, end):
    saved(folder / "pair" / "prompts.txt", f"{LATIN}{end}a lion{end}", encoding)
    assert numbered(str(folder), 0).prompts == (LATIN, "a lion")


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("between", [",", ";", "\t"])
def test_tables(folder, encoding, between):
    rows = [
        ["name", "start", "end", "prompt_start"],
        ["één", "pair/0.png", "pair/1.png", f'"{LATIN}"'],
    ]
    text = "\r\n".join(between.join(row) for row in rows)
    saved(folder / "pairs.csv", text, encoding)
    (found,) = pairs_in(folder)
    assert (found.name, found.prompt_start, found.prompt_end) == ("één", LATIN, LATIN)
    assert found.start.name == "0.png"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le"])
def test_writing_that_is_not_latin(folder, encoding):
    saved(folder / "pair" / "prompts.txt", "猫 🐱\n", encoding)
    assert numbered(str(folder), 0).prompts == ("猫 🐱",) * 2


def test_utf_16_without_a_mark():
    for kind in ("utf-16-le", "utf-16-be"):
        assert decoded(LATIN.encode(kind)) == LATIN


def test_a_table_of_points_from_a_spreadsheet(tmp_path):
    saved(tmp_path / "p.csv", "0,1\r\n1,2\r\n2,5\r\n", "utf-16")
    assert clip_points(tmp_path / "p.csv").points.tolist() == [[0, 1], [1, 2], [2, 5]]


def test_what_is_no_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(bytes(range(256)))
    with pytest.raises(UserError, match=r"a\.txt is not a text file"):
        read_text(tmp_path / "a.txt")
    with pytest.raises(UserError, match="cannot be read"):
        read_text(tmp_path / "nothing.txt")


def test_a_quote_that_does_not_end(folder):
    saved(folder / "pairs.csv", 'name,start,end\n"' + "x" * 200_000, "utf-8")
    with pytest.raises(UserError, match="is not a table"):
        pairs_in(folder)
