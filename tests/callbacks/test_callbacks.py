"""Callbacks around a real Trainer and a small honest solver: they write, and change nothing."""

from __future__ import annotations

import gc
import io
import json
import random
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import imageio.v3 as iio
import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from PIL import Image
from rich.console import Console
from safetensors import safe_open
from torch import nn
from torch.utils.data import DataLoader

from geodesic_lightning import callbacks
from geodesic_lightning.errors import UserError
from geodesic_lightning.solvers.stages import Stages
from geodesic_lightning.tracking.wandb_logger import WandB

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning"),
]


class PiecewisePath(nn.Module):
    """A chain of N pieces between (0, 0) and (1, 0): its interior nodes are the parameter."""

    def __init__(self, segments: int) -> None:
        super().__init__()
        u = torch.linspace(0, 1, segments + 1)
        self.register_buffer("u", u, persistent=False)
        self.register_buffer("start", torch.tensor([0.0, 0.0]))
        self.register_buffer("end", torch.tensor([1.0, 0.0]))
        self.nodes = nn.Parameter(torch.stack([u, 4 * u * (1 - u)], dim=-1)[1:-1])

    def points(self) -> torch.Tensor:
        return torch.cat([self.start[None], self.nodes.detach(), self.end[None]])


class Relaxation(lightning.pytorch.LightningModule):
    """A parabola relaxes to the straight line between its ends under a noisy curve shortening.

    Both solving and decoding draw from the global random state, so that a callback that disturbs
    it would show in the nodes.
    """

    def __init__(self, segments: int = 8, fail_at: int = 0) -> None:
        super().__init__()
        self.path = PiecewisePath(segments)
        self.problem = SimpleNamespace(alpha=1.0)
        self.report: dict[str, float] = {}
        self.fail_at = fail_at
        self.decoded, self.affords = 0, True
        self.frame_count = segments + 1
        self.stages = Stages()
        self._shown: tuple[torch.Tensor, torch.Tensor] | None = None

    def energy(self) -> torch.Tensor:
        points = torch.cat([self.path.start[None], self.path.nodes, self.path.end[None]])
        return (points.diff(dim=0) ** 2).sum() / 2

    def length(self) -> float:
        return float(self.path.points().diff(dim=0).norm(dim=-1).sum())

    def training_step(self, batch: object, index: int) -> torch.Tensor:
        self.report = {
            "length": self.length(),
            "level": 1.0,
            "score_evaluations": float((self.global_step + 1) * len(self.path.nodes)),
        }
        self.log_dict({f"path/{name}": value for name, value in self.report.items()}, batch_size=1)
        if self.fail_at and self.global_step == self.fail_at:
            with torch.no_grad():
                self.path.nodes.fill_(float("nan"))
            raise ArithmeticError("the score is NaN")
        noise = 1e-3 * torch.randn_like(self.path.nodes) + 1e-4 * random.random()
        return self.energy() + (self.path.nodes * (noise + 1e-4 * np.random.rand())).sum()  # noqa: NPY002

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD([self.path.nodes], lr=0.3)

    def train_dataloader(self) -> DataLoader:
        return DataLoader([0] * 4, batch_size=None)

    def validation_step(self, batch: object, index: int) -> None:
        self.log("final/length", self.length(), batch_size=1)

    def val_dataloader(self) -> DataLoader:
        return DataLoader([0], batch_size=None)

    @torch.inference_mode()
    def frames(self, count: int | None = None) -> torch.Tensor:
        """Discs at the nodes' heights, 24×32 px, with the grain of a random state it disturbs."""
        points = self.path.points()
        if count is not None:
            points = points[torch.linspace(0, len(points) - 1, count).round().long()]
        if self._shown is not None and torch.equal(self._shown[0], points):
            return self._shown[1]
        self.decoded += 1
        random.random(), np.random.rand(), torch.rand(3)  # noqa: NPY002
        y, x = torch.meshgrid(torch.linspace(1, 0, 24), torch.linspace(0, 1, 32), indexing="ij")
        far = torch.stack([((x - a) ** 2 + (y - b) ** 2).sqrt() for a, b in points])
        images = (4 * far).clamp(0, 1)[:, None].expand(-1, 3, -1, -1)
        self._shown = (points.clone(), images)
        return images

    def start_film(self, count: int | None = None, most: int = 9) -> torch.Tensor | None:
        return self.frames(count) if count else self.sketch(most)

    def sketch(self, most: int = 9) -> torch.Tensor | None:
        return self.frames(most) if self.affords else None

    def summary(self) -> dict:
        return {
            "solver": "relaxation",
            "model": "parabola",
            "segments": len(self.path.nodes) + 1,
            "length": self.length(),
            "length_start": 2.323,
            "log_density": [0.0, 1.0, 2.0],
            "log_density_start": [0.0, -3.0, 0.0],
            "score_evaluations": 12345,
            "seconds": {"load": 1.0, "solve": 2.5},
        }


def everything(folder: Path) -> list[lightning.pytorch.Callback]:
    run = str(folder)
    return [
        callbacks.Progress(Console(file=io.StringIO(), force_terminal=True)),
        callbacks.DecodeEvery(every_n_steps=2, folder=run),
        callbacks.Video(folder=run),
        callbacks.Strip(folder=run),
        callbacks.FrameImages(folder=run),
        callbacks.SavePath(folder=run),
        callbacks.Table(folder=run),
    ]


def trainer(observers: list, steps: int = 5, logger=False) -> lightning.pytorch.Trainer:
    return lightning.pytorch.Trainer(
        accelerator="cpu",
        max_steps=steps,
        max_epochs=-1,
        callbacks=observers,
        logger=logger,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
    )


def run(observers: list, *, steps: int = 5, logger=False, validate=True, **solver) -> Relaxation:
    """Fit and validate under one seed."""
    lightning.seed_everything(7, verbose=False)
    module, runner = Relaxation(**solver), trainer(observers, steps, logger)
    runner.fit(module)
    if validate:
        runner.validate(module, verbose=False)
    return module


def film(path: Path) -> np.ndarray:
    """Frames (n, H, W, 3); imageio's reader leaves its pipes to the collector."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        frames = iio.imread(path, plugin="FFMPEG")
        gc.collect()
    return frames


def files(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def test_everything_is_written_and_decoded_once(tmp_path, capsys):
    module = run(everything(tmp_path))
    assert files(tmp_path) == sorted(
        [
            *(f"frames/{i:02d}.png" for i in range(9)),
            "path.safetensors",
            "strip.png",
            "video.mp4",
            *(f"videos/step_{step:04d}.mp4" for step in (0, 2, 4)),
        ]
    )
    assert module.decoded == 4  # steps 0, 2, 4 and the solved path: one for all final callbacks
    for name in ("video.mp4", "videos/step_0000.mp4", "videos/step_0004.mp4"):
        frames = film(tmp_path / name)
        assert frames.shape == (9, 264, 352, 3)
    for name, size in (("strip.png", (9 * 32 + 8 * 2, 24)), ("frames/08.png", (32, 24))):
        with Image.open(tmp_path / name) as image:
            assert image.size == size
    assert "length" in capsys.readouterr().out


def test_the_nodes_are_the_same_with_all_callbacks_and_with_none(tmp_path):
    logged = {}
    nodes = {}
    states = {}
    for name, observers in (("all", everything(tmp_path)), ("none", [])):
        logger = CSVLogger(tmp_path / name, name="", version="")
        module = run(observers, steps=9, logger=logger)
        nodes[name] = module.path.nodes.detach()
        logged[name] = (tmp_path / name / "metrics.csv").read_text()
        states[name] = (random.random(), np.random.rand(), torch.rand(()))  # noqa: NPY002
    assert torch.equal(nodes["all"], nodes["none"])
    assert logged["all"] == logged["none"]
    assert states["all"] == states["none"]


def test_the_intermediate_films_show_the_path_of_their_step(tmp_path):
    run([callbacks.DecodeEvery(every_n_steps=1, folder=str(tmp_path), fps=6)], steps=3)
    first, last = (film(tmp_path / "videos" / f"step_{step:04d}.mp4") for step in (0, 3))
    # The dark disc of the middle frame starts at the top and sinks.
    heights = [int(frames[4].mean(axis=(1, 2)).argmin()) for frames in (first, last)]
    assert heights[0] < heights[1]


def test_a_cheaper_film_has_fewer_frames(tmp_path):
    run([callbacks.DecodeEvery(every_n_steps=5, folder=str(tmp_path), count=3)])
    assert len(film(tmp_path / "videos" / "step_0005.mp4")) == 3


def test_by_default_films_on_the_way_are_those_that_cost_next_to_nothing(tmp_path):
    """Every tenth step, where the solver affords one."""

    class Dear(lightning.pytorch.Callback):
        def on_train_batch_start(self, trainer, module, *_):
            module.affords = trainer.global_step < 15

    run([callbacks.DecodeEvery(folder=str(tmp_path), count=3), Dear()], steps=20)
    assert files(tmp_path) == ["videos/step_0000.mp4", "videos/step_0010.mp4"]
    assert len(film(tmp_path / "videos" / "step_0010.mp4")) == 3


def test_decode_every_zero_steps_is_refused(tmp_path):
    with pytest.raises(UserError, match="every_n_steps = 0, expected at least 1"):
        callbacks.DecodeEvery(every_n_steps=0, folder=str(tmp_path))


def test_validation_inside_a_fit_is_not_the_end(tmp_path):
    run(everything(tmp_path), validate=False)  # sanity check and one validation an epoch
    assert all(name.startswith("videos/") for name in files(tmp_path))


def test_the_path_file_holds_the_solved_nodes(tmp_path):
    module = run([callbacks.SavePath(folder=str(tmp_path))])
    with safe_open(tmp_path / "path.safetensors", framework="pt") as file:
        assert torch.equal(file.get_tensor("nodes"), module.path.nodes)
        assert torch.equal(file.get_tensor("u"), torch.linspace(0, 1, 9))
        assert file.get_tensor("ends").tolist() == [[0.0, 0.0], [1.0, 0.0]]
        assert file.metadata() == {"step": "5", "finished": "true", "alpha": "1.0"}


def test_a_failure_keeps_the_last_good_nodes(tmp_path):
    expected = run([], steps=3, validate=False)
    with pytest.raises(ArithmeticError, match="the score is NaN"):
        run(everything(tmp_path), steps=9, fail_at=3)
    with safe_open(tmp_path / "path.safetensors", framework="pt") as file:
        assert torch.equal(file.get_tensor("nodes"), expected.path.nodes)
        assert file.metadata() == {"step": "3", "finished": "false", "alpha": "1.0"}


def test_a_failure_before_the_first_step_writes_no_path(tmp_path):
    class Failing(Relaxation):
        def on_train_start(self) -> None:
            raise ArithmeticError("at once")

    runner = trainer([callbacks.SavePath(folder=str(tmp_path))])
    with pytest.raises(ArithmeticError, match="at once"):
        runner.fit(Failing())
    assert files(tmp_path) == []


def test_a_failure_to_save_does_not_hide_the_failure(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ArithmeticError, match="the score is NaN"):
        run([callbacks.SavePath(folder=str(tmp_path / "file"))], fail_at=2)


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written"):
        run([callbacks.DecodeEvery(every_n_steps=2, folder=str(tmp_path / "file"))])


def test_the_table_says_what_was_found(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "a"
    run([callbacks.Video(folder=str(folder)), callbacks.Table(folder=str(folder))])
    said = capsys.readouterr().out
    for text in (
        "relaxation",
        "parabola",
        "segments",
        "2.323 → ",
        "mean +1 nats, +2 against the first path",
        "12,345",
        "load 1.0, solve 2.5",
        "\nruns/a/video.mp4\n",
    ):
        assert text in said
    assert "\x1b" not in said


def test_the_table_leaves_out_what_is_not_known(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Relaxation, "summary", lambda self: {"solver": "slerp", "log_density": []})
    run([callbacks.Table(folder=str(tmp_path))])
    assert capsys.readouterr().out.split() == ["solver", "slerp"]


def test_the_progress_line_shows_steps_length_and_evaluations():
    screen = io.StringIO()
    run([callbacks.Progress(Console(file=screen, force_terminal=True, width=120))])
    assert "step 4 · level 1 · length " in screen.getvalue()
    assert "28 evaluations" in screen.getvalue()


def test_the_progress_line_works_without_a_limit_of_steps():
    class Stop(lightning.pytorch.Callback):
        def on_train_batch_end(self, trainer, *_):
            trainer.should_stop = trainer.global_step >= 3

    screen = io.StringIO()
    run(
        [callbacks.Progress(Console(file=screen, force_terminal=True, width=120)), Stop()], steps=-1
    )
    assert "step 0" in screen.getvalue()


def test_the_progress_line_is_silent_without_a_terminal(capsys):
    run([callbacks.Progress()])
    assert capsys.readouterr().out == ""


def test_an_offline_wandb_run_holds_the_films(tmp_path):
    import wandb

    try:
        run(everything(tmp_path / "run"), logger=WandB(save_dir=str(tmp_path / "run")))
    finally:
        wandb.finish()
    (folder,) = (tmp_path / "run" / "wandb").glob("offline-run-*")
    media = folder / "files" / "media"
    assert len(list((media / "videos" / "video").glob("path_*.mp4"))) == 3
    assert len(list((media / "videos" / "video").glob("final_*.mp4"))) == 1
    assert len(list((media / "images" / "image").glob("strip_*.png"))) == 1
    inspect = [sys.executable, "-m", "wandb", "leet", "inspect", "--summary", "--json", str(folder)]
    found = subprocess.run(inspect, capture_output=True, text=True, check=False, timeout=300)
    assert found.returncode == 0, found.stderr
    text = json.dumps(json.loads(found.stdout))
    for key in ("video/path", "video/final", "image/strip", "path/length", "final/length"):
        assert key in text


def test_picture_of_an_exact_density(geodesic):
    """A known density is drawn under its path; `geodesic` runs the command line in process."""
    outcome = geodesic("model=exact", "model.density=ring", "callbacks=log", "logger=none")
    assert outcome.code == 0, outcome.err
    pixels = np.asarray(Image.open(outcome.folder / "picture.png").convert("RGB"))
    assert pixels.shape == (512, 512, 3)
    assert pixels.std() > 20  # a picture, not a blank
