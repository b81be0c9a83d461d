"""Every kind of diffusion model behind the verbs, at tiny size: the solver sees no difference."""

from __future__ import annotations

import json
from functools import cache

import diffusers
import pytest
import tiny
import torch
from safetensors.torch import load_file

from geodesic_lightning.data.frames import points, shipped_pair
from geodesic_lightning.errors import UserError
from geodesic_lightning.models.diffusion import DiffusionModel
from geodesic_lightning.models.diffusion.placement import Placement
from geodesic_lightning.models.scheduler import Scheduler
from geodesic_lightning.score.condition import Condition, prompts
from geodesic_lightning.score.estimator import Score
from geodesic_lightning.score.fields import NoisePrediction
from geodesic_lightning.score.textual_inversion import textual_inversion

SHAPES = {
    "sd15": (4, 8, 8),
    "sd2": (4, 8, 8),
    "sd2_v": (4, 8, 8),
    "sdxl": (4, 8, 8),
    "sd3": (16, 8, 8),
    "sd35": (16, 8, 8),
    "pixart": (4, 8, 8),
    "flux": (16, 8, 8),
    "flux_schnell": (16, 8, 8),
}
ROWS = {
    "sd15": (77, 32),
    "sd2": (77, 32),
    "sd2_v": (77, 32),
    "sdxl": (78, 64),
    "sd3": (334, 64),
    "sd35": (334, 64),
    "pixart": (301, 304),
    "flux": (513, 32),
    "flux_schnell": (257, 32),
}
TWINS = ("sd35", "flux_schnell")  # of sd3 and flux, which are tested each time
KINDS = [pytest.param(n, marks=pytest.mark.slow) if n in TWINS else n for n in tiny.MAKERS]
U = torch.linspace(0, 1, 3)
FEW = Scheduler("ddim", 5)
SIZES = {"flux": 16, "flux_schnell": 16}  # no configuration says what FLUX was trained at


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """name → a saved tiny pipeline, made once."""
    return cache(lambda name: tiny.save(name, tmp_path_factory.mktemp(name)))


@pytest.fixture(scope="session")
def model(folder):
    """name → a model of that pipeline, made once: do not change it."""
    return cache(
        lambda name: DiffusionModel(
            str(folder(name)), Scheduler("ddim", 5), name=name, size=SIZES.get(name)
        )
    )


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", KINDS)
class TestVerbs:
    def test_shapes(self, model, name):
        made, frames = model(name), shipped_pair("pair_cat")
        z = made.encode(frames)
        c = made.embed(frames.prompts)
        x = made.invert(z, c)
        assert made.latent_shape == SHAPES[name]
        assert z.shape == x.shape == (2, *SHAPES[name])
        assert c.shape == (2, *ROWS[name])
        assert made.decode(made.denoise(x, c)).shape == (2, 3, 16, 16)
        assert {v.dtype for v in (z, c, x)} == {torch.float32}
        assert (made.timestep, made.timesteps) == (581, 1000)
        assert made.sigma == made.sigma_at(581) == (1 - made.alpha_cumprod(581)) ** 0.5

    def test_a_latent_is_predicted_alike_alone_and_among_others(self, model, name):
        made = model(name)
        x, c = random(3, *SHAPES[name]), made.embed(["a", "cat", ""])
        t = torch.tensor([5, 581, 900])
        together = made.noise_prediction(x, t, c)
        alone = torch.cat(
            [made.noise_prediction(x[k : k + 1], int(t[k]), c[k : k + 1]) for k in range(3)]
        )
        torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)

    def test_prompts_matter_all_the_way_along(self, model, name):
        made = model(name)
        c = prompts(made, ["a cat", "dog"])(U)
        x = random(1, *SHAPES[name]).expand(3, -1, -1, -1)
        eps = made.noise_prediction(x, 581, c)
        assert not torch.allclose(eps[0], eps[2], atol=1e-6)
        middle = made.noise_prediction(x[:1], 581, (c[:1] + c[2:]) / 2)
        torch.testing.assert_close(eps[1:2], middle)

    def test_gradients_reach_every_part_of_the_embedding_that_is_used(self, model, name):
        made = model(name)
        c = made.embed(["a cat"]).clone().requires_grad_()
        made.noise_prediction(random(1, *SHAPES[name]), 300, c).square().sum().backward()
        assert torch.isfinite(c.grad).all()
        used = c.grad[0].abs().sum(-1) > 0  # token states and the row beside them
        if name == "pixart":  # "a", "cat" and the end
            assert used.nonzero().flatten().tolist() == [0, 1, 2, 300]
        else:
            assert used.all()

    def test_evaluations_are_counted(self, model, name):
        made = model(name)
        before = made.evaluations
        made.noise_prediction(random(4, *SHAPES[name]), 1, made.embed(["a"] * 4))
        assert made.evaluations - before == 4

    def test_a_whole_run(self, name, folder, geodesic):
        """Encode, textual inversion, inversion, solve, decode, save: the command line's own run."""
        weights = str(folder(name))
        words = (f"model={CHOICE[name]}", f"model.pretrained={weights}", "score=contrast")
        if name in SIZES:
            words += (f"model.size={SIZES[name]}",)
        run = command_line(geodesic, *words)
        assert summary(run)["weights"] == weights
        nodes = load_file(run / "path.safetensors")["nodes"]
        assert nodes.shape == (3, *SHAPES[name])
        assert torch.isfinite(nodes).all()
        assert len(list((run / "frames").iterdir())) == 3
        assert (run / "video.mp4").stat().st_size > 0
        assert len(list((run.parent / "cache").iterdir())) == 1


CHOICE = {name: name for name in tiny.MAKERS} | {"sd2_v": "sd21"}


def command_line(geodesic, *overrides, folder="run"):
    """What `python -m geodesic_lightning …` runs, in this process, and the folder it leaves; only the model differs."""
    always = [
        "scheduler.steps=5", "solver.segments=4", "solver.frames=3", "logger=none",
        "condition=textual_inversion", "condition.steps=2", "optimizer.iterations=2",
        "condition.cache=cache", "trainer.accelerator=cpu", f"hydra.run.dir={folder}",
    ]  # fmt: skip
    done = geodesic(*always, *overrides)
    assert done.code == 0, done.err
    return done.folder


def summary(folder):
    return json.loads((folder / "summary.json").read_text())


def test_the_same_command_line_runs_on_an_exact_density(geodesic):
    run = command_line(geodesic, "model=exact", "score=contrast")
    assert summary(run)["unet_evaluations"] > 0


class TestPredictions:
    """One network for ε, and twins of it that predict other things, must give one score."""

    def twin(self, made, prediction):
        """A model whose network predicts otherwise, by the ε of `made`."""
        other = predicting(made.source, prediction)
        shares = share_of(torch.tensor([other.alpha_cumprod(t) for t in range(1000)]).double())

        def forward(x, time, embedding, return_dict):
            t = time
            if prediction == "flow":  # x' = r x at time 1000 s
                share = (time / 1000).reshape(-1, 1, 1, 1)
                t = (shares[None] - (time / 1000)[:, None]).abs().argmin(1)
                x = x / ((1 - share) ** 2 + share**2).sqrt()
            eps = made.denoiser(x, t, embedding, return_dict=False)[0]
            alphas = torch.tensor([other.alpha_cumprod(int(k)) for k in t]).reshape(-1, 1, 1, 1)
            data = (x - (1 - alphas).sqrt() * eps) / alphas.sqrt()
            return (otherwise(prediction, eps, data, alphas.sqrt(), (1 - alphas).sqrt()),)

        other.denoiser.forward = forward
        return other

    @pytest.mark.parametrize("prediction", ["v_prediction", "sample", "flow"])
    @pytest.mark.parametrize("t", [41, 581, 901])
    def test_twins(self, model, prediction, t):
        made = model("sd2")
        other = self.twin(made, prediction)
        x, c = random(2, 4, 8, 8), made.embed(["a cat", "dog"])
        if prediction != "flow":  # whose levels are others
            assert other.sigma_at(t) == made.sigma_at(t)
        torch.testing.assert_close(
            other.noise_prediction(x, t, c), made.noise_prediction(x, t, c), rtol=1e-5, atol=1e-5
        )

    def test_a_saved_v_model_is_read_as_one(self, model):
        """The same weights twice, once called a v-prediction: ε = √ᾱ v + σ x."""
        eps, v = model("sd2"), model("sd2_v")
        x, c = random(2, 4, 8, 8), eps.embed(["a cat", "dog"])
        raw = eps.noise_prediction(x, 581, c)
        expected = eps.alpha_cumprod(581) ** 0.5 * raw + eps.sigma * x
        torch.testing.assert_close(v.noise_prediction(x, 581, c), expected)


def predicting(folder, prediction, scheduler=FEW):
    """A Stable Diffusion 2 whose own scheduler says that it predicts that."""
    flow = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    own = flow if prediction == "flow" else tiny.scheduler(prediction)
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(folder, scheduler=own)
    return DiffusionModel(pipeline, scheduler)


def share_of(alpha):
    """s of a rectified flow whose level has ᾱ = (1 − s)²/((1 − s)² + s²)."""
    return (1 - alpha) ** 0.5 / ((1 - alpha) ** 0.5 + alpha**0.5)


def otherwise(prediction, eps, data, signal, sigma):
    """The same as ε, as another network says it."""
    return {
        "epsilon": eps,
        "v_prediction": signal * eps - sigma * data,
        "sample": data,
        "flow": eps - data,
    }[prediction]


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample", "flow"])
@pytest.mark.parametrize("sampler", ["ddim", "heun", "dpm_solver"])
def test_score_and_flow_of_a_gaussian(model, prediction, sampler):
    """Data N(m, c²): the best network of each kind is known, and so are score and flow of p_t."""
    mean, width = 0.3, 0.6
    made = predicting(model("sd2").source, prediction, Scheduler(sampler, steps=200))

    def forward(x, time, embedding, return_dict):
        """E[what is predicted | x] in the coordinates the network is given."""
        if prediction == "flow":
            sigma = (time / 1000).to(x).reshape(-1, 1, 1, 1)
            signal = 1 - sigma
        else:
            alphas = torch.tensor([made.alpha_cumprod(int(k)) for k in time]).reshape(-1, 1, 1, 1)
            signal, sigma = alphas.sqrt(), (1 - alphas).sqrt()
        eps = sigma * (x - signal * mean) / (signal**2 * width**2 + sigma**2)
        data = (x - sigma * eps) / signal
        return (otherwise(prediction, eps, data, signal, sigma),)

    made.denoiser.forward = forward
    x, c = random(2, 4, 8, 8).double(), made.embed(["", ""])
    score = Score(made, Condition(c[0], c[1]), NoisePrediction())
    variance = made.alpha_cumprod(581) * width**2 + made.sigma**2
    centred = x - made.alpha_cumprod(581) ** 0.5 * mean
    torch.testing.assert_close(
        score(x, torch.tensor([0.0, 1.0])), -centred / variance, rtol=2e-5, atol=2e-5
    )
    if prediction == "flow":  # the same score in the flow's own coordinates x' = (1 − s) z + s ε
        s = share_of(made.alpha_cumprod(581))
        r = ((1 - s) ** 2 + s**2) ** 0.5
        own = -(r * x - (1 - s) * mean) / ((1 - s) ** 2 * width**2 + s**2)
        torch.testing.assert_close(
            score(x, torch.tensor([0.0, 1.0])) / r, own, rtol=2e-5, atol=2e-5
        )
    assert score.curvature_bound >= 1 / variance  # −∇² log p_t of this Gaussian
    back = made.denoise(x, c)
    clean = made.ladder[0].signal ** 2
    start = (clean * width**2 + 1 - clean) ** 0.5
    exact = clean**0.5 * mean + start * centred / variance**0.5
    torch.testing.assert_close(back, exact, rtol=0, atol=0.03 if sampler == "ddim" else 0.02)


class TestPrecision:
    def test_bfloat16_networks_under_a_float32_path(self, folder, model):
        """One solve in both precisions: eight bits of mantissa, so a percent or so."""
        x, c = random(2, 4, 8, 8), model("sd2").embed(["a cat", "dog"])
        half = DiffusionModel(str(folder("sd2")), Scheduler("ddim", 5), dtype="bfloat16").to("cpu")
        plain = model("sd2").noise_prediction(x, 581, c)
        rounded = half.noise_prediction(x, 581, half.embed(["a cat", "dog"]))
        assert rounded.dtype == torch.float32
        assert 0 < (rounded - plain).norm() / plain.norm() < 0.03
        frames = shipped_pair("pair_cat")  # and the VAE's are float32's own
        assert torch.equal(half.encode(frames), model("sd2").encode(frames))

    @pytest.mark.slow
    def test_paths_in_both_precisions(self, folder, geodesic):
        nodes, weights = {}, f"model.pretrained={folder('sd2')}"
        for dtype in ("float32", "bfloat16"):
            words = ("model=sd2", weights, f"model.dtype={dtype}", "condition.steps=0")
            run = command_line(geodesic, *words, folder=dtype)
            nodes[dtype] = load_file(run / "path.safetensors")["nodes"]
        assert nodes["bfloat16"].dtype == torch.float32
        difference = (nodes["bfloat16"] - nodes["float32"]).norm() / nodes["float32"].norm()
        assert 0 < difference < 0.1

    @pytest.mark.parametrize("key", ["dtype", "vae_dtype"])
    def test_an_unknown_precision_is_refused(self, folder, key):
        with pytest.raises(UserError, match=f"model.{key}: got 'half'"):
            DiffusionModel(str(folder("sd2")), **{key: "half"})


class TestMemory:
    def test_the_options_change_nothing_but_memory(self, folder, model):
        thrifty = DiffusionModel(
            str(folder("sd2")), Scheduler("ddim", 5), batch_size=1, attention_slicing=True,
            vae_slicing=True, vae_tiling=True, offload=True,
        ).to("cpu")  # fmt: skip
        plain, frames = model("sd2"), shipped_pair("pair_cat")
        for made in (thrifty, plain):
            z, c = made.encode(frames), made.embed(frames.prompts)
            made.seen = [z, c, made.noise_prediction(z, 300, c), made.decode(z)]
        for a, b in zip(thrifty.seen, plain.seen):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)

    def test_offloaded_parts_take_turns(self):
        parts = {name: torch.nn.Linear(1, 1) for name in ("vae", "unet", "text_encoder")}
        places = lambda: {name: part.weight.device.type for name, part in parts.items()}  # noqa: E731
        placement = Placement(parts, None, None, offload=True)
        placement.to(torch.device("meta"))
        assert set(places().values()) == {"cpu"}
        placement.ready("vae")
        assert places() == {"vae": "meta", "unet": "cpu", "text_encoder": "cpu"}

    @pytest.mark.parametrize(
        "error",
        [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("can't allocate memory")],
    )
    def test_an_automatic_batch_halves_and_loses_nothing(self, folder, error, caplog):
        made = DiffusionModel(str(folder("sd2")), Scheduler("ddim", 5))
        x, c = random(11, 4, 8, 8), made.embed(["a cat"] * 11)
        expected = made.noise_prediction(x, 581, c)
        inner, seen = made.denoiser.forward, []

        def cramped(latents, *rest, **options):
            if len(latents) > 3:
                raise error
            seen.append(len(latents))
            return inner(latents, *rest, **options)

        made.denoiser.forward = cramped
        torch.testing.assert_close(made.noise_prediction(x, 581, c), expected, rtol=1e-4, atol=1e-5)
        assert seen == [2, 2, 2, 2, 2, 1]
        assert [r.message.split(":")[0] for r in caplog.records] == ["Out of memory"] * 4
        caplog.clear()
        made.noise_prediction(x, 581, c)  # the size is kept: nothing is tried again
        assert not caplog.records

    def test_memory_for_not_even_one(self, folder):
        made = DiffusionModel(str(folder("sd2")), Scheduler("ddim", 5))

        def never(*_, **options):
            raise torch.OutOfMemoryError("CUDA out of memory")

        made.denoiser.forward = never
        with pytest.raises(UserError, match=r"Out of memory at model.batch_size=1: .*offload=true"):
            made.noise_prediction(random(4, 4, 8, 8), 1, made.embed(["a"] * 4))

    def test_a_batch_size_that_was_asked_for_is_not_changed(self, folder):
        made = DiffusionModel(str(folder("sd2")), Scheduler("ddim", 5), batch_size=8)

        def never(*_, **options):
            raise torch.OutOfMemoryError("CUDA out of memory")

        made.denoiser.forward = never
        with pytest.raises(UserError, match=r"model\.batch_size=8: take a smaller number or auto"):
            made.noise_prediction(random(8, 4, 8, 8), 1, made.embed(["a"] * 8))

    def test_other_errors_pass(self, folder):
        made = DiffusionModel(str(folder("sd2")), Scheduler("ddim", 5))
        with pytest.raises(RuntimeError, match="channels"):
            made.noise_prediction(random(2, 3, 8, 8), 1, made.embed(["a"] * 2))

    @pytest.mark.parametrize("size", [0, -3, "many"])
    def test_refuses_a_batch_size(self, size):
        with pytest.raises(UserError, match="expected auto or a number of at least 1"):
            DiffusionModel("anything", batch_size=size)


def test_a_prompt_that_would_be_cut_is_refused(model):
    with pytest.raises(UserError, match="has 202 tokens, the model's text encoder takes 77"):
        model("sd2").embed(["q" * 200])


def test_a_negative_prompt_is_read_as_far_as_it_goes(model, caplog):
    read = model("sd2").embed(["q" * 200], negative=True)
    assert "has 202 tokens" in caplog.text
    # 77 rows, of which the first is the start's and the last the end's; a row knows only those before it.
    whole = model("sd2").embed(["q" * 75])
    torch.testing.assert_close(read[:, :75], whole[:, :75])


def test_points_are_refused(model):
    with pytest.raises(UserError, match="needs images"):
        model("sd2").encode(points([0.0], [1.0]))


def test_a_twin_that_predicts_otherwise_has_a_cache_of_its_own(model, tmp_path):
    """The same weights, prompts and latents: only what the network means differs."""
    z = random(2, 4, 8, 8)
    for name in ("sd2", "sd2_v", "sd2"):
        textual_inversion(model(name), ["a", "cat"], z, steps=1, cache=str(tmp_path))
    assert len(list(tmp_path.iterdir())) == 2


def test_no_prompt_is_nothing_at_all_for_sdxl(model):
    assert (model("sdxl").embed([""]) == 0).all()
    assert (model("sd2").embed([""]) != 0).any()


def test_slerp_between_no_prompt_and_a_prompt_is_finite(model):
    c = prompts(model("sdxl"), ["", "a cat"], interpolation="slerp")(U)
    assert torch.isfinite(c).all()
