"""The six verbs on tiny pipelines of the real classes, against diffusers and against formulas."""

from __future__ import annotations

import json
import math
import shutil

import pytest
import torch
from torch import nn

from geodesic_lightning.data.frames import Frames
from geodesic_lightning.errors import UserError
from geodesic_lightning.models.diffusion import DiffusionModel
from geodesic_lightning.models.scheduler import Scheduler
from geodesic_lightning.score.condition import Condition
from geodesic_lightning.score.estimator import Score
from geodesic_lightning.score.fields import NoisePrediction

LONG = "cat " * 100


@pytest.fixture(scope="module")
def folder(tiny_sd2):
    return tiny_sd2


@pytest.fixture(scope="module")
def velocity_folder(folder, tmp_path_factory):
    """The same weights, said to predict v."""
    copy = tmp_path_factory.mktemp("tiny_v") / "sd2"
    shutil.copytree(folder, copy)
    file = copy / "scheduler" / "scheduler_config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, "prediction_type": "v_prediction"}))
    return copy


@pytest.fixture(scope="module")
def model(folder):
    return DiffusionModel(str(folder), Scheduler("ddim", 50), batch_size=16)


@pytest.fixture(scope="module")
def x(model):
    return latents(model)


def latents(model, count=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, *model.latent_shape, generator=generator)


def alphas():
    """ᾱ_t of Stable Diffusion's scaled-linear betas, from their definition."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return (1 - betas).cumprod(0)


def answer(model, epsilon, velocity):
    """Let the denoiser answer by a formula of x and t, as ε or as v."""

    def forward(x, time, embedding, return_dict):
        level = alphas()[time].reshape(-1, 1, 1, 1)
        noise = epsilon(x, time, embedding).double()
        # v = √ᾱ ε − σ x̂₀, x̂₀ = (x − σ ε)/√ᾱ
        clean = (x - (1 - level).sqrt() * noise) / level.sqrt()
        out = level.sqrt() * noise - (1 - level).sqrt() * clean if velocity else noise
        return (out.float(),)

    model.denoiser.forward = forward


class TestNumbers:
    def test_the_schedule_is_stable_diffusions(self, model):
        assert model.timesteps == 1000
        for t in (0, 1, 581, 999):
            assert model.alpha_cumprod(t) == pytest.approx(float(alphas()[t]), rel=1e-5)
            assert model.sigma_at(t) == pytest.approx(float(1 - alphas()[t]) ** 0.5, rel=1e-4)

    def test_noise_level_point_six_is_timestep_581(self, model):
        assert model.timestep == 581
        assert model.sigma == model.sigma_at(581)

    def test_shapes_come_from_the_networks(self, model):
        assert model.latent_shape == (4, 8, 8)
        assert model.image_size == (16, 16)
        embedding = model.embed(["cat", "a", ""])
        assert (len(embedding), embedding.shape[-1]) == (3, 32)

    def test_it_is_a_plain_object_of_frozen_weights(self, model):
        assert not isinstance(model, nn.Module)
        assert all(not p.requires_grad for p in model.parameters())


class TestPictures:
    def images(self, count=3, seed=0):
        generator = torch.Generator().manual_seed(seed)
        return torch.rand(count, 3, 16, 16, generator=generator)

    def frames(self, images):
        return Frames(images, ("",) * len(images))

    def test_encodes_to_the_scaled_mean(self, model, folder):
        from diffusers import AutoencoderKL

        vae = AutoencoderKL.from_pretrained(folder / "vae")
        images = self.images()
        with torch.no_grad():
            mean = vae.encode(2 * images - 1).latent_dist.mean
        found = model.encode(self.frames(images))
        torch.testing.assert_close(found, mean * vae.config.scaling_factor, rtol=1e-4, atol=1e-6)

    def test_decodes_from_scaled_latents_into_the_unit_range(self, model, folder, x):
        from diffusers import AutoencoderKL

        vae = AutoencoderKL.from_pretrained(folder / "vae")
        with torch.no_grad():
            pixels = vae.decode(x / vae.config.scaling_factor).sample
        found = model.decode(x)
        assert found.shape == (5, 3, 16, 16)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, (pixels / 2 + 0.5).clamp(0, 1), rtol=1e-4, atol=1e-5)

    def test_given_images_are_the_frames_own(self, model):
        images = self.images()
        assert torch.equal(model.given(self.frames(images)), images)

    def test_points_are_not_images(self, model):
        points = Frames(None, ("", ""), points=torch.zeros(2, 2))
        with pytest.raises(UserError, match="needs images, got points"):
            model.encode(points)


class TestNoise:
    def test_is_the_unets_own(self, model, folder, x):
        from diffusers import UNet2DConditionModel

        unet = UNet2DConditionModel.from_pretrained(folder / "unet")
        embedding = model.embed(["cat"]).expand(5, -1, -1)
        times = torch.tensor([0, 1, 500, 581, 999])
        with torch.no_grad():
            expected = unet(x, times, embedding).sample
            found = model.noise_prediction(x, times, embedding)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)

    def test_one_timestep_serves_all(self, model, x):
        embedding = model.embed(["cat"]).expand(5, -1, -1)
        with torch.no_grad():
            one = model.noise_prediction(x, 581, embedding)
            many = model.noise_prediction(x, torch.full((5,), 581), embedding)
        torch.testing.assert_close(one, many, rtol=0, atol=0)

    @pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 100])
    def test_batches_do_not_change_it(self, model, folder, x, size):
        small = DiffusionModel(str(folder), batch_size=size)
        embedding = model.embed(["cat", "a", "b", "", "c"])
        times = torch.tensor([3, 200, 581, 900, 999])
        with torch.no_grad():
            one, other = (m.noise_prediction(x, times, embedding) for m in (model, small))
        # Other batches may add in another order; nothing more.
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
        assert small.evaluations == 5

    def test_carries_gradients_to_the_embedding(self, model, x):
        embedding = model.embed(["cat"]).expand(5, -1, -1).clone().requires_grad_()
        model.noise_prediction(x, 581, embedding).square().sum().backward()
        assert embedding.grad.abs().sum() > 0

    @pytest.mark.parametrize("t", [0, 100, 581, 900])
    def test_networks_of_epsilon_and_of_v_agree(self, model, folder, velocity_folder, x, t):
        # The v twin answers with the same network's ε turned into v by its definition.
        twin = DiffusionModel(str(velocity_folder))
        unet = model.denoiser
        own = lambda x, time, e: unet(x.float(), time, e, return_dict=False)[0]  # noqa: E731
        answer(twin, own, velocity=True)
        embedding = model.embed(["cat"]).expand(5, -1, -1)
        with torch.no_grad():
            one, other = (m.noise_prediction(x, t, embedding) for m in (model, twin))
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize("velocity", [False, True])
    def test_the_score_of_noised_gaussian_data_is_exact(self, folder, velocity_folder, velocity):
        # Data N(m, s² I): at level t the law is N(√ᾱ m, ᾱ s² + σ²), and ε̂ = −σ times its score.
        chosen = DiffusionModel(str(velocity_folder if velocity else folder))
        mean, spread = 0.7, 0.5

        def score(x, t):
            level = alphas()[t].reshape(-1, 1, 1, 1)
            return -(x - level.sqrt() * mean) / (level * spread**2 + 1 - level)

        def noise(x, t, embedding):
            return -(1 - alphas()[t]).sqrt().reshape(-1, 1, 1, 1) * score(x, t)

        answer(chosen, noise, velocity)
        embedding = chosen.embed(["cat", "a cat"])
        field = Score(chosen, Condition(*embedding), NoisePrediction())
        x = latents(chosen, 3)
        found = field(x, torch.linspace(0, 1, 3))
        expected = score(x, torch.full((3,), 581)).float()
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
        assert field.curvature_bound == pytest.approx(1 / (1 - float(alphas()[581])), rel=1e-5)


class TestFlow:
    """Up and down the probability flow ODE."""

    def embedding(self, model, count):
        return model.embed(["cat"] * count)

    def test_inversion_is_ddims_written_out(self, model, x):
        embedding, level = self.embedding(model, 5), alphas()
        there = x.double()
        before = float(level[0])  # a clean latent stands at the first level: set_alpha_to_one=False
        for t in range(1, 582, 20):
            with torch.no_grad():
                noise = model.noise_prediction(there.float(), t, embedding).double()
            clean = (there - (1 - before) ** 0.5 * noise) / before**0.5
            before = float(level[t])
            there = before**0.5 * clean + (1 - before) ** 0.5 * noise
        torch.testing.assert_close(model.invert(x, embedding), there.float(), rtol=1e-4, atol=1e-4)

    def test_denoising_is_ddims_written_out(self, model, x):
        embedding, level = self.embedding(model, 5), alphas()
        there = x.double()
        steps = [*range(1, 582, 20)][::-1]
        for t, after in zip(steps, [*steps[1:], 0]):
            with torch.no_grad():
                noise = model.noise_prediction(there.float(), t, embedding).double()
            here, below = float(level[t]), float(level[after])
            clean = (there - (1 - here) ** 0.5 * noise) / here**0.5
            there = below**0.5 * clean + (1 - below) ** 0.5 * noise
        torch.testing.assert_close(model.denoise(x, embedding), there.float(), rtol=1e-4, atol=1e-4)

    def test_both_agree_with_diffusers(self, model, folder, x):
        from diffusers import DDIMInverseScheduler, DDIMScheduler

        embedding = self.embedding(model, 5)
        down = DDIMScheduler.from_pretrained(folder / "scheduler")
        up = DDIMInverseScheduler.from_config(down.config)
        for sampler, verb, choose in (
            (up, model.invert, lambda t: t[:30]),
            (down, model.denoise, lambda t: t[-30:]),
        ):
            sampler.set_timesteps(50)
            there = x
            for t in choose(sampler.timesteps):
                with torch.no_grad():
                    noise = model.noise_prediction(there, int(t), embedding)
                there = sampler.step(noise, t, there).prev_sample
            torch.testing.assert_close(verb(x, embedding), there, rtol=1e-3, atol=1e-3)

    def test_there_and_back_is_a_way_that_shortens_with_the_steps(self, folder, model):
        def lost(steps):
            chosen = DiffusionModel(str(folder), Scheduler("ddim", steps))
            embedding = self.embedding(chosen, 2)
            x = latents(chosen, 2)
            back = chosen.denoise(chosen.invert(x, embedding), embedding)
            return float((back - x).norm() / x.norm())

        assert lost(100) < 0.6 * lost(25) < 0.1

    @pytest.mark.parametrize("steps", [10, 25, 50])
    def test_evaluations_are_counted(self, folder, steps):
        chosen = DiffusionModel(str(folder), Scheduler("ddim", steps), batch_size=2)
        embedding = self.embedding(chosen, 3)
        chosen.invert(latents(chosen, 3), embedding)
        assert chosen.evaluations == 3 * round(0.6 * steps)
        chosen.denoise(latents(chosen, 3), embedding)
        assert chosen.evaluations == 2 * 3 * round(0.6 * steps)

    def test_noise_grows_on_the_way_up(self, model):
        # Latents that the model takes for clean keep about their size, whatever it predicts.
        x = latents(model, 2)
        found = model.invert(x, self.embedding(model, 2))
        assert found.shape == x.shape
        assert math.isfinite(float(found.norm()))
        assert not torch.allclose(found, x, atol=0.1)


class TestRefuses:
    def test_a_prompt_that_is_too_long(self, model):
        with pytest.raises(UserError, match=r"tokens.*shorten it") as caught:
            model.embed(["cat", LONG])
        assert len(str(caught.value)) < 300

    @pytest.mark.parametrize("kind", ["missing", "empty", "no weights", "pickled", "other", "text"])
    def test_a_folder_without_usable_weights(self, folder, tmp_path, kind):
        place = tmp_path / "place"
        if kind == "empty":
            place.mkdir()
        elif kind == "text":
            place.write_text("not a pipeline")
        elif kind != "missing":
            shutil.copytree(folder, place)
        if kind == "no weights":
            next((place / "unet").glob("*.safetensors")).unlink()
        if kind == "pickled":
            file = next((place / "unet").glob("*.safetensors"))
            file.rename(file.with_suffix(".bin"))
        if kind == "other":
            index = json.loads((place / "model_index.json").read_text())
            index["_class_name"] = "DDPMPipeline"
            (place / "model_index.json").write_text(json.dumps(index))
        with pytest.raises(UserError, match=r"model\.pretrained") as caught:
            DiffusionModel(str(place), local_files_only=True)
        assert str(place) in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_the_first_that_loads_is_taken(self, folder, tmp_path):
        chosen = DiffusionModel([str(tmp_path / "none"), str(folder)], local_files_only=True)
        assert str(folder) in chosen.source

    @pytest.mark.parametrize(
        ("options", "said"),
        [({"batch_size": 0}, r"model\.batch_size"), ({"dtype": "int8"}, r"model\.dtype")],
    )
    def test_options_that_mean_nothing(self, folder, options, said):
        with pytest.raises(UserError, match=said):
            DiffusionModel(str(folder), **options)

    @pytest.mark.parametrize("level", [0, -0.1, 1.1])
    def test_noise_levels_outside_the_schedule(self, level):
        with pytest.raises(UserError, match=r"scheduler\.noise_level"):
            Scheduler("ddim", 50, level)

    @pytest.mark.parametrize("steps", [0, 1001])
    def test_step_counts_outside_the_schedule(self, steps):
        with pytest.raises(UserError, match=r"scheduler\.steps"):
            Scheduler("ddim", steps)

    def test_steps_too_few_for_the_level(self):
        with pytest.raises(UserError, match="none below noise level"):
            Scheduler("ddim", 2, noise_level=0.1)
