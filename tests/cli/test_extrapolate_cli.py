"""Extrapolation and distance from the command line."""

from __future__ import annotations

import json

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from geodesic_lightning.distance.__main__ import main as distance

EXACT = ("model=exact", "model.density=mixture", "solver.segments=4")
SHOOT = ("solver=ivp", *EXACT, "solver.frames=3")


def summary(done):
    return json.loads((done.folder / "summary.json").read_text())


def test_three_words_shoot(geodesic):
    done = geodesic(*SHOOT, "velocity=toward", "callbacks=video")
    assert done.code == 0, done.err
    names = {file.name for file in done.folder.iterdir()}
    assert {"video.mp4", "strip.png", "curves.png", "path.safetensors", "checkpoints"} <= names
    assert "fan.png" not in names
    said = summary(done)
    assert said["solver"] == "ivp"
    assert said["converged"] is True
    assert said["length_reference"] is None  # that geodesic ends elsewhere


def test_a_path_is_continued_under_its_own_alpha(geodesic):
    first = geodesic(
        *EXACT, "solver.frames=3", "solver.alpha=0.123", "callbacks=log", "hydra.run.dir=first"
    )
    assert first.code == 0, first.err
    onward = (*SHOOT, "velocity=continue", f"velocity.path={first.folder}", "callbacks=none")
    for name, given, alpha in (("same", (), 0.123), ("other", ("solver.alpha=0.2",), 0.2)):
        done = geodesic(*onward, *given, f"hydra.run.dir={name}")
        assert done.code == 0, done.err
        assert summary(done)["alpha"] == alpha


def test_a_path_is_continued_and_a_fan_has_a_sheet(geodesic):
    first = geodesic(*EXACT, "callbacks=log", "hydra.run.dir=cat")
    assert first.code == 0, first.err
    on = ("velocity=continue", "velocity.path=cat", "velocity.count=2", "solver.length=0.2")
    done = geodesic(*SHOOT, *on, "optimizer=picard", "callbacks=video")
    assert done.code == 0, done.err
    assert (done.folder / "fan.png").exists()
    ends = load_file(first.folder / "path.safetensors")["ends"]
    onward = load_file(done.folder / "path.safetensors")["ends"]
    torch.testing.assert_close(onward[0], ends[1])
    assert len(summary(done)["shot"]["fan"]) == 2


@pytest.mark.slow
def test_an_interrupted_shot_is_resumed(geodesic):
    long = ("solver.segments=12", "callbacks=log")
    assert geodesic(*SHOOT, *long, "hydra.run.dir=whole").code == 0
    part = geodesic(*SHOOT, *long, "trainer.max_steps=5", "hydra.run.dir=part")
    assert part.code == 0
    rest = geodesic(*SHOOT, *long, "resume=part", "trainer.max_steps=-1", "hydra.run.dir=rest")
    assert rest.code == 0, rest.err
    assert summary(part)["converged"] is False
    paths = [load_file(rest.folder.parent / n / "path.safetensors") for n in ("whole", "rest")]
    assert all(torch.equal(paths[0][name], paths[1][name]) for name in paths[0])
    other = geodesic(*SHOOT, *long, "optimizer=picard", "resume=part", "hydra.run.dir=other")
    assert other.code == 1
    assert "another optimizer" in other.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("optimizer=semi_implicit",), "rk4, strang, picard"),
        (("solver=bvp", "optimizer=rk4"), "solver=ivp"),
        (("solver.length=0",), "solver.length"),
        (("velocity.count=0",), "velocity.count"),
        (("velocity=continue",), "velocity.path"),
        (("velocity=continue", "velocity.path=nowhere"), "nowhere/path.safetensors|nowhere"),
        (("velocity=sideways",), "clip, continue, prompt, random, toward"),
        (("velocity=prompt", "velocity.prompt=cat"), "no prompts"),
    ],
)
def test_one_sentence_for_what_does_not_fit(geodesic, words, said):
    solver = () if any(word.startswith("solver=") for word in words) else ("solver=ivp",)
    done = geodesic(*solver, *EXACT, *words, "callbacks=log")
    assert done.code == 1
    assert any(part in done.err for part in said.split("|")), done.err
    assert "Traceback" not in done.err


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, grey in (("a.png", 10), ("b.png", 200)):
        Image.new("L", (16, 16), grey).save(tmp_path / name)
    return tmp_path


def test_distance_of_two(pictures, capsys):
    distance(["a.png", "b.png", *EXACT, "folder=out"])
    said = json.loads((pictures / "out" / "distance.json").read_text())
    assert said["names"] == ["a", "b"]
    assert said["distance"][0][1] == said["distance"][1][0] > 0
    assert said["pairs"][0]["converged"] is True
    assert (pictures / "out" / "distance.png").exists()
    out = capsys.readouterr().out
    assert all(word in out for word in ("1 a", "2 b", "log p", "distance.png"))
    with pytest.raises(SystemExit, match="already holds"):
        distance([".", *EXACT, "folder=out"])


def test_distances_of_the_shipped_example(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    distance(["experiment=distance", "solver.segments=2", "folder=out"])
    said = json.loads((tmp_path / "out" / "distance.json").read_text())
    assert len(said["names"]) == 3
    with pytest.raises(SystemExit, match="has 2 points of its own for 3 images"):
        distance(["experiment=distance", "model=exact", "folder=o"])
    with pytest.raises(SystemExit, match="no images to compare"):
        distance(["data=points", "data.start=[0,1]", "data.end=[1,0]", "model=exact", "folder=o"])


def test_distance_is_a_word_of_the_command(geodesic, tmp_path):
    for name, grey in (("a.png", 10), ("b.png", 200)):
        Image.new("L", (16, 16), grey).save(tmp_path / "place" / name)
    done = geodesic("distance", "a.png", "b.png", *EXACT, "condition=unconditional", "folder=out")
    assert done.code == 1
    assert "condition changes no distance" in done.err
    done = geodesic("distance", "a.png", "b.png", *EXACT, "folder=out")
    assert done.code == 0, done.err
    assert (tmp_path / "place" / "out" / "distance.json").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a.png"], "2 to 64"),
        (["a.png", "c.png"], "c.png does not exist"),
        (["a.png", "b.png", "model=nothing"], "model: got 'nothing'"),
        (["a.png", "b.png", "solver.nothing=1"], "nothing"),
    ],
)
def test_distance_says_what_is_wrong(pictures, words, said):
    with pytest.raises(SystemExit, match=said):
        distance(words)
