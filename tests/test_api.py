"""The Python interface says what the command line says, and says nothing else."""

import base64
import json
import re
from functools import partial
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from geodesic_lightning import forget, interpolate, mean, through
from geodesic_lightning.data.clip import clip
from geodesic_lightning.data.frames import SHIPPED
from geodesic_lightning.data.read_image import read_image
from geodesic_lightning.decoding.morphs.decoder import morph
from geodesic_lightning.errors import UserError
from geodesic_lightning.functional.alternatives import Temperature
from geodesic_lightning.models.exact import ExactModel
from geodesic_lightning.models.scheduler import Scheduler

ENDS = SHIPPED / "pair_cat_start.png", SHIPPED / "pair_cat_end.png"


def test_four_lines(tmp_path, capfd):
    solution = interpolate(*ENDS, model=ExactModel("ring"), frames=5)
    assert solution.frames.shape == (5, 3, 256, 256)
    assert solution.nodes.shape == (17, 2)
    assert len(solution.u) == len(solution.log_density) == 17
    assert solution.length == pytest.approx(2.01407, rel=1e-3)  # the shipped reference
    assert solution.evaluations == solution.summary["score_evaluations"] <= 130
    folder = solution.save(tmp_path / "morph")
    left = {p.name for p in folder.iterdir()}
    assert left == {"video.mp4", "frames", "strip.png", "path.safetensors", "summary.json"}
    assert json.loads((folder / "summary.json").read_text())["length"] == solution.length
    with pytest.raises(UserError, match="already holds a run"):
        solution.save(folder)
    again = interpolate(*ENDS, model=ExactModel("ring"), frames=5).save(tmp_path / "again")
    for file in ("path.safetensors", "strip.png", "video.mp4"):
        assert (again / file).read_bytes() == (folder / file).read_bytes()
    assert "Trainer" not in "".join(capfd.readouterr())


def test_a_solution_shows_itself(tmp_path):
    told = []
    ring = {"model": ExactModel("ring"), "frames": 4}
    solution = interpolate(*ENDS, **ring, progress=lambda step, report: told.append((step, report)))
    assert [step for step, _ in told] == list(range(1, solution.summary["steps"] + 1))
    assert told[-1][1]["score_evaluations"] == solution.evaluations
    told[-1][1].clear()  # theirs to change
    assert interpolate(*ENDS, **ring).length == solution.length  # who looks on changes nothing
    assert repr(solution).startswith("Solution(4 frames of 256×256 px, length 2.01")
    page = solution._repr_html_()
    film, curves = (base64.b64decode(part) for part in re.findall(r'base64,([^"]+)"', page))
    with Image.open(BytesIO(film)) as shown:
        assert (shown.format, shown.n_frames) == ("WEBP", 6)  # there and back
    written = solution.curves(tmp_path / "curves.png")
    with Image.open(written) as kept, Image.open(BytesIO(curves)) as shown:
        assert np.array_equal(np.asarray(kept), np.asarray(shown))
    assert solution.video(tmp_path / "film.mp4").stat().st_size > 1000
    with Image.open(solution.video(tmp_path / "film.gif", fps=5)) as shown:
        assert shown.n_frames == 4
    with pytest.raises(UserError, match=r"film\.gif is there already"):
        solution.video(tmp_path / "film.gif")
    with pytest.raises(UserError, match=r"a name in \.mp4, \.webp or \.gif"):
        solution.video(tmp_path / "film.avi")


def test_a_solution_has_the_page_that_a_run_leaves(tmp_path):
    solution = interpolate(*ENDS, model=ExactModel("ring"), frames=3, segments=4)
    steps = [step["score_evaluations"] for step in solution.history]
    assert steps == sorted(steps)
    assert steps[-1] == solution.evaluations
    page = solution.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 5  # density, speed, residual; length and excess while solving
    assert f"{solution.evaluations:,}" in page
    kind, film = re.search(r'src="data:(video/mp4|image/gif);base64,([^"]+)"', page).groups()
    assert kind == "video/mp4"
    (tmp_path / "film.mp4").write_bytes(base64.b64decode(film))
    assert len(clip(tmp_path / "film.mp4")) == 3
    with pytest.raises(UserError, match=r"report\.html is there already"):
        solution.report(tmp_path / "report.html")
    with pytest.raises(UserError, match=r"a name in \.html"):
        solution.report(tmp_path / "report.pdf")


def test_the_ends_are_the_given_images():
    from geodesic_lightning.data.frames import pair

    solution = interpolate(
        *ENDS, "a happy orange cat", "a sly blue cat", segments=4, frames=3, tolerance=1e-2
    )
    given = pair(*ENDS).at(solution.frames.shape[-1]).images
    assert torch.equal(solution.frames[[0, -1]], given)


@pytest.mark.slow
def test_another_functional_and_another_decoder():
    few = {"segments": 4, "frames": 3, "tolerance": 1e-2}
    own = interpolate(*ENDS, **few)
    mixed = interpolate(*ENDS, **few, decoder=partial(morph, adain=True))
    # Not every release of torch repeats the last bit.
    torch.testing.assert_close(mixed.nodes, own.nodes, rtol=0, atol=1e-5)
    assert not torch.equal(mixed.frames[1], own.frames[1])
    other = interpolate(*ENDS, **few, functional=Temperature(10.0))
    assert other.summary["functional"] == "temperature"
    assert not torch.allclose(other.nodes, own.nodes, atol=1e-3)


def test_through_passes_every_image_and_comes_back():
    ends = [
        SHIPPED / "pair_cat_start.png",
        Image.open(SHIPPED / "pair_cat_end.png"),
        SHIPPED / "pair_ears_end.png",
    ]
    settings = {"segments": 3, "frames": 6, "tolerance": 1e-2}
    solution = through(ends, ["a cat"] * 3, closed=True, **settings)
    given = [read_image(one).resize((128, 128)) for one in ends]
    assert solution.frames.shape == (6, 3, 128, 128)  # a loop shows its first image once
    for frame, image in zip(solution.frames[::2], given):
        # Resized by another filter than the project's: the same picture to a few per cent.
        seen = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1) / 255
        assert (frame - seen).abs().mean() < 0.03
    assert len(solution.summary["keyframes"]["corners_degrees"]) == 3


def test_mean_of_two_is_in_the_middle():
    settings = {"model": ExactModel("gaussian"), "segments": 6, "frames": 3}
    solution = mean(ENDS, **settings)
    near, far = solution.summary["mean"]["distances"]
    assert near == pytest.approx(far, rel=5e-3)  # five times the mean's own tolerance
    between = interpolate(*ENDS, **settings, alpha=solution.summary["alpha"])
    # Both are relative to p = 1 at the first image; two half paths are cut finer than the whole.
    assert near + far == pytest.approx(between.length, rel=5e-3)


def test_a_scheduler_is_for_a_model_that_is_made_here():
    with pytest.raises(UserError, match="scheduler: the model given has its own"):
        interpolate(*ENDS, model=ExactModel("ring"), scheduler=Scheduler("ddim", 50))


FEW = {"segments": 3, "frames": 3, "tolerance": 1e-1, "alpha": 0.001, "device": "cpu"}


def test_a_model_is_loaded_once(loads, tiny_sd2):
    name = str(tiny_sd2)
    first = interpolate(*ENDS, model=name, **FEW)
    other = interpolate(*ENDS, model=name, **FEW, scheduler=Scheduler("ddim", 5))
    again = interpolate(*ENDS, model=name, **FEW)
    assert loads == [name]
    assert torch.equal(again.nodes, first.nodes)
    assert not torch.equal(other.nodes, first.nodes)
    assert again.summary["unet_evaluations"] == first.summary["unet_evaluations"]
    wide = interpolate(*ENDS, model=name, **FEW, size=(8, 32), fit="pad", anchor="left")
    assert wide.frames.shape[-2:] == (8, 32)
    ends = wide.frames[[0, -1]]
    assert ends[..., 9:].max() < 0.1 < ends[..., :8].max()  # a black bar to the right
    assert loads == [name, name]
    interpolate(*ENDS, model=name, **FEW)  # of two sizes the latest is kept
    assert loads == [name] * 3
    forget()
    interpolate(*ENDS, model=name, **FEW)
    assert loads == [name] * 4


def test_a_call_that_fails_keeps_no_model(loads, tiny_sd2):
    def fail(step, figures):
        raise RuntimeError("on the way")

    interpolate(*ENDS, model=str(tiny_sd2), **FEW)
    with pytest.raises(UserError, match="segments"):  # before the model is looked at
        interpolate(*ENDS, model=str(tiny_sd2), **FEW | {"segments": 0})
    assert loads == [str(tiny_sd2)]
    with pytest.raises(RuntimeError, match="on the way"):
        interpolate(*ENDS, model=str(tiny_sd2), **FEW, progress=fail)
    interpolate(*ENDS, model=str(tiny_sd2), **FEW)
    assert loads == [str(tiny_sd2)] * 2


def test_a_model_given_is_used_as_it_is(loads, tiny_sd2):
    from geodesic_lightning.models.diffusion import DiffusionModel

    model = DiffusionModel(str(tiny_sd2))
    interpolate(*ENDS, model=model, **FEW)
    assert loads == [str(tiny_sd2)]
    interpolate(*ENDS, model=str(tiny_sd2), **FEW)  # by its name it is another
    assert loads == [str(tiny_sd2)] * 2
    with pytest.raises(UserError, match="size: the model given has its own"):
        interpolate(*ENDS, model=model, **FEW, size=8)
    with pytest.raises(UserError, match="fit: got 'squeeze'"):
        interpolate(*ENDS, model=model, **FEW, fit="squeeze")


def test_wrong_names_are_one_sentence():
    with pytest.raises(UserError, match=r"score: got 'nope', expected one of noise_prediction"):
        interpolate(*ENDS, score="nope")
