"""What the user gets wrong: one sentence on standard error, exit code 1, nothing overwritten."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

FAST = ("model=exact", "callbacks=none", "logger=none")

SETTINGS = {
    "unknown choice": (["model=nope"], "model: got 'nope', expected one of "),
    "unknown group": (["modle=exact"], "No setting modle, expected one of callbacks, condition"),
    "unknown setting": (["solver.segmentz=3"], "solver.segmentz, expected one of alpha, frames"),
    "added setting": (["+solver.foo=1"], "No setting solver.foo, expected one of alpha"),
    "unknown experiment": (
        ["experiment=nope"],
        "experiment: got 'nope', expected one of alpha, clip",
    ),
    "word for a number": (["solver.segments=abc"], "solver.segments: got 'abc', expected a whole"),
    "part of a node": (
        ["solver.segments=2.5"],
        "solver.segments: got 2.5, expected a whole number",
    ),
    "null": (["solver.segments=null"], "solver.segments: got null, expected a whole number"),
    "truth for a number": (["solver.alpha=true"], "got True, expected a number or null"),
    "number for a list": (["score.timestep_range=7"], "expected two whole numbers like"),
    "word in a list": (
        ["data=points", "data.start=[0,a]"],
        "data.start[1]: got 'a', expected a number",
    ),
    "callback's setting": (["callbacks.video.fps=abc"], "callbacks.video.fps: got 'abc'"),
    "field's setting": (
        ["score.field.guidance=abc"],
        "score.field.guidance: got 'abc', expected a n",
    ),
    "logger's setting": (["logger.csv.nam=x"], "logger.csv.nam, expected one of name, save_dir"),
    "mandatory": (["data=pair"], "data.start is not set: give data.start="),
    "no group": (["~solver"], "solver is not set"),
    "null group": (["solver=null"], "write group=choice"),
    "malformed": (["data.start=[1,"], "Cannot read 'data.start=[1,'"),
    "a group's list": (["manifold=[1,2]"], "A group got something that is not a name"),
    "a group's lists": (["trainer=[[1]]"], "A group got something that is not a name"),
    "text for a part": (["score.field=x"], "score.field: got 'x', expected the settings of a part"),
    "no part": (["metrics=default", "metrics.perceptual=null"], "metrics.perceptual: got null"),
    "number for a file": (
        ["model=sd2", "model.lora=1e-3"],
        "model.lora: got 0.001, expected a file",
    ),
    "numbers for files": (["model=sd2", "model.pretrained=[7]"], "model.pretrained: got [7]"),
    "no value": (["foo"], "Cannot read 'foo': write group=choice or group.setting=value"),
    "several values": (["model=exact,sd2"], "gives several values: add -m to run them all"),
    "twice": (["+data=pair_ears"], "data is chosen already"),
    "interpolation": (["model.name=${nope}"], "model.name: Interpolation key 'nope' not found"),
    "Hydra's own": (["hydra.run.dirr=x"], "No setting hydra.run.dirr, expected one of dir"),
}

VALUES = {
    "segments": (["solver.segments=1"], "solver.segments: got 1, expected at least 2"),
    "frames": (["solver.frames=1"], "solver.frames: got 1, expected at least 2"),
    "alpha": (["solver.alpha=-1"], "solver.alpha: got -1.0, expected a number of at least 0"),
    "tolerance": (
        ["optimizer.tolerance=0"],
        "optimizer.tolerance: got 0.0, expected a number above",
    ),
    "mode": (["optimizer.mode=x"], "optimizer.mode: got 'x', expected one of auto"),
    "power of two": (["optimizer=paper", "solver.segments=12"], "takes a power of two"),
    "rate": (["optimizer=adam", "optimizer.lr=-1"], "optimizer.lr: got -1.0, expected"),
    "level 0": (["scheduler.noise_level=0"], "scheduler.noise_level: got 0.0"),
    "level above 1": (["scheduler.noise_level=1.1"], "scheduler.noise_level: got 1.1"),
    "steps": (["scheduler.steps=0"], "scheduler.steps: got 0, expected 1 to 1000"),
    "sampler": (["scheduler.sampler=x"], "scheduler.sampler: got 'x', expected one of"),
    "grid": (["scheduler.grid=x"], "scheduler.grid: got 'x', expected one of"),
    "order": (["scheduler.order=4"], "scheduler.order: got 4, expected 2 or 3"),
    "samples": (["score.samples=0"], "score.samples: got 0, expected at least 1"),
    "weighting": (["score.weighting=x"], "score.weighting: got 'x', expected one of uniform"),
    "range": (["score.timestep_range=[3,1]"], "score.timestep_range: got [3, 1]"),
    "range of three": (["score.timestep_range=[1,2,3]"], "expected two numbers"),
    "interpolation": (["condition.interpolation=x"], "condition.interpolation: got 'x'"),
    "inversion's steps": (
        ["condition=textual_inversion", "condition.steps=-1"],
        "condition.steps: got -1, expected at least 0",
    ),
    "radius": (["manifold=sphere", "manifold.radius=-1"], "got -1.0"),
    "film": (["callbacks=default", "callbacks.video.fps=0"], "fps: got 0.0, expected a number"),
    "interval": (["callbacks=default", "callbacks.decode.every_n_steps=0"], "every_n_steps = 0"),
    "accelerator": (["trainer.accelerator=nope"], "trainer: You selected an invalid accelerator"),
    "resume": (["resume=nowhere"], "resume: nowhere does not exist"),
}


@pytest.fixture
def no_model(monkeypatch):
    """Loading a network fails the test: what is wrong has to be told before."""

    def load(*args, **options):
        pytest.fail("the model was loaded before the error was told")

    monkeypatch.setattr("geodesic_lightning.models.diffusion.embedded", load)


def one_sentence(outcome, words: str) -> None:
    """One line that contains the words; no traceback, no run."""
    assert outcome.code == 1
    lines = outcome.err.strip().splitlines()
    assert len(lines) == 1, outcome.err
    assert lines[0].startswith("Error: ")
    assert words in lines[0]
    assert not (outcome.folder / "summary.json").exists()


@pytest.mark.parametrize(("overrides", "words"), SETTINGS.values(), ids=SETTINGS)
def test_setting(geodesic, no_model, overrides, words):
    one_sentence(geodesic(*overrides), words)


@pytest.mark.parametrize(("overrides", "words"), VALUES.values(), ids=VALUES)
def test_value_out_of_range_is_told_before_a_model_is_loaded(geodesic, no_model, overrides, words):
    one_sentence(
        geodesic(
            "logger=none",
            *([] if "callbacks=default" in overrides else ["callbacks=none"]),
            *overrides,
        ),
        words,
    )


def picture(path: Path, seed: int = 0, size: tuple[int, int] = (32, 32)) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def missing(folder: Path) -> Path:
    return folder / "missing.png"


def empty(folder: Path) -> Path:
    (folder / "empty.png").touch()
    return folder / "empty.png"


def text(folder: Path) -> Path:
    (folder / "text.png").write_text("not a picture")
    return folder / "text.png"


def broken(folder: Path) -> Path:
    whole = picture(folder / "broken.png").read_bytes()
    (folder / "broken.png").write_bytes(whole[: len(whole) // 2])
    return folder / "broken.png"


def pixel(folder: Path) -> Path:
    return picture(folder / "pixel.png", size=(1, 1))


def huge(folder: Path) -> Path:
    Image.new("1", (20_000, 20_000)).save(folder / "huge.png")
    return folder / "huge.png"


def identical(folder: Path) -> Path:
    return picture(folder / "other.png", seed=0)


IMAGES = {
    missing: "does not exist",
    (lambda folder: folder): "is a folder, expected an image file",
    empty: "is empty (0 bytes)",
    text: "is not an image that can be read",
    broken: "is damaged and cannot be decoded",
    pixel: "is 1×1 px, expected at least",
    huge: "has too many pixels",
    identical: "are the same picture",
}


@pytest.mark.parametrize(
    ("make", "words"), IMAGES.items(), ids=lambda p: getattr(p, "__name__", "")
)
def test_image_is_told_before_a_model_is_loaded(geodesic, no_model, tmp_path, make, words):
    start, end = picture(tmp_path / "good.png"), make(tmp_path)
    one_sentence(geodesic("data=pair", f"data.start={start}", f"data.end={end}"), words)


def test_prompt_longer_than_the_tokenizer(geodesic, tiny_sd2):
    prompt = " ".join(["cat"] * 100)
    pair = ("data=pair_cat", f"model.pretrained={tiny_sd2}", "model=sd2")
    outcome = geodesic(*pair[1:], *images_of_shipped_pair(), f"data.prompt_start={prompt}")
    one_sentence(outcome, "shorten it")


def images_of_shipped_pair() -> list[str]:
    from geodesic_lightning.data.frames import SHIPPED

    ends = {end: SHIPPED / f"pair_cat_{end}.png" for end in ("start", "end")}
    return ["data=pair", *(f"data.{end}={path}" for end, path in ends.items())]


def test_weights_that_are_nowhere(geodesic):
    outcome = geodesic("model=sd2", "model.pretrained=/nowhere")
    one_sentence(outcome, "Give model.pretrained=")


def test_weights_of_nan(geodesic, tiny_sd2, tmp_path):
    import shutil

    folder = shutil.copytree(tiny_sd2, tmp_path / "nan")
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    save_file({name: value * float("nan") for name, value in load_file(file).items()}, file)
    outcome = geodesic("model=sd2", f"model.pretrained={folder}", "solver.alpha=0.01")
    one_sentence(outcome, "not finite")


def test_score_that_is_not_a_number_keeps_the_last_good_nodes(geodesic, monkeypatch):
    from geodesic_lightning.models.exact import ExactModel

    true, calls = ExactModel.noise_prediction, []

    def fails_later(self, x, t, embedding):
        calls.append(len(x))
        return true(self, x, t, embedding) * (float("nan") if sum(calls) > 60 else 1)

    monkeypatch.setattr(ExactModel, "noise_prediction", fails_later)
    outcome = geodesic("model=exact", "callbacks=log", "logger=none")
    one_sentence(outcome, "NaN or infinite")
    assert load_file(outcome.folder / "path.safetensors")["nodes"].isfinite().all()


def test_antipodal_ends(geodesic):
    from geodesic_lightning.models.exact import ExactModel

    start = ExactModel("sphere_cloud").density.ends[0]
    ends = [
        f"data.{end}={[float(v) for v in sign * start]}"
        for end, sign in (("start", 1), ("end", -1))
    ]
    outcome = geodesic(*FAST, "model.density=sphere_cloud", "data=points", *ends)
    one_sentence(outcome, "antipodal")


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        (("[1,2]", "[1]"), "expected as many for both"),
        (("[1,2]", "[1,2]"), "expected two different points"),
        (("[nan,2]", "[1,2]"), "finite number"),
        (("[1,2,3]", "[1,2,4]"), "expected (n, 2)"),
    ],
)
def test_points(geodesic, ends, words):
    given = [f"data.{name}={value}" for name, value in zip(("start", "end"), ends)]
    one_sentence(geodesic(*FAST, "data=points", *given), words)


def test_points_for_a_model_of_images(geodesic, tiny_sd2):
    given = ("data=points", "data.start=[1.0,2.0]", "data.end=[2.0,1.0]")
    outcome = geodesic("model=sd2", f"model.pretrained={tiny_sd2}", *given)
    one_sentence(outcome, "needs images, got points")


BYTES = "a\udcff"  # how Python has a byte that is no UTF-8


@pytest.mark.parametrize(
    "words",
    [
        ("data=pair", f"data.start={BYTES}.png", "data.end=b.png"),
        ("data=clip", f"data.path={BYTES}.mp4"),
        ("data=collection", f"data.root={BYTES}"),
        ("data=prompts", f"data.prompt_start={BYTES}", "data.prompt_end=a cat"),
        ("model=exact", f"hydra.run.dir={BYTES}"),
        ("-m", "model=exact", f"hydra.sweep.dir={BYTES}"),
        ("distance", f"{BYTES}.png", "b.png"),
    ],
    ids=lambda words: words[-1] if words[0] == "-m" else words[1].split("=")[0],
)
def test_bytes_that_are_no_text_are_told_before_anything_is_done(geodesic, no_model, words):
    outcome = geodesic(*words)
    one_sentence(outcome, "which is not all text (bytes that are no UTF-8, or half a character)")
    assert not list(Path.cwd().iterdir())


def test_a_folder_whose_name_is_no_text(geodesic, tmp_path, monkeypatch):
    (tmp_path / BYTES).mkdir()
    monkeypatch.chdir(tmp_path / BYTES)
    one_sentence(geodesic(*FAST), "The present folder: got '")
    assert not list(Path.cwd().iterdir())


def test_files_of_a_folder_may_have_any_name(geodesic, tmp_path, tiny_sd2):
    """Nobody typed these names: the run goes to its end, and its files say them by numbers."""
    for seed in range(2):
        picture(tmp_path / f"{seed}\udcff.png", seed)
    small = ("solver.segments=3", "solver.frames=3", "scheduler.steps=3", "trainer.max_steps=1")
    outcome = geodesic(
        *("data=keyframes", f"data.images={tmp_path}/*.png", "model=sd2", *small),
        *(f"model.pretrained={tiny_sd2}", "solver.alpha=0.001", "logger=csv"),
    )
    assert outcome.code == 0, outcome.err
    json.loads((outcome.folder / "summary.json").read_text(encoding="utf-8"))
    distances = geodesic(
        *("distance", str(tmp_path), "model=sd2", f"model.pretrained={tiny_sd2}"),
        *("solver.alpha=0.001", "solver.segments=3", "scheduler.steps=3", "folder=apart"),
    )
    assert distances.code == 0, distances.err
    said = json.loads(Path("apart/distance.json").read_text(encoding="utf-8"))
    assert [Path(file).is_file() for file in said["files"]] == [True, True]


def test_names_are_meant_from_where_they_were_typed(geodesic):
    picture(Path("a.png"))
    (Path.cwd() / "b.png").write_text("not a picture")
    files = ("data=pair", "data.start=a.png", "data.end=b.png")
    one_sentence(geodesic(*files, "hydra.job.chdir=true"), "b.png is not an image")
    run = geodesic(*FAST, "hydra.job.chdir=true", "hydra.run.dir=there")
    assert run.code == 0, run.err
    assert (run.folder / "summary.json").exists()
    assert Path.cwd() == run.folder.parent


@pytest.mark.parametrize("setting", ["hydra.run.dir", "folder"])
def test_folder_that_cannot_be_written(geodesic, tmp_path, setting):
    (tmp_path / "file").write_text("here")
    outcome = geodesic("model=exact", f"{setting}={tmp_path / 'file' / 'run'}")
    one_sentence(outcome, "cannot be")
    assert (tmp_path / "file").read_text() == "here"


def test_folder_that_holds_a_run_stays_as_it_is(geodesic):
    first = geodesic(*FAST, "seed=1")
    before = contents(first.folder)
    again = geodesic(*FAST, "seed=2")
    assert again.code == 1
    assert "already holds a run" in again.err
    assert contents(first.folder) == before


def test_folder_of_a_sweep_stays_as_it_is(geodesic):
    sweep = ("-m", *FAST, "model.density=ring,gaussian", "hydra.sweep.dir=sweep")
    assert geodesic(*sweep).code == 0
    before = contents(Path("sweep"))
    again = geodesic(*sweep)
    assert again.code == 1
    assert "already holds a run" in again.err
    assert contents(Path("sweep")) == before


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_checkpoint_that_is_none(geodesic, tmp_path):
    (tmp_path / "last.ckpt").write_text("words")
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "overrides.yaml").write_text("[]\n")
    one_sentence(geodesic(*FAST, f"resume={tmp_path / 'last.ckpt'}"), "is not a run's checkpoint")


def test_checkpoint_of_another_path(geodesic):
    first = geodesic("model=exact", "callbacks=log", "hydra.run.dir=first")
    assert first.code == 0
    outcome = geodesic(*FAST, "model.density=ring", f"resume={first.folder}")
    one_sentence(outcome, "between other ends")


def test_debug_shows_the_traceback(geodesic):
    from geodesic_lightning.errors import UserError

    with pytest.raises(UserError, match=re.escape("solver.segments: got 1")):
        geodesic(*FAST, "solver.segments=1", "debug=true")
