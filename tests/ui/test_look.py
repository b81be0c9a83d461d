"""What a run shows: its last line, films on the way, files; and pictures that are brought."""

import zipfile

import pytest
import torch

from geodesic_lightning.errors import UserError
from geodesic_lightning.report.files import write_video
from geodesic_lightning.ui import look
from geodesic_lightning.ui.examples import examples
from geodesic_lightning.ui.pictures import MOST, check, kept, shipped, shipped_name


def test_the_last_line_says_how_far():
    now = look.progress("0:10 solving: step 4 · length 44.9 · 11 evaluations · at most 0:30 left")
    assert now.text.startswith("Solving: step 4")
    assert now.part == pytest.approx(0.25)
    assert look.progress("1:00:00 decoding: 60 of 120 passes · about 1:00:00 left").part == 0.5
    assert look.progress("1:02:03 decoding and writing") == look.Progress("Decoding and writing")
    assert look.progress("") == look.progress("A warning") == look.Progress("Starting")


def test_a_row_a_film_the_latest_at_the_foot(tmp_path):
    assert look.growing(tmp_path) is None
    for step, value in ((0, 0.0), (2, 1.0)):
        write_video(torch.full((3, 3, 16, 16), value), tmp_path / "videos" / f"step_{step:04d}.mp4")
    sheet = look.growing(tmp_path)
    assert sheet is not None
    top, foot = (sheet.getpixel((5, y))[0] for y in (5, sheet.height - 5))
    assert top < 20
    assert foot > 235
    (tmp_path / "videos" / "step_0004.mp4").write_bytes(b"no film")
    assert look.growing(tmp_path).size == sheet.size


def test_files_are_the_runs_own(tmp_path):
    folder, outside = tmp_path / "run", tmp_path / "secret.txt"
    outside.write_text("secret")
    for name in ("video.mp4", ".hydra/config.yaml", "wandb/x", "frames/00.png", "summary.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    (folder / "link").symlink_to(outside)
    names = [str(file.relative_to(folder)) for file in look.files(folder)]
    assert names == ["video.mp4", "summary.json", "frames/00.png"]
    archive = look.packed(folder, tmp_path)
    assert "run/.hydra/config.yaml" in zipfile.ZipFile(archive).namelist()
    assert "run/link" not in zipfile.ZipFile(archive).namelist()


def test_names_of_uploads_lead_nowhere(tmp_path):
    places = []
    for name in ("a b,[c]=$(ls).png", "...", "x" * 90 + ".png"):
        places.append(tmp_path / "upload" / str(len(places)) / name)
        places[-1].parent.mkdir(parents=True)
        places[-1].write_bytes(name.encode())
    copies = kept(places, tmp_path)
    assert [copy.parent for copy in copies] == [tmp_path / "given"] * 3
    assert copies[0].name == "1_a_b_c_ls_.png"
    assert copies[2].suffix == ".png"
    assert [copy.read_bytes() for copy in copies] == [place.read_bytes() for place in places]
    with pytest.raises(UserError, match="at most"):
        check(places * MOST)


def test_a_shipped_pair_is_known_by_its_bytes(tmp_path):
    start, end, *prompts = shipped()["pair_ears"]
    assert shipped_name((start, end), prompts) == "pair_ears"
    assert shipped_name((end, start), prompts) is None
    assert shipped_name((start, end), ["another", prompts[1]]) is None
    assert shipped_name((), prompts) is None
    assert {
        shipped_name((*map(type(start), (one.start, one.end)),), one.prompts)
        for one in examples(tmp_path)
    } == set(shipped())
