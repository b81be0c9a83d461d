"""Clips: read in chunks, refused in one sentence, and told apart where the answer is known."""

from __future__ import annotations

import json
from functools import cache, partial

import imageio.v3 as iio
import lightning as L
import numpy as np
import pytest
import torch
from known import FLAT, smooth_shots
from PIL import Image

from geodesic_lightning.api import analyse
from geodesic_lightning.data.clip import clip, clip_points, shipped_clip
from geodesic_lightning.data.frames import Frames
from geodesic_lightning.errors import UserError
from geodesic_lightning.functional import geodesic_defect as departure
from geodesic_lightning.functional import quadrature
from geodesic_lightning.models.exact import ExactModel, reference
from geodesic_lightning.models.exact.curve_length import curve_length, resample
from geodesic_lightning.optimizers.semi_implicit import SemiImplicit
from geodesic_lightning.report import clip_report as report
from geodesic_lightning.score.condition import prompts
from geodesic_lightning.score.estimator import Score
from geodesic_lightning.score.fields import NoisePrediction
from geodesic_lightning.solvers.assemble import assemble
from geodesic_lightning.solvers.clip import ClipSolver
from geodesic_lightning.solvers.clip_findings import numbers

pytestmark = [  # what Lightning says of a run without data
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*no `val_dataloader`.*"),
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning"),
]

DENSITIES = ["mixture", "ring", "tube_64"]
FRAMES = 25


def picture(step: int, size: int = 24) -> np.ndarray:
    """A bright square that moves; uint8 (size, size, 3)."""
    image = np.full((size, size, 3), 40 + step % 50, np.uint8)
    image[4:12, 2 + step % 12 : 10 + step % 12] = [230, 200, 10]
    return image


def film(path, count=6, size=24):
    frames = np.stack([picture(i, size) for i in range(count)])
    if path.suffix == ".mp4":
        options = {"codec": "libx264", "macro_block_size": 2, "output_params": ["-crf", "1"]}
        iio.imwrite(path, frames, plugin="FFMPEG", fps=8, **options)
    else:
        first, *rest = [Image.fromarray(f) for f in frames]
        first.save(path, save_all=True, append_images=rest, duration=80, lossless=True)
    return path


def folder(path, count=6, sizes=(24,)):
    path.mkdir()
    for i in range(count):
        Image.fromarray(picture(i, sizes[i % len(sizes)])).save(path / f"frame_{i}.png")
    return path


class TestReading:
    @pytest.mark.parametrize("name", ["film.mp4", "film.gif", "film.webp", "frames"])
    def test_every_kind_gives_its_frames_in_order(self, tmp_path, name):
        path = tmp_path / name
        path = film(path) if path.suffix else folder(path)
        found = clip(path, "a square")
        assert len(found) == 6
        assert found.prompts == ("a square", "a square")
        images = torch.cat(list(found.chunks(24, 4)))
        assert images.shape == (6, 3, 24, 24)
        expected = torch.stack([torch.from_numpy(picture(i)).permute(2, 0, 1) for i in range(6)])
        assert (images - expected / 255).abs().mean() < 0.02

    def test_a_folder_counts_numbers_as_numbers(self, tmp_path):
        path = folder(tmp_path / "frames", 12)
        images = torch.cat(list(clip(path).chunks(24, 5)))
        for i in (1, 2, 9, 10, 11):
            expected = torch.from_numpy(picture(i)).permute(2, 0, 1) / 255
            torch.testing.assert_close(images[i], expected)

    def test_stride_and_range(self, tmp_path):
        path = folder(tmp_path / "frames", 12)
        everything = torch.cat(list(clip(path).chunks(24, 5)))
        found = clip(path, stride=3, range=[1, 11])
        assert list(found.numbers) == [1, 4, 7, 10]
        assert torch.equal(torch.cat(list(found.chunks(24, 3))), everything[1:11:3])

    def test_crop_takes_the_middle_and_stretch_everything(self, tmp_path):
        path = tmp_path / "wide"
        path.mkdir()
        for i in range(3):
            image = np.zeros((16, 48, 3), np.uint8)
            image[:, :16], image[0, 0] = 255, i
            Image.fromarray(image).save(path / f"{i}.png")
        assert next(clip(path).chunks(16, 8)).max() == 0
        assert next(clip(path, resize="stretch").chunks(16, 8)).mean() == pytest.approx(
            1 / 3, abs=0.05
        )

    @pytest.mark.slow
    def test_ten_thousand_frames_are_never_held_at_once(self, tmp_path):
        path = film(tmp_path / "long.mp4", 10_000, 16)
        found = clip(path)
        assert len(found) == 10_000
        sizes = [len(chunk) for chunk in found.chunks(16, 512)]
        assert sum(sizes) == 10_000
        assert max(sizes) == 512

    def test_points(self, tmp_path):
        rows = np.arange(8.0).reshape(4, 2)
        np.save(tmp_path / "p.npy", rows)
        np.savetxt(tmp_path / "p.csv", rows, delimiter=",")
        for name in ("p.npy", "p.csv"):
            assert torch.equal(clip_points(tmp_path / name).points, torch.from_numpy(rows))


class TestRefuses:
    """One sentence that says what was given, and what to do."""

    def test_what_is_not_there(self, tmp_path):
        with pytest.raises(UserError, match="does not exist"):
            clip(tmp_path / "nothing.mp4")

    def test_an_empty_file(self, tmp_path):
        (tmp_path / "empty.mp4").touch()
        with pytest.raises(UserError, match="0 bytes"):
            clip(tmp_path / "empty.mp4")

    def test_an_empty_folder(self, tmp_path):
        with pytest.raises(UserError, match="no pictures"):
            clip(tmp_path)

    @pytest.mark.parametrize("name", ["noise.mp4", "noise.gif", "noise.webp"])
    def test_noise(self, tmp_path, name):
        (tmp_path / name).write_bytes(bytes(range(256)) * 20)
        with pytest.raises(UserError, match="cannot be read as a film"):
            clip(tmp_path / name)

    def test_a_film_cut_off(self, tmp_path):
        path = film(tmp_path / "film.mp4", 60)
        path.write_bytes(path.read_bytes()[:1500])
        with pytest.raises(UserError, match=r"cannot be read|damaged"):
            list(clip(path).chunks(16, 8))

    def test_a_cut_off_gif(self, tmp_path):
        path = film(tmp_path / "film.gif", 30)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(UserError, match=r"cannot be read|damaged|gives"):
            list(clip(path).chunks(16, 8))

    @pytest.mark.parametrize("count", [1, 2])
    def test_too_few_frames(self, tmp_path, count):
        with pytest.raises(UserError, match=rf"gives {count} frame.* at least 3"):
            clip(folder(tmp_path / "frames", count))

    def test_one_picture(self, tmp_path):
        Image.fromarray(picture(0)).save(tmp_path / "one.png")
        with pytest.raises(UserError, match="gives 1 frame "):
            clip(tmp_path / "one.png")

    def test_changing_sizes(self, tmp_path):
        found = clip(folder(tmp_path / "frames", 4, (24, 24, 32)))
        with pytest.raises(UserError, match=r"frame 2 is 32×32 px, the first one 24×24"):
            list(found.chunks(16, 8))

    @pytest.mark.parametrize("given", [[3], [4, 2], [-1, 4], [0, 99]])
    def test_ranges(self, tmp_path, given):
        path = folder(tmp_path / "frames")
        with pytest.raises(UserError, match=r"data\.range"):
            clip(path, range=given)

    def test_settings(self, tmp_path):
        path = folder(tmp_path / "frames")
        with pytest.raises(UserError, match="crop, pad, stretch"):
            clip(path, fit="squash")
        with pytest.raises(UserError, match=r"data\.stride"):
            clip(path, stride=0)

    def test_an_unknown_shipped_clip(self):
        with pytest.raises(UserError, match="Got the clip 'no'"):
            shipped_clip("no")

    @pytest.mark.parametrize("text", ["a,b\nc,d\ne,f\n", "1,2\n3,4\n", "1,2\n3,nan\n5,6\n"])
    def test_tables(self, tmp_path, text):
        (tmp_path / "p.csv").write_text(text)
        with pytest.raises(UserError, match=r"data\.path"):
            clip_points(tmp_path / "p.csv")


@pytest.mark.parametrize("name", ["constant_score", "mixture in 3-D", "mixture on a sphere"])
def test_bend_cancels_pull_on_a_geodesic_however_it_is_sampled(name):
    """On an integrated geodesic the residual goes to zero as frames grow dense, evenly or not."""
    known = smooth_shots()[name]
    problem, worst = known.problem, []
    for count in (33, 65):
        u = torch.linspace(0, 1, count, dtype=torch.float64)
        for places in (u, u + 0.1 * torch.sin(2 * torch.pi * u)):
            points = known.at(512)[(512 * places).round().long()]
            found = departure.departure(
                points, problem.score(points), problem.alpha, problem.manifold
            )
            inner = slice(3, -3)  # a spline's second derivative is poor at its ends
            worst.append(float((found.residual / (found.bend + found.pull))[inner].max()))
    assert max(worst[2:]) < 0.02


def test_bend_is_that_of_a_circle_and_points_inwards():
    angle = torch.linspace(0, 2, 41, dtype=torch.float64) ** 1.3
    points = 3 * torch.stack([angle.cos(), angle.sin()], -1)
    found = departure.departure(points, -points, 0.0, FLAT)
    torch.testing.assert_close(
        found.bend[3:-3], torch.full((33,), 1 / 3).double(), rtol=2e-3, atol=0
    )
    # −γ'' points away from the centre, this density's pull towards it.
    assert torch.rad2deg(found.angle).min() > 179


def test_windows_change_nothing(monkeypatch):
    known = smooth_shots()["mixture in 3-D"]
    problem, points = known.problem, known.at(200)
    scores = problem.score(points)
    arguments = (points, scores, problem.alpha, problem.manifold)
    whole, measured = departure.departure(*arguments), quadrature.measure(*arguments)
    monkeypatch.setattr(departure, "WINDOW", 40)
    windows = departure.windows
    monkeypatch.setattr(departure, "windows", lambda count: windows(count, 40))
    split, parts = departure.departure(*arguments), departure.measure(*arguments)
    for key in ("bend", "pull", "residual", "steps"):
        torch.testing.assert_close(getattr(split, key), getattr(whole, key), rtol=1e-6, atol=1e-8)
    assert parts.length == pytest.approx(measured.length, rel=1e-7)
    assert parts.energy == pytest.approx(measured.energy, rel=1e-5)
    torch.testing.assert_close(parts.log_density, measured.log_density, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(parts.metric_speed, measured.metric_speed, rtol=1e-3, atol=1e-6)
    assert len(parts.turning) + 4 >= len(measured.turning)


def uneven(u):
    """Places that dawdle in the first half."""
    return u**2


@cache
def known_clip(name: str, kind: str) -> torch.Tensor:
    """Points of a clip whose answer is known: along the known geodesic, or round a detour."""
    model = ExactModel(name)
    dense = resample(model.density, reference(name).nodes, 2001)
    u = torch.linspace(0, 1, FRAMES, dtype=torch.float64)
    points = dense[(2000 * (uneven(u) if kind == "uneven" else u)).round().long()]
    if kind == "detour":
        chord = dense[-1] - dense[0]
        aside = torch.zeros_like(chord)
        aside[:2] = torch.stack([-chord[1], chord[0]])
        aside = aside / aside.norm() * 0.25 * chord.norm()
        points = points + torch.exp(-(((u - 0.6) / 0.08) ** 2))[:, None] * aside
        points[0], points[-1] = dense[0], dense[-1]
    return points


@cache
def analysed(name: str, kind: str):
    return analysis(name, known_clip(name, kind))


def analysis(name: str, points: torch.Tensor):
    """The solver after validation, and the numbers of its report."""
    model = ExactModel(name)
    frames = Frames(None, ("",) * len(points), points=points)
    solver = assemble(
        model,
        frames,
        partial(ClipSolver, optimizer=SemiImplicit),
        partial(Score, field=NoisePrediction()),
        prompts,
    )
    trainer = L.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.validate(solver, dataloaders=[0], verbose=False)
    return solver, numbers(solver)


@pytest.mark.parametrize("name", DENSITIES)
class TestTellsApart:
    def test_a_geodesic_is_near_one(self, name):
        _, said = analysed(name, "even")
        assert said["verdict"] == "near"
        assert abs(said["excess"]) < 0.01
        assert said["departs_most_by"] < 0.02
        assert said["imbalance"] < 0.25
        assert said["angle_median_degrees"] < 15
        assert "near a geodesic" in report.paragraph(said)

    def test_pace_is_not_shape(self, name):
        _, even = analysed(name, "even")
        _, said = analysed(name, "uneven")
        assert said["verdict"] == "near"
        assert abs(said["excess"]) < 0.02
        assert said["pace_spread"] > even["pace_spread"] + 0.2
        assert "uneven" in report.paragraph(said)

    def test_a_detour_is_found_where_it_is(self, name):
        _, said = analysed(name, "detour")
        assert said["verdict"] != "near"
        assert said["excess"] > 0.05
        assert said["imbalance"] > 0.4
        assert abs(said["departs_most_at"] / (FRAMES - 1) - 0.6) < 0.1
        assert "departs most at frame" in report.paragraph(said)

    def test_lengths_are_those_of_the_exact_density(self, name):
        solver, said = analysed(name, "even")
        exact = curve_length(ExactModel(name).density, known_clip(name, "even"))
        assert said["length"] == pytest.approx(exact, rel=0.01)
        assert said["lengths"]["geodesic"] == pytest.approx(reference(name).length, rel=0.01)
        assert said["lengths"]["lerp"] == pytest.approx(reference(name).length_start, rel=0.05)
        assert [k for k, _ in solver.named_parameters()] == ["path.nodes"]


def test_thousands_of_frames_say_what_few_do():
    points = resample(ExactModel("mixture").density, reference("mixture").nodes, 3001)
    solver, said = analysis("mixture", points)
    _, few = analysed("mixture", "even")
    assert said["length"] == pytest.approx(few["length"], rel=1e-3)
    assert said["imbalance"] < 0.01
    assert len(said["residual"]) == 2999
    assert len(solver.frames(3)) == 3


def test_the_report_is_one_page_with_three_plots_and_the_numbers(tmp_path):
    solver, said = analysed("mixture", "detour")
    file = report.write(solver.summary(), tmp_path)
    text = file.read_text(encoding="utf-8")
    assert report.paragraph(said) in text
    plots = sorted(tmp_path.glob("*.png"))
    assert [p.name for p in plots] == [f"report_{n}.png" for n in ("angles", "bends", "density")]
    assert all(p.name in text for p in plots)
    summary = solver.summary()["clip"]
    assert summary["length_over"] == said["length_over"]
    json.dumps(summary)


def test_repeated_frames_are_left_out():
    points = known_clip("mixture", "even").repeat_interleave(2, 0)
    frames = Frames(None, ("",) * len(points), points=points)
    score = partial(Score, field=NoisePrediction())
    solver = assemble(ExactModel("mixture"), frames, ClipSolver, score, prompts)
    assert solver.path.segments == FRAMES - 1
    assert solver.numbers[1] == 2


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (torch.ones(5, 2), "same picture"),
        (torch.tensor([[0.0, 0], [1, 1], [0, 0]]), "where it began"),
    ],
)
def test_clips_without_a_way_are_refused(points, message):
    frames = Frames(None, ("",) * len(points), points=points.double())
    with pytest.raises(UserError, match=message):
        assemble(
            ExactModel("mixture"),
            frames,
            ClipSolver,
            partial(Score, field=NoisePrediction()),
            prompts,
        )


def test_from_python(tmp_path):
    """The same analysis in one call, on a tiny film and a model that sees two of its numbers."""

    class Plane(ExactModel):
        image_size = 24

        def encode(self, frames):
            return frames.at(24).images.flatten(2).mean(-1)[:, :2].double() * 4

    found = analyse(
        film(tmp_path / "film.gif", 9), model=Plane("gaussian"), device="cpu", frames=3, segments=4
    )
    assert found.summary["clip"]["verdict"] in ("near", "roughly", "not")
    assert len(found.nodes) == 9
    assert len(found.frames) == 3
