"""What a network predicts: from its file's marks, and from its answers to a picture's noised latent."""

from __future__ import annotations

import json
import shutil

import pytest
import single_file
import tiny
import torch
from safetensors.torch import load_file, save_file

from geodesic_lightning.data.frames import Frames, shipped_pair
from geodesic_lightning.errors import UserError
from geodesic_lightning.models.diffusion import DiffusionModel, loading
from geodesic_lightning.models.diffusion.prediction import KINDS, errors, marked, recognised
from geodesic_lightning.models.embedded import pipeline_folder

ALPHAS = torch.tensor([0.7, 0.3, 0.04], dtype=torch.float64)


@pytest.fixture(scope="module")
def picture():
    images = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return Frames(images, ("",))


@pytest.fixture(scope="module")
def velocity(tmp_path_factory, picture):
    """A tiny Stable Diffusion 2 trained for a moment to predict v of one picture, in a folder that says so."""
    folder = tiny.save("sd2_v", tmp_path_factory.mktemp("velocity") / "sd2")
    model = DiffusionModel(str(folder), prediction="v_prediction")
    network, generator = model.denoiser.requires_grad_(True), torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    clean, blank = model.encode(picture).clone(), model.embed([""]).clone().expand(16, -1, -1)
    alphas = torch.tensor([model.alpha_cumprod(t) for t in range(1000)])
    for _ in range(100):
        t = torch.randint(1000, (16,), generator=generator)
        share = alphas[t][:, None, None, None]
        noise = torch.randn(16, *clean.shape[1:], generator=generator)
        x = share.sqrt() * clean + (1 - share).sqrt() * noise
        target = share.sqrt() * noise - (1 - share).sqrt() * clean
        loss = (network(x, t, blank).sample - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.save_pretrained(folder / "unet")
    return folder


def saying(folder, place, prediction):
    """A copy whose configuration says another prediction."""
    shutil.copytree(folder, place)
    file = place / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"prediction_type": prediction}))
    return place


def drawn(seed=0, shape=(3, 4, 8, 8)):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))


class TestErrors:
    @pytest.mark.parametrize("kind", KINDS)
    def test_of_a_perfect_answer(self, kind):
        clean, noise = drawn()
        share = ALPHAS[:, None, None, None]
        answers = {
            "epsilon": noise,
            "sample": clean,
            "v_prediction": share.sqrt() * noise - (1 - share).sqrt() * clean,
        }
        found = errors(answers[kind], clean, noise, ALPHAS)
        assert found[kind] == pytest.approx(0, abs=1e-20)
        assert all(found[other] > 0.3 for other in KINDS if other != kind)
        assert all(recognised(found, configured) == kind for configured in KINDS)

    def test_of_no_answer_is_one(self):
        clean, noise = drawn()
        found = errors(torch.zeros_like(clean), clean, noise, ALPHAS)
        assert list(found.values()) == pytest.approx([1, 1, 1])
        assert recognised(found, "epsilon") is None

    def test_of_no_numbers(self):
        clean, noise = drawn()
        found = errors(torch.full_like(clean, torch.nan), clean, noise, ALPHAS)
        assert recognised(found, "epsilon") is None

    def test_the_configuration_stands_where_nothing_is_much_better(self):
        close = {"epsilon": 0.3, "v_prediction": 0.2, "sample": 5.0}
        assert recognised(close, "epsilon") == "epsilon"


class TestMarks:
    @pytest.mark.parametrize(
        ("keys", "metadata", "kind"),
        [
            (["v_pred"], {}, "v_prediction"),
            ([], {"modelspec.prediction_type": "v"}, "v_prediction"),
            ([], {"modelspec.prediction_type": "epsilon"}, "epsilon"),
            (["v_pred"], {"modelspec.prediction_type": "epsilon"}, "epsilon"),
            ([], {"ss_v_parameterization": "True"}, "v_prediction"),
            ([], {"modelspec.architecture": "stable-diffusion-v2-768-v"}, "v_prediction"),
            ([], {"modelspec.architecture": "stable-diffusion-v2-512"}, None),
            (["model.diffusion_model.out.0.weight"], {"format": "pt"}, None),
        ],
    )
    def test_of_files(self, keys, metadata, kind):
        assert marked(keys, metadata).get("prediction_type") == kind

    @pytest.mark.parametrize("zero", [False, True])
    def test_a_single_file_says_it_itself(self, velocity, tmp_path, zero):
        file = one_file(velocity, tmp_path)
        marks = {"v_pred": torch.zeros(0)} | ({"ztsnr": torch.zeros(0)} if zero else {})
        save_file(load_file(file) | marks, file)
        config = saying(velocity, tmp_path / "epsilon", "epsilon")
        model = DiffusionModel(str(file), config=str(config), local_files_only=True)
        assert model.facts == {"prediction": "v_prediction", "prediction_from": "file"}
        assert (model.alpha_cumprod(999) == pytest.approx(0, abs=1e-9)) is zero


def one_file(folder, place):
    pipeline = loading.load(loading.Source(str(folder))).pipeline
    return single_file.save(pipeline, place / "model.safetensors", open_clip=True)


class TestTrial:
    def test_a_v_prediction_file_beside_an_epsilon_configuration(
        self, velocity, picture, tmp_path, caplog
    ):
        caplog.set_level("WARNING", "geodesic_lightning")
        config = saying(velocity, tmp_path / "epsilon", "epsilon")
        file = one_file(velocity, tmp_path)
        model = DiffusionModel(str(file), config=str(config), local_files_only=True)
        right = DiffusionModel(str(velocity))
        assert model.prediction == "epsilon"
        clean = model.encode(picture)
        assert model.facts == {"prediction": "v_prediction", "prediction_from": "trial"}
        assert "the network predicts v_prediction, not epsilon as configured" in caplog.text
        c = right.embed(["a"])
        x = clean + torch.ones_like(clean)
        torch.testing.assert_close(
            model.noise_prediction(x, 500, c), right.noise_prediction(x, 500, c)
        )

    def test_a_right_configuration_stands_in_silence(self, velocity, picture, caplog):
        caplog.set_level("WARNING", "geodesic_lightning")
        model = DiffusionModel(str(velocity))
        model.encode(picture)
        assert model.facts == {"prediction": "v_prediction", "prediction_from": "configuration"}
        assert not caplog.records

    def test_a_trained_network_for_noise(self, tmp_path):
        """The shipped network, configured as one for v: its own answers say ε."""
        wrong = saying(pipeline_folder(), tmp_path / "v", "v_prediction")
        model = DiffusionModel(str(wrong))
        model.encode(shipped_pair("pair_cat"))
        assert model.prediction == "epsilon"

    def test_what_was_asked_for_is_not_tried(self, velocity, picture):
        model = DiffusionModel(str(velocity), prediction="epsilon")
        model.encode(picture)
        assert model.facts == {"prediction": "epsilon", "prediction_from": "setting"}

    def test_an_untrained_network_is_told(self, tiny_sd2, picture, caplog):
        caplog.set_level("WARNING", "geodesic_lightning")
        model = DiffusionModel(str(tiny_sd2))
        model.encode(picture)
        assert model.prediction == "epsilon"
        assert "predicts no better than nothing" in caplog.text

    def test_it_is_no_evaluation_and_draws_nothing(self, velocity, picture):
        model = DiffusionModel(str(velocity))
        state = torch.random.get_rng_state()
        model.encode(picture)
        assert model.evaluations == 0
        assert torch.equal(state, torch.random.get_rng_state())


def test_other_names_are_refused(tiny_sd2):
    with pytest.raises(UserError, match=r"model.prediction: got 'v', expected one of auto, eps"):
        DiffusionModel(str(tiny_sd2), prediction="v")


def test_a_flow_is_a_flow(tmp_path):
    folder = tiny.save("sd3", tmp_path / "sd3")
    with pytest.raises(UserError, match="is a rectified flow"):
        DiffusionModel(str(folder), prediction="epsilon")
