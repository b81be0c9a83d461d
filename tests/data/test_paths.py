"""Paths as they are typed; what systems leave in folders is no data anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from geodesic_lightning.data.clip import clip, clip_points
from geodesic_lightning.data.frames import image, pair
from geodesic_lightning.data.keyframes import keyframes
from geodesic_lightning.data.pair_folder import numbered, pairs_in
from geodesic_lightning.data.paths import expanded, hidden, in_order, pictures_at, pictures_in
from geodesic_lightning.data.read_image import read_image
from geodesic_lightning.distance.__main__ import images_of
from geodesic_lightning.errors import UserError

LEFT = ("._0.png", ".0.png", ".DS_Store", "Thumbs.db", "desktop.ini", ".ipynb_checkpoints/0.png",
        "__MACOSX/0.png", ".ipynb_checkpoints/1.png")  # fmt: skip


def png(path: Path, shade: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 20), (shade, 0, 0)).save(path, "png")
    return path


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_home_is_expanded_wherever_data_takes_a_path(home):
    for number in range(3):
        png(home / "film" / f"{number}.png", 50 * number)
    (home / "pairs.csv").write_text("name,start,end\na,~/film/0.png,film/1.png\n")
    (home / "points.csv").write_text("0,1\n1,2\n2,5\n")
    a, b = "~/film/0.png", "~/film/1.png"
    assert read_image(a).size == (20, 20)
    assert len(pair(a, b)) == len(keyframes([a, b])) == 2
    assert len(image(a)) == 1
    assert len(clip("~/film")) == 3
    assert len(clip_points("~/points.csv")) == 3
    assert len(numbered("~", 0)) == 2
    assert images_of(["~/film"])[0].name == "0.png"


def test_a_home_of_nobody_is_a_name(monkeypatch):
    assert expanded("~nobody-of-this-name/a.png") == Path("~nobody-of-this-name/a.png")
    with pytest.raises(UserError, match="does not exist"):
        read_image("~nobody-of-this-name/a.png")


def test_what_is_hidden():
    for name in LEFT:
        assert hidden(Path("/.home/root") / name, Path("/.home/root"))
    for name in ("a.png", "a/b.png", "a.b/c.png", "thumbs/a.png"):
        assert not hidden(Path("/.home/root") / name, Path("/.home/root"))


def test_left_files_are_no_data(tmp_path):
    for number in range(3):
        png(tmp_path / "film" / f"{number}.png", 50 * number)
    for name in ("pairs/00", "pairs/01"):
        png(tmp_path / name / "0.png")
        png(tmp_path / name / "1.png", 9)
    before = [p.name for p in pairs_in(tmp_path / "pairs")]
    for place in ("film", "pairs", "pairs/00", "pairs/01"):
        for name in LEFT:
            png(tmp_path / place / name, 7)
    assert [p.name for p in pairs_in(tmp_path / "pairs")] == before == ["00", "01"]
    assert len(clip(tmp_path / "film")) == 3
    names = ["0.png", "1.png", "2.png"]
    assert [p.name for p in pictures_in(tmp_path / "film")] == names
    assert [p.name for p in images_of([str(tmp_path / "film")])] == names


def test_avif_and_heic_are_pictures_of_a_folder(tmp_path):
    for name in ("a.avif", "b.HEIC", "c.txt"):
        (tmp_path / name).touch()
    assert [p.name for p in pictures_in(tmp_path)] == ["a.avif", "b.HEIC"]


NOBODY = "~nobody-of-this-name/x"


@pytest.mark.parametrize(
    "words",
    [
        (f"model.pretrained={NOBODY}", "model=diffusers"),
        (f"resume={NOBODY}",),
        (f"velocity.path={NOBODY}", "solver=ivp", "velocity=continue"),
        ("model=embedded", f"model.lora={NOBODY}"),
        ("model=embedded", f"model.embeddings=[{NOBODY}]"),
        (f"data.start={NOBODY}", "data=pair", "data.end=b.png"),
        (f"data.images={NOBODY}", "data=keyframes"),
        (f"data.path={NOBODY}", "experiment=clip", "data=clip"),
        (f"data.root={NOBODY}", "data=collection"),
    ],
    ids=lambda words: words[0].split("=")[0],
)
def test_a_home_of_nobody_is_one_sentence_everywhere(geodesic, words):
    quoted = [word.replace(NOBODY, f"'{NOBODY}'") for word in words]
    run = geodesic(*quoted, "callbacks=none")
    assert run.code == 1
    assert NOBODY in run.err
    assert "home directory" not in run.err
    assert len(run.err.strip().splitlines()) == 1


NAMES = ["B.png", "a.png", "img1.png", "IMG2.png", "img10.png", "img10b.jpg"]
COUNTED = ["a.png", "B.png", "img1.png", "IMG2.png", "img10.png", "img10b.jpg"]


def test_names_in_the_order_that_people_expect():
    paths = [Path(folder) / name for folder in ("10", "9") for name in NAMES]
    expected = [Path(folder) / name for folder in ("9", "10") for name in COUNTED]
    assert in_order(reversed(paths)) == in_order(paths) == expected
    assert in_order([Path("1.png"), Path("a1"), Path("-2"), Path("²")])  # whatever they begin with


def test_keyframes_of_a_folder_or_a_pattern(home):
    for shade, name in enumerate(NAMES):
        png(home / "pics" / name, 40 * shade)
    for name in (*LEFT, "notes.txt"):
        (home / "pics" / name).parent.mkdir(exist_ok=True)
        (home / "pics" / name).write_bytes(b"no picture")
    assert list(keyframes(home / "pics").names) == COUNTED
    assert list(keyframes("~/pics").names) == COUNTED
    assert keyframes("~/pics/i*").names == ("img1.png", "img10.png", "img10b.jpg")
    assert len(pictures_at(f"{home}/**/*.png")) == 5
    found = keyframes(str(home / "pics"), [""] * 6, closed=True).pictures
    assert found[0].getpixel((0, 0)) == (40, 0, 0)


@pytest.mark.parametrize("where", ["nowhere", "nowhere/*.png", "a.png", "a" * 300, "", "\0"])
def test_where_there_are_no_pictures(home, monkeypatch, where):
    monkeypatch.chdir(png(home / "a.png").parent)
    with pytest.raises(UserError):
        pictures_at(where)


def test_one_picture_is_no_path(home):
    png(home / "pics" / "a.png")
    with pytest.raises(UserError, match="got 1, expected at least 2"):
        keyframes(home / "pics")
    with pytest.raises(UserError, match="got None, expected at least 3"):
        keyframes(None, closed=True)
