"""The embedded model: its world of drawn cats, its words, its weights."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image

from geodesic_lightning.models.embedded import cats, pairs_folder, pipeline_folder
from geodesic_lightning.models.embedded.drawing import draw
from geodesic_lightning.models.embedded.train import dataset, pairs
from geodesic_lightning.models.embedded.train.captions import caption, colour


@pytest.fixture(scope="module")
def pipeline():
    from geodesic_lightning.models.embedded.train import networks

    return networks.load(pipeline_folder())


# ---- the world ---------------------------------------------------------------------------------


def test_sampled_cats_are_in_range_and_vectors_round_trip():
    for index in range(200):
        cat = dataset.cat(3, index)
        assert all(low <= getattr(cat, k) <= high for k, (low, high) in cats.RANGES.items())
        again = cats.Cat.from_vector(cat.vector())
        np.testing.assert_allclose(again.vector(), cat.vector(), atol=1e-12)


def test_a_cat_out_of_range_is_refused_in_one_sentence():
    with pytest.raises(ValueError, match=r"tilt is 90, but a cat has it between -9 and 9\."):
        dataclasses.replace(pairs.NEUTRAL, tilt=90.0)


def test_the_same_seed_gives_the_same_cat_and_the_same_drawing():
    assert dataset.cat(5, 8) == dataset.cat(5, 8) != dataset.cat(5, 9)
    np.testing.assert_array_equal(draw(dataset.cat(5, 8), 48), draw(dataset.cat(5, 8), 48))


@pytest.mark.parametrize("size", [32, 64, 100, 256])
def test_drawings_are_anti_aliased_at_any_size(size):
    picture = draw(pairs.NEUTRAL, size)
    assert picture.shape == (size, size, 3)
    assert picture.dtype == np.uint8
    # an untilted, centred cat is symmetric but for the light and the glints in its eyes
    asymmetry = np.abs(picture.astype(float) - picture[:, ::-1]).mean()
    assert asymmetry < 6.0
    # the mean over blocks of a large drawing is the small drawing
    large = draw(pairs.NEUTRAL, 4 * size).reshape(size, 4, size, 4, 3).mean(axis=(1, 3))
    assert np.abs(large - picture).mean() < 1.0


def test_neighbouring_cats_are_neighbouring_drawings():
    start, end = (cat.vector() for cat in pairs.named_pairs()["pair_cat"])
    path = [draw(cats.Cat.from_vector((1 - u) * start + u * end)) for u in np.linspace(0, 1, 65)]
    path = np.array(path, dtype=float)
    steps = np.abs(np.diff(path, axis=0)).mean(axis=(1, 2, 3))
    assert steps.max() < 0.15 * np.abs(path[-1] - path[0]).mean()


# ---- words -------------------------------------------------------------------------------------


def test_captions_name_the_colour_that_was_drawn():
    start, end = pairs.named_pairs()["pair_cat"]
    assert caption(start) == "a happy orange cat with long pointed ears"
    assert caption(end) == "a sly blue cat with short round ears"
    named = [("black", 0.3, 0.01, 0), ("white", 0.95, 0.01, 0), ("dark blue", 0.45, 0.1, 260)]
    for name, lightness, chroma, hue in named:
        coat = dict(fur_lightness=lightness, fur_chroma=chroma, fur_hue=float(hue))
        assert colour(pairs.change(pairs.NEUTRAL, **coat)) == name


def test_distinct_words_have_distinct_ids_and_captions_fit(pipeline):
    tokens = pipeline.tokenizer
    words = [
        "cat",
        "kitten",
        "orange",
        "blue",
        "black",
        "white",
        "happy",
        "sly",
        "grumpy",
        "long",
        "short",
        "pointed",
        "round",
    ]
    ids = [tuple(tokens(word).input_ids[1:-1]) for word in words]
    assert len(set(ids)) == len(words)
    assert all(len(i) == 1 for i in ids), "a word of the captions is one token"
    assert tokens("zebra").input_ids != tokens("xylophone").input_ids
    rng = np.random.default_rng(0)
    captions = [caption(dataset.cat(3, index), rng) for index in range(300)]
    assert max(len(i) for i in tokens(captions).input_ids) <= tokens.model_max_length == 24


# ---- what is shipped ---------------------------------------------------------------------------


def test_shipped_pairs_are_the_drawings_of_their_parameters():
    entries = json.loads((pairs_folder() / "pairs.json").read_text())
    assert {"pair_cat", "pair_ears", "pair_mood", "pair_colour", "pair_far", "pair_near"} <= set(
        entries
    )
    assert sum(name.startswith("eval_") for name in entries) == 24
    for name, entry in entries.items():
        for place in ("start", "end"):
            cat = cats.Cat(**entry[place])
            assert entry[f"prompt_{place}"] == caption(cat)
            picture = np.asarray(Image.open(pairs_folder() / f"{name}_{place}.png"))
            assert picture.shape == (256, 256, 3)
            assert np.abs(picture.astype(float) - draw(cat, 256)).max() <= 8


def test_the_pipeline_folder_is_small_and_holds_no_pickles():
    files = [file for file in pipeline_folder().rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 20e6
    assert {file.suffix for file in files} <= {".safetensors", ".json", ".txt"}


def test_the_components_are_those_of_stable_diffusion_2(pipeline):
    names = {name: type(part).__name__ for name, part in pipeline.components.items() if part}
    assert names == {
        "vae": "AutoencoderKL",
        "unet": "UNet2DConditionModel",
        "text_encoder": "CLIPTextModel",
        "tokenizer": "CLIPTokenizer",
        "scheduler": "DDIMScheduler",
    }
    pipeline.scheduler.set_timesteps(50)
    assert pipeline.scheduler.timesteps[[0, 20, -1]].tolist() == [981, 581, 1]


@torch.no_grad()
def test_held_out_drawings_come_back_through_the_autoencoder(pipeline):
    from geodesic_lightning.models.embedded.train.autoencoder import psnr, to_unit

    side = pipeline.vae.config.sample_size
    fresh = np.stack([draw(dataset.cat(4242, index), side) for index in range(16)])
    shipped = [Image.open(file) for file in sorted(pairs_folder().glob("*.png"))]
    shipped = np.stack(
        [np.asarray(image.resize((side, side), Image.Resampling.BOX)) for image in shipped]
    )
    for pictures in (fresh, shipped):
        pictures = to_unit(torch.from_numpy(pictures))
        decoded = pipeline.vae.decode(pipeline.vae.encode(pictures).latent_dist.mean).sample
        assert psnr(decoded.clamp(-1, 1) - pictures) >= 30.0


def test_inversion_to_noise_level_0_6_and_back_keeps_the_picture(pipeline):
    from geodesic_lightning.models.embedded.train import evaluation

    figures = evaluation.measure(pipeline, n=8, batch=8)
    assert figures["psnr_round_trip"] >= figures["psnr_autoencoder"] - 2.0
    assert figures["psnr_round_trip_to_autoencoder"] >= 35.0


@torch.no_grad()
@pytest.mark.slow
def test_the_colour_of_the_prompt_is_the_colour_of_the_cat(pipeline):
    def forehead(prompt):
        generator = torch.Generator().manual_seed(0)
        pictures = pipeline(
            [prompt] * 4,
            num_inference_steps=15,
            guidance_scale=2.5,
            generator=generator,
            output_type="np",
        ).images
        return pictures[:, 48:56, 56:72].mean(axis=(0, 1, 2))

    orange, blue, black, white = (
        forehead(f"a calm {colour} cat") for colour in ("orange", "blue", "black", "white")
    )
    assert orange[0] > orange[2] + 0.2
    assert blue[2] > blue[0] + 0.1
    assert black.max() < 0.45 < 0.7 < white.min()
