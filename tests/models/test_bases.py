"""Stable Diffusion 3.5, FLUX.1 and PixArt-Σ at tiny size: every number of their schedules is diffusers' own.

tests/models/test_models.py, test_size.py and test_borrowed.py take them through the verbs and the command
line like every other model.
"""

from __future__ import annotations

import logging
import math
import shutil
from functools import cache, partial
from pathlib import Path

import diffusers
import pytest
import tiny
import torch
from diffusers.pipelines.flux.pipeline_flux import calculate_shift
from PIL import Image

from geodesic_lightning.data.keyframes import keyframes
from geodesic_lightning.errors import UserError
from geodesic_lightning.models.diffusion import DiffusionModel
from geodesic_lightning.models.diffusion import noise_schedule as levels
from geodesic_lightning.models.diffusion.failures import why
from geodesic_lightning.models.diffusion.few_steps import distilled_to_few
from geodesic_lightning.models.diffusion.placement import Placement
from geodesic_lightning.models.scheduler import Scheduler
from geodesic_lightning.score.condition import prompts
from geodesic_lightning.score.long_prompts import check_before_loading

FLOWS = ("sd3", "sd35", "flux", "flux_schnell")
BASES = (*FLOWS, "pixart")
FEW = Scheduler("ddim", 5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return cache(lambda name: tiny.save(name, tmp_path_factory.mktemp(name) / name))


@pytest.fixture(scope="module")
def model(folder):
    """name → a tiny model, made once: do not change it."""

    def made(name):
        kind = "epsilon" if name == "pixart" else "auto"  # random weights predict nothing
        return DiffusionModel(str(folder(name)), FEW, size=16, name=name, prediction=kind)

    return cache(made)


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def pipeline(folder):
    """name → a pipeline of diffusers, with the model's weights."""

    def made(name):
        left_out = ("text_encoder_3", "tokenizer_3") if name.startswith("sd3") else ()
        found = diffusers.DiffusionPipeline.from_pretrained(folder(name), **dict.fromkeys(left_out))
        found.set_progress_bar_config(disable=True)
        return found

    return cache(made)


def own_scheduler(made, pipeline):
    """The pipeline's scheduler, with a step at each of its levels, as its pipeline would set it."""
    scheduler = type(pipeline.scheduler).from_config(pipeline.scheduler.config)
    if levels.shifted(scheduler):
        tokens = made.latent_shape[1] * made.latent_shape[2] // 4
        mu = calculate_shift(tokens, 256, 4096, 0.5, 1.15)
        scheduler.set_timesteps(sigmas=torch.linspace(1, 1 / 1000, 1000).tolist(), mu=mu)
    return scheduler


class TestSchedule:
    @pytest.mark.parametrize("name", FLOWS)
    def test_of_a_flow(self, model, pipeline, name):
        """Levels, times, and the noised latent that the network is handed, at each of 1000 timesteps."""
        made, scheduler = model(name), own_scheduler(model(name), pipeline(name))
        sigmas, times = scheduler.sigmas[:1000].flip(0), scheduler.timesteps.flip(0)
        shares = made.levels.shares
        assert shares is not None
        torch.testing.assert_close(shares, sigmas.double(), rtol=1e-6, atol=0)
        clean, noise = random(1000, 1, 2, 2), random(1000, 1, 2, 2, seed=1)
        t = torch.arange(1000)
        alphas = made.levels.alphas_cumprod[t].reshape(-1, 1, 1, 1)
        x = (alphas.sqrt() * clean + (1 - alphas).sqrt() * noise).float()
        handed, told = made.levels.for_network(x, t)
        torch.testing.assert_close(told, times, rtol=1e-6, atol=1e-4)
        own = scheduler.scale_noise(clean, times, noise)
        torch.testing.assert_close(handed, own, rtol=1e-5, atol=1e-5)
        velocity = noise - clean
        torch.testing.assert_close(made.levels.noise(velocity, x, t), noise, rtol=1e-4, atol=1e-4)

    def test_of_a_diffusion(self, model, pipeline):
        """PixArt-Σ's betas are linear, from 0.0001 to 0.02, whatever sampler its pipeline brings."""
        made, scheduler = model("pixart"), own_scheduler(model("pixart"), pipeline("pixart"))
        assert scheduler.config.beta_schedule == "linear"
        torch.testing.assert_close(made.levels.alphas_cumprod, scheduler.alphas_cumprod.double())
        t = torch.arange(1000)
        ddpm = diffusers.DDPMScheduler.from_config(scheduler.config)
        clean, noise = random(1000, 1, 2, 2), random(1000, 1, 2, 2, seed=1)
        alphas = made.levels.alphas_cumprod[t].reshape(-1, 1, 1, 1)
        x = (alphas.sqrt() * clean + (1 - alphas).sqrt() * noise).float()
        torch.testing.assert_close(x, ddpm.add_noise(clean, noise, t), rtol=1e-5, atol=1e-5)
        handed, told = made.levels.for_network(x, t)
        assert torch.equal(handed, x)
        assert torch.equal(told, t)
        assert torch.equal(made.levels.noise(noise, x, t), noise)

    @pytest.mark.parametrize(("size", "mu"), [((16, 16), 0.4594), ((32, 16), 0.4621)])
    def test_is_shifted_with_the_size(self, folder, size, mu):
        """s/(1−s) of an even level is multiplied by e^μ; μ goes from 0.5 at 256 tokens to 1.15 at 4096."""
        made = DiffusionModel(str(folder("flux")), FEW, size=size)
        shares = made.levels.shares[:-1]
        even = torch.arange(1, 1000, dtype=torch.float64) / 1000
        factor = (shares / (1 - shares)) / (even / (1 - even))
        tokens = size[0] * size[1] // 16
        exact = 0.5 + (tokens - 256) * 0.65 / 3840
        assert exact == pytest.approx(mu, abs=1e-4)
        torch.testing.assert_close(factor.log(), torch.full_like(factor, exact), rtol=0, atol=1e-3)

    def test_follows_the_pictures_that_are_given(self, folder):
        """model.size=auto changes the levels after loading, and the sampler's with them."""
        made = DiffusionModel(str(folder("flux")), FEW, size="auto")
        before, own = made.sigma, made.image_size
        square, wide = (
            keyframes([Image.new("RGB", s), Image.new("RGB", s, "red")])
            for s in ((64, 64), (300, 101))
        )
        made.prepare(wide)
        assert math.prod(made.image_size) < math.prod(own)
        assert made.sigma < before
        assert made.ladder[-1].sigma == made.sigma == made.sigma_at(made.timestep)
        other = DiffusionModel(str(folder("flux")), FEW, size=made.image_size)
        assert torch.equal(made.levels.shares, other.levels.shares)
        made.prepare(square)
        assert (made.image_size, made.sigma) == (own, before)


class TestPipelines:
    """The way down from noise is diffusers' own: the same network calls, the same latents."""

    @pytest.mark.parametrize("name", FLOWS)
    @pytest.mark.parametrize("size", [(16, 16), (16, 24)])
    def test_of_flows(self, pipeline, name, size):
        pipeline = pipeline(name)
        made = DiffusionModel(pipeline, FEW, size=size, distilled_guidance=1.0)
        c = made.embed(["a cat"])
        steps = [900, 700, 400, 90]
        shape = made.latent_shape
        start = random(1, *shape)
        radius = (made.levels.shares[900] ** 2 + (1 - made.levels.shares[900]) ** 2).sqrt()
        handed = (radius * start).float()
        options = {"height": size[0], "width": size[1], "output_type": "latent"}
        if name.startswith("flux"):  # tokens of 2×2 pixels
            handed = torch.nn.functional.pixel_unshuffle(handed, 2).flatten(2).mT
            options["max_sequence_length"] = c.shape[1] - 1
        shift = pipeline.scheduler.config.shift
        shares = [made.levels.shares[t].item() for t in steps]
        sigmas = [  # before the shift, which the pipeline does
            (t + 1) / 1000 if levels.shifted(pipeline.scheduler) else s / (shift - (shift - 1) * s)
            for t, s in zip(steps, shares)
        ]
        theirs = pipeline(
            "a cat", latents=handed, sigmas=sigmas, guidance_scale=1.0,
            num_inference_steps=len(steps), **options,
        ).images  # fmt: skip
        if name.startswith("flux"):
            tokens = theirs.mT.unflatten(2, (shape[1] // 2, shape[2] // 2))
            theirs = torch.nn.functional.pixel_shuffle(tokens, 2)
        ours = made.descend(
            start, lambda x, t: made.noise_prediction(x, t, c), made.levels.ladder(steps[::-1])
        )
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)
        assert (ours - start).norm() > 0.01 * start.norm()

    def test_of_pixart(self, model, pipeline):
        made, parts = model("pixart"), pipeline("pixart").components
        ddim = diffusers.DDIMScheduler.from_config(
            parts["scheduler"].config, clip_sample=False, timestep_spacing="leading"
        )
        pipeline = diffusers.PixArtSigmaPipeline(**{**parts, "scheduler": ddim})
        pipeline.set_progress_bar_config(disable=True)
        start = random(1, *made.latent_shape)
        theirs = pipeline(
            "a cat", latents=start, guidance_scale=1.0, num_inference_steps=5, height=16, width=16,
            use_resolution_binning=False, clean_caption=False, output_type="latent",
        ).images  # fmt: skip
        ladder = made.levels.ladder(sorted(ddim.timesteps.tolist()))
        c = made.embed(["a cat"])
        ours = made.descend(start, lambda x, t: made.noise_prediction(x, t, c), ladder)
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


class TestFlux:
    def told(self, made, call):
        """Weights of guidance that the transformer was called with."""
        seen = []
        hook = made.denoiser.register_forward_pre_hook(
            lambda *args: seen.append(args[2]["guidance"]), with_kwargs=True
        )
        call()
        hook.remove()
        return [None if one is None else one.unique().tolist() for one in seen]

    def test_dev_is_told_no_guidance_on_the_path_and_its_own_where_it_samples(self, model):
        made = model("flux")
        c = made.embed(["a cat"])
        assert made.guidance == 3.5
        at_path = self.told(made, lambda: made.noise_prediction(random(1, 16, 8, 8), 500, c))
        assert at_path == [[1.0]]
        sampled = self.told(made, lambda: made.sample(c, [0]))
        assert sampled == [[3.5]] * len(sampled)
        assert self.told(made, lambda: made.sample(c, [0], guidance=2.0))[0] == [2.0]
        again = self.told(made, lambda: made.noise_prediction(random(1, 16, 8, 8), 500, c))
        assert again == [[1.0]]

    def test_another_weight_is_another_prediction(self, folder, model):
        other = DiffusionModel(str(folder("flux")), FEW, size=16, distilled_guidance=3.5)
        made, x = model("flux"), random(1, 16, 8, 8)
        c = made.embed(["a cat"])
        assert (made.distilled_guidance, other.distilled_guidance) == (1.0, 3.5)
        found = [one.noise_prediction(x, 500, c) for one in (made, other)]
        assert not torch.allclose(*found, atol=1e-5)
        assert self.told(other, lambda: other.noise_prediction(x, 500, c)) == [[3.5]]

    def test_schnell_is_told_none(self, model):
        made = model("flux_schnell")
        call = partial(made.noise_prediction, random(1, 16, 8, 8), 500, made.embed(["a"]))
        assert self.told(made, call) == [None]
        assert made.distilled_guidance is None

    @pytest.mark.parametrize("name", ["flux_schnell", "sd35"])
    def test_a_weight_for_a_network_that_takes_none(self, folder, name):
        with pytest.raises(UserError, match=r"got 3.5, but this network is told no guidance"):
            DiffusionModel(str(folder(name)), FEW, size=16, distilled_guidance=3.5)

    def test_a_weight_that_is_none(self, folder):
        with pytest.raises(UserError, match=r"model.distilled_guidance: got -1, expected a number"):
            DiffusionModel(str(folder("flux")), FEW, size=16, distilled_guidance=-1)

    def test_its_own_size_is_its_pipelines(self, folder):
        made = DiffusionModel(str(folder("flux")), FEW)
        assert made.latent_shape == (16, 128, 128)

    def test_without_its_t5(self, folder):
        with pytest.raises(UserError, match="has no tokenizer_2"):
            DiffusionModel(
                str(folder("flux")), FEW, without=["text_encoder_2", "tokenizer_2"], size=16
            )


class TestPixArt:
    def test_a_mask_is_diffusers_own_at_both_ends_and_continuous_between(self, model, pipeline):
        made, x = model("pixart"), random(3, 4, 8, 8)[:1]
        c = prompts(made, ["a cat", "a b c d e"])
        pipeline = pipeline("pixart")
        states, mask, *_ = pipeline.encode_prompt(
            ["a cat", "a b c d e"], do_classifier_free_guidance=False
        )
        conditions = {"resolution": None, "aspect_ratio": None}
        t = torch.tensor([500, 500])
        theirs = pipeline.transformer(
            x.expand(2, -1, -1, -1), encoder_hidden_states=states, encoder_attention_mask=mask,
            timestep=t, added_cond_kwargs=conditions, return_dict=False,
        )[0][:, :4]  # fmt: skip
        u = torch.tensor([0.0, 1.0, 1e-3, 1 - 1e-3, 0.5])
        with torch.no_grad():
            ours = made.noise_prediction(x.expand(5, -1, -1, -1), 500, c(u))
        torch.testing.assert_close(ours[:2], theirs, rtol=1e-4, atol=1e-5)
        apart = (ours[0] - ours[1]).norm()
        assert apart > 0
        assert (ours[2] - ours[0]).norm() < 0.05 * apart
        assert (ours[3] - ours[1]).norm() < 0.05 * apart

    def test_what_is_masked_does_not_matter(self, model):
        made, x = model("pixart"), random(1, 4, 8, 8)
        c = made.embed(["a cat"]).clone()
        before = made.noise_prediction(x, 500, c)
        c[:, 50:299] += 1.0
        torch.testing.assert_close(made.noise_prediction(x, 500, c), before)
        c[:, 1] += 1.0
        assert not torch.allclose(made.noise_prediction(x, 500, c), before, atol=1e-6)

    def test_gradients_of_the_mask_are_finite(self, model):
        made = model("pixart")
        c = made.embed(["a cat"]).clone().requires_grad_()
        made.noise_prediction(random(1, 4, 8, 8), 500, c).square().sum().backward()
        assert torch.isfinite(c.grad).all()

    def test_a_transformer_under_its_former_class(self, folder, tmp_path, model):
        """The published folder names Transformer2DModel, which diffusers takes for PixArt's."""
        place = Path(shutil.copytree(folder("pixart"), tmp_path / "former"))
        for file in (place / "model_index.json", place / "transformer" / "config.json"):
            file.write_text(
                file.read_text().replace("PixArtTransformer2DModel", "Transformer2DModel")
            )
        made, x = DiffusionModel(str(place), FEW, prediction="epsilon"), random(1, 4, 8, 8)
        c = made.embed(["a cat"])
        assert torch.equal(
            made.noise_prediction(x, 500, c), model("pixart").noise_prediction(x, 500, c)
        )

    def test_no_single_files(self, folder, tmp_path):
        file = tmp_path / "a.safetensors"
        file.write_bytes(b"x" * 2000)
        with pytest.raises(UserError, match="reads no single files of a PixArtSigmaPipeline"):
            DiffusionModel(str(file), config=str(folder("pixart")))


class TestT5:
    def test_what_overflows_in_float16_stays_in_float32(self, folder):
        text = tiny.t5()[1]
        Placement({"text_encoder": text}, torch.float16, None).to(torch.device("cpu"))
        kinds = {name: weight.dtype for name, weight in text.named_parameters()}
        assert {v for k, v in kinds.items() if ".wo." in k} == {torch.float32}
        assert {v for k, v in kinds.items() if ".wo." not in k} == {torch.float16}
        made = DiffusionModel(str(folder("pixart")), FEW, dtype="float16").to("cpu")
        exact = DiffusionModel(str(folder("pixart")), FEW).embed(["a cat"])
        torch.testing.assert_close(made.embed(["a cat"])[:, :3], exact[:, :3], rtol=0.02, atol=0.02)

    def test_a_tokenizer_that_wants_sentencepiece(self):
        error = ValueError("`tiktoken` is required to read a `tiktoken` file. Install it")
        assert why(error) == (
            "its T5 tokenizer is read by sentencepiece: pip install 'geodesic-lightning[t5]'"
        )


LONG = " ".join("abcdefghij"[k % 10] for k in range(290))
LONGER = f"{LONG} {LONG}"


class TestPromptLength:
    """The T5 counts, not the CLIP whose pooled row a FLUX.1 reads as well."""

    @pytest.mark.parametrize(
        ("name", "count"), [("pixart", 300), ("flux", 512), ("flux_schnell", 256)]
    )
    def test_what_fits_and_what_does_not(self, model, name, count):
        made = model(name)
        text = LONG if count > 290 else "a b"
        assert made.embed([text]).shape[0] == 1
        assert made.embed([text], long="chunks").shape[0] == 1
        with pytest.raises(UserError, match=rf"has 581 tokens, .* takes {count} \(one of them"):
            made.embed([LONGER])
        with pytest.raises(UserError, match="expected Stable Diffusion 1, 2 or XL"):
            made.embed([LONGER], long="chunks")
        assert torch.isfinite(made.embed([LONGER], long="truncate")).all()

    def test_before_loading(self, folder, tmp_path):
        """Tokenizers and the index alone are there."""
        for name, limit in (("flux", 512), ("pixart", 300)):
            place = tmp_path / name
            shutil.copytree(
                folder(name), place, ignore=shutil.ignore_patterns("*.safetensors", "transformer")
            )
            make = partial(DiffusionModel, str(place))
            check_before_loading(make, prompts, [LONG])
            with pytest.raises(UserError, match=f"has 581 tokens, .* takes {limit}"):
                check_before_loading(make, prompts, [LONGER])


class TestFewSteps:
    @pytest.mark.parametrize(
        "name",
        ["stabilityai/sdxl-turbo@0123", "a/FLUX.1-schnell", "/x/sdxl_lightning_4step.safetensors",
         "latent-consistency/lcm-lora-sdxl", "ByteDance/Hyper-SD"],
    )  # fmt: skip
    def test_names_of_them(self, name):
        assert distilled_to_few(name)

    @pytest.mark.parametrize(
        "name", ["stabilityai/stable-diffusion-3.5-large", "/turbo/sd15", "a/hyper-real", "a/FLUX.1-dev",
                 "/x/geodesic-lightning"],
    )  # fmt: skip
    def test_names_of_others(self, name):
        assert distilled_to_few(name) is None

    def test_is_said_once_when_they_are_loaded(self, folder, tmp_path, caplog):
        place = tmp_path / "FLUX.1-schnell"
        place.symlink_to(folder("flux_schnell"))
        with caplog.at_level(logging.WARNING, "geodesic_lightning"):
            DiffusionModel(str(place), FEW, size=16)
        said = [record.getMessage() for record in caplog.records]
        assert len(said) == 1
        assert "(schnell in its name) have no probability flow" in said[0]

    def test_a_sampler_that_only_they_have(self):
        pipeline = tiny.sd35()
        assert distilled_to_few("a", pipeline) is None
        pipeline.scheduler = diffusers.LCMScheduler()
        assert distilled_to_few("a", pipeline) == "its LCMScheduler"
