"""Pictures that are not square, through every kind of model: sizes taken, refused, found and kept."""

from __future__ import annotations

import logging
from functools import cache, partial
from pathlib import Path

import pytest
import tiny
import torch
from PIL import Image

from geodesic_lightning.api import interpolate, mean
from geodesic_lightning.data.clip import clip
from geodesic_lightning.data.frames import pair, shipped_pair
from geodesic_lightning.data.keyframes import keyframes
from geodesic_lightning.distance import between
from geodesic_lightning.errors import UserError
from geodesic_lightning.geometry.manifold import Euclidean
from geodesic_lightning.models.diffusion import DiffusionModel, embedded
from geodesic_lightning.models.diffusion.size import NEAR, given_size, own_shape
from geodesic_lightning.models.scheduler import Scheduler
from geodesic_lightning.optimizers.semi_implicit import SemiImplicit
from geodesic_lightning.score.estimator import Score
from geodesic_lightning.score.fields import NoisePrediction

SIZE = (12, 20)  # height, width: px of the tiny pipelines, whose own images are 16 px


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """(name, size) → a tiny model."""
    folder = cache(lambda name: tiny.save(name, tmp_path_factory.mktemp(name)))
    return lambda name, size: DiffusionModel(
        str(folder(name)),
        Scheduler("ddim", 3),
        size=size,
        name=name,
        prediction=KNOWN.get(name, "epsilon"),
    )


KNOWN = {
    "sd2_v": "v_prediction",
    "sd3": "auto",
    "sd35": "auto",
    "flux": "auto",
    "flux_schnell": "auto",
}  # random weights predict nothing: what is tried would be said


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = torch.rand(height, width, 3, generator=torch.Generator().manual_seed(seed))
    return Image.fromarray((pixels * 255).byte().numpy())


@pytest.mark.parametrize("name", tiny.MAKERS)
def test_every_kind_of_model_computes_any_shape(made, name):
    model = made(name, list(SIZE))
    assert model.image_size == SIZE
    assert model.latent_shape[1:] == (6, 10)
    frames = pair(picture(40, 24), picture(40, 24, 1))
    clean, c = model.encode(frames), model.embed(["a cat", ""])
    assert clean.shape == (2, *model.latent_shape)
    noisy = model.invert(clean, c)
    assert model.decode(model.denoise(noisy, c)).shape == (2, 3, *SIZE)
    assert model.given(frames).shape == (2, 3, *SIZE)


@pytest.mark.parametrize("name", ["sd15", "sdxl", "sd3"])
def test_its_own_size_written_out_changes_nothing(made, name):
    frames = pair(picture(40, 24), picture(40, 24, 1))
    found = []
    for size in (None, 16, (16, 16)):
        model = made(name, size)
        c = model.embed(["a cat", ""])
        found.append(model.invert(model.encode(frames), c))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_sdxl_is_told_height_and_width(made):
    model, told = made("sdxl", SIZE), []
    model.denoiser.register_forward_pre_hook(
        lambda *args: told.append(args[2]["added_cond_kwargs"]["time_ids"]), with_kwargs=True
    )
    model.noise_prediction(torch.zeros(1, *model.latent_shape), 500, model.embed(["a"]))
    assert told[0].tolist() == [[12, 20, 0, 0, 12, 20]]


@pytest.mark.parametrize(
    ("name", "size", "says"),
    [
        ("sd2", [14, 16], r"multiples of 4 px for this model: take model\.size=\[16,16\]"),
        ("sd2", [1, 16], r"take model\.size=\[4,16\]"),
        ("sd3", [16, 64], "at most 32 px a side"),
        ("sd2", "large", r"expected \[height,width\] in px, auto or null"),
        ("sd2", [16], r"expected \[height,width\]"),
        ("sd2", [16, -4], r"expected \[height,width\]"),
        ("sd2", [16.5, 4], r"expected \[height,width\]"),
    ],
)
def test_sizes_that_are_none(made, name, size, says):
    with pytest.raises(UserError, match=rf"model\.size: got .*{says}"):
        made(name, size)


def test_a_size_that_is_no_size_is_refused_before_weights_are_loaded():
    with pytest.raises(UserError, match=r"model\.size"):
        DiffusionModel("nowhere/at-all", size=[0, 8])
    assert given_size(512) == given_size([512, 512]) == (512, 512)


@pytest.mark.parametrize(
    ("own", "multiple"), [(512, 64), (768, 64), (1024, 32), (1024, 16), (128, 32)]
)
@pytest.mark.parametrize(
    "shape", [(1, 1), (3, 2), (2, 3), (16, 9), (4, 3), (10, 1), (1, 7), (100, 1)]
)
def test_the_pictures_own_shape(own, multiple, shape):
    height, width = own_shape([shape], (own, own), multiple)
    assert height % multiple == width % multiple == 0
    assert NEAR[0] <= height * width / own**2 <= NEAR[1]
    if shape == (1, 1):
        assert (height, width) == (own, own)
    turned = own_shape([shape[::-1]], (own, own), multiple)
    assert turned[0] / turned[1] == pytest.approx(width / height)
    for h in range(multiple, 8 * own, multiple):  # nothing nearer in shape
        w = round(h * shape[0] / shape[1] / multiple) * multiple
        if w and NEAR[0] <= h * w / own**2 <= NEAR[1]:
            wanted = shape[0] / shape[1]
            off = max(w / h / wanted, wanted * h / w)
            assert max(width / height / wanted, wanted * height / width) <= off + 1e-9


def test_several_pictures_meet_in_the_middle():
    assert own_shape([(2, 1), (1, 2)], (512, 512), 64) == (512, 512)
    assert own_shape([(100, 1)], (1024, 1024), 16, most=2048)[1] <= 2048


def test_auto_takes_the_shape_of_what_is_solved_and_outputs_keep_it(made):
    model = made("sd2", "auto")
    options = {"model": model, "segments": 4, "frames": 3, "device": "cpu", "alpha": 0.0}
    wide = interpolate(picture(60, 30), picture(60, 30, 1), **options)
    assert wide.frames.shape == (3, 3, 12, 24)  # [12,24] is 2:1, and 288 px of the model's 256
    assert wide.nodes.shape == (5, 4, 6, 12)
    tall = interpolate(picture(30, 60), picture(30, 60, 1), **options)
    assert tall.frames.shape == (3, 3, 24, 12)
    between_three = mean([picture(30, 60, k) for k in range(3)], **options)
    assert between_three.frames.shape[-2:] == (24, 12)


def test_a_crop_is_said_once_and_none_where_nothing_is_lost(made, caplog):
    options = {"segments": 2, "frames": 3, "device": "cpu", "alpha": 0.0}
    ends = picture(90, 30), picture(90, 30, 1)
    with caplog.at_level(logging.WARNING, "geodesic_lightning"):
        interpolate(*ends, model=made("sd2", None), **options)
    assert [r.getMessage() for r in caplog.records] == [
        "Cropped to the model's 16×16 px: start (90×30 px) loses 67%, end (90×30 px) loses 67%; "
        "data.anchor= chooses the part that is kept, data.fit=pad and stretch keep all, "
        "model.size=auto takes the pictures' own shape."
    ]
    caplog.clear()
    interpolate(*ends, model=made("sd2", (8, 24)), **options)
    assert not caplog.records


def test_distances_and_clips_have_the_pictures_shape(made, tmp_path):
    pictures = [picture(60, 30, k) for k in range(3)]
    model = made("sd2", "auto")
    found = between(
        model,
        keyframes(pictures),
        partial(Score, field=NoisePrediction()),
        lambda *_: Euclidean(),
        SemiImplicit,
        alpha=0.0,
        segments=2,
    )
    assert found.distances.matrix.shape == (3, 3)
    assert model.image_size == (12, 24)
    for number, one in enumerate(pictures):
        one.rotate(90, expand=True).save(tmp_path / f"{number}.png")
    model.prepare(clip(tmp_path))
    assert model.image_size == (24, 12)


def test_the_drawn_cats_in_a_wide_picture():
    """The shipped model at 128×192: a cat on a wider ground comes back from its latent."""
    wide = []
    for one in shipped_pair("pair_cat").pictures:
        canvas = Image.new("RGB", (192, 128), one.getpixel((2, 2)))
        canvas.paste(one, (32, 0))
        wide.append(canvas)
    frames, model = pair(*wide), embedded(size=[128, 192])
    assert model.latent_shape == (8, 16, 24)
    back = model.decode(model.encode(frames))
    error = float((back - frames.at((128, 192)).images).square().mean())
    assert error < 10**-2.2  # 22 dB: of its own size cats are at 27 and more, photographs below 20


WAYS = {
    "bvp": [],
    "lerp": ["solver=lerp"],
    "ivp": ["solver=ivp", "solver.length=0.2"],
    "fan": ["solver=ivp", "velocity=random", "velocity.count=2", "solver.length=0.2"],
    "aid": ["solver=aid"],
    "freemorph": ["solver=freemorph"],
    "noise_diffusion": ["solver=noise_diffusion"],
    "smooth_diffusion": ["solver=smooth_diffusion", "decoder.null_text.steps=1"],
    "diffmorpher": ["solver=diffmorpher", "decoder.lora.steps=1"],
    "metrics": ["retime=perceptual", "metrics=default"],
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_solving_keeps_the_shape(geodesic, tiny_sd2, tmp_path, way):
    for seed in (0, 1):
        picture(60, 30, seed).save(tmp_path / f"{seed}.png")
    done = geodesic(
        "data=pair", f"data.start={tmp_path / '0.png'}", f"data.end={tmp_path / '1.png'}",
        "model=diffusers", f"model.pretrained={tiny_sd2}", "model.size=auto", "solver.alpha=0",
        "scheduler.steps=3", "solver.segments=4", "solver.frames=3", "callbacks=default", *WAYS[way],
    )  # fmt: skip
    assert done.code == 0, done.err
    frames = sorted((Path(done.folder) / "frames").iterdir())
    assert len(frames) == 3
    for file in frames:
        with Image.open(file) as image:
            assert image.size == (24, 12)
