"""Every way to morph by its own formula, on a tiny Stable Diffusion 2; then over the command line."""

import json

import pytest
import torch
from morphing import decoder, random
from torch import nn

from geodesic_lightning.decoding.adain import adain
from geodesic_lightning.decoding.decoder import Decoder
from geodesic_lightning.decoding.morphs import lora as low_rank
from geodesic_lightning.decoding.morphs.attention import Mixer, attend, mixed, mixing
from geodesic_lightning.decoding.morphs.coefficients import noise_diffusion
from geodesic_lightning.decoding.morphs.lora import Lora
from geodesic_lightning.errors import UserError
from geodesic_lightning.models.diffusion import DiffusionModel
from geodesic_lightning.models.scheduler import Scheduler
from geodesic_lightning.score.condition import Condition

U = torch.tensor([0.0, 0.3, 1.0])


@pytest.fixture
def model(tiny_sd2):
    return DiffusionModel(str(tiny_sd2), Scheduler("ddim", 5), batch_size=16)


class TestAdaIN:
    @pytest.mark.parametrize("u", [0.0, 0.25, 1.0])
    def test_statistics_lie_between_the_ends(self, u):
        x, a, b = (
            2 * random(1, 4, 8, 8) + 1,
            3 * random(4, 8, 8, seed=1),
            random(4, 8, 8, seed=2) - 2,
        )
        found = adain(x, torch.stack([a, b]), torch.tensor([u]))[0]
        for statistic in (lambda z: z.mean((-2, -1)), lambda z: z.std((-2, -1), unbiased=False)):
            expected = (1 - u) * statistic(a) + u * statistic(b)
            torch.testing.assert_close(statistic(found), expected, rtol=1e-4, atol=1e-5)

    def test_the_ends_stay(self):
        a, b = random(4, 8, 8), random(4, 8, 8, seed=1)
        found = adain(torch.stack([a, b]), torch.stack([a, b]), torch.tensor([0.0, 1.0]))
        torch.testing.assert_close(found, torch.stack([a, b]), rtol=1e-5, atol=1e-5)


class TestNoiseDiffusion:
    def test_by_hand_in_the_middle(self):
        """a = b = √½, μ = ν = 0.6: x = √½ (x_A + x_B) + √ᾱ (0.6 − √½)(z_A + z_B), x clipped to ±2."""
        noisy, clean = 3 * random(2, 4, 8, 8), random(2, 4, 8, 8, seed=1)
        x, half = noisy.clamp(-2, 2), 0.5**0.5
        expected = half * x.sum(0) + 0.8 * (0.6 - half) * clean.sum(0)
        torch.testing.assert_close(
            noise_diffusion(noisy, clean, 0.8, torch.tensor([0.5]))[0], expected
        )

    def test_variance_of_independent_noise_is_kept(self):
        noisy = random(2, 4, 64, 64).clamp(-2, 2)
        clean = torch.zeros_like(noisy)
        found = noise_diffusion(noisy, clean, 0.8, torch.linspace(0, 1, 5)).flatten(1).var(1)
        # 16,384 numbers: the variance is known to one part in a hundred.
        torch.testing.assert_close(found, noisy[0].var().expand(5), rtol=0.04, atol=0)


class TestAttention:
    def heads(self, seed):
        return random(3, 2, 5, 4, seed=seed)

    def ends(self):
        return [
            tuple(self.heads(s)[:1].expand(3, -1, -1, -1) for s in pair)
            for pair in ((1, 2), (3, 4))
        ]

    def test_attention_by_hand(self):
        q, k, v = (self.heads(s) for s in (0, 1, 2))
        expected = (q @ k.transpose(-1, -2) / 4**0.5).softmax(-1) @ v
        torch.testing.assert_close(attend(q, k, v), expected, rtol=1e-5, atol=1e-6)

    def test_outer(self):
        q, (a, b), u = self.heads(0), self.ends(), U.reshape(-1, 1, 1, 1)
        expected = (1 - u) * attend(q, *a) + u * attend(q, *b)
        torch.testing.assert_close(mixed(q, a, b, u, "outer"), expected)

    def test_inner(self):
        q, (a, b), u = self.heads(0), self.ends(), U.reshape(-1, 1, 1, 1)
        expected = attend(q, (1 - u) * a[0] + u * b[0], (1 - u) * a[1] + u * b[1])
        torch.testing.assert_close(mixed(q, a, b, u, "inner"), expected)

    def test_fused_sees_itself_too(self):
        q, (a, b), u = self.heads(0), self.ends(), U.reshape(-1, 1, 1, 1)
        own = self.heads(5), self.heads(6)
        one = attend(q, torch.cat([own[0], a[0]], 2), torch.cat([own[1], a[1]], 2))
        other = attend(q, torch.cat([own[0], b[0]], 2), torch.cat([own[1], b[1]], 2))
        torch.testing.assert_close(mixed(q, a, b, u, "outer", own), (1 - u) * one + u * other)

    def test_the_processor_is_the_networks_own_where_nothing_is_mixed(self, model):
        x, c = random(2, *model.latent_shape), model.embed(["a cat", "cat"])
        plain = model.noise_prediction(x, 99, c)
        with mixing(model.denoiser, Mixer()):
            torch.testing.assert_close(
                model.noise_prediction(x, 99, c), plain, rtol=1e-4, atol=1e-5
            )
        assert torch.equal(model.noise_prediction(x, 99, c), plain)  # and it is put back

    def test_layers(self, model):
        names = list(model.denoiser.attn_processors)
        taken = [n for n in names if Mixer(layers="self_up").takes(n)]
        assert taken
        assert all(n.startswith("up_blocks") and "attn1" in n for n in taken)
        assert all(Mixer(layers="all").takes(n) for n in names)

    @pytest.mark.parametrize("mode", ["outer", "inner"])
    @pytest.mark.parametrize("fused", [True, False])
    def test_frames_at_the_ends_are_the_ends(self, model, mode, fused):
        """At u = 0 and 1 an end looks at itself, so that mixing changes nothing."""
        made, plain, path = decoder(model, attention=Mixer(mode, fused), share=1.0)
        ends = torch.tensor([0.0, 1.0])
        torch.testing.assert_close(made(path, ends), plain(path, ends), rtol=0, atol=2e-4)
        middle = torch.tensor([0.5])
        assert (made(path, middle) - plain(path, middle)).abs().max() > 1e-3

    def test_mixed_for_a_share_of_the_way_only(self, model):
        made, plain, path = decoder(model, attention=Mixer(), share=0.0)
        torch.testing.assert_close(made(path, U), plain(path, U), rtol=0, atol=2e-4)

    def test_settings(self, model):
        with pytest.raises(
            UserError, match=r"decoder.attention: got 'x', expected one of outer, inner"
        ):
            Mixer("x")
        with pytest.raises(UserError, match=r"decoder.layers: got 'x'"):
            Mixer(layers="x")
        with pytest.raises(UserError, match=r"decoder.share: got 2"):
            decoder(model, share=2)
        with (
            pytest.raises(
                UserError, match="attention can be mixed in Stable Diffusion 1, 2 and XL"
            ),
            mixing(nn.Linear(2, 2), Mixer()),
        ):
            pass


class TestGuidance:
    def test_by_hand(self, model):
        """ε = ε(∅) + g(u) (ε(c) − ε(∅)), g a parabola: 1.5 at the ends, 3 in the middle."""
        made, _, path = decoder(model, guidance=1.5, guidance_middle=3.0)
        u = torch.tensor([0.0, 1.0, 0.5])
        c, none = made.condition(u), model.embed([""]).expand(3, -1, -1)

        def frames(*weights):
            g = torch.tensor(weights).reshape(-1, 1, 1, 1)

            def noise(x, t):
                plain = model.noise_prediction(x, t, none)
                return plain + g * (model.noise_prediction(x, t, c) - plain)

            return model.decode(model.descend(path.chart(path.at(u)), noise))

        torch.testing.assert_close(made(path, u), frames(1.5, 1.5, 3.0), rtol=0, atol=2e-4)
        assert (made(path, u) - frames(1.5, 1.5, 1.5))[2].abs().max() > 1e-3

    def test_a_guide_prompt_stands_for_the_inner_frames(self, model):
        made, plain, path = decoder(model, guide="a dog")
        other = Condition(*model.embed(["a dog", "a dog"]))
        guided = Decoder(model, other, None, plain.norms)
        u = torch.tensor([0.5])
        torch.testing.assert_close(made(path, u), guided(path, u), rtol=0, atol=2e-4)


class TestLora:
    def weights(self, model):
        return {n: p.clone() for n, p in model.denoiser.named_parameters() if "lora" not in n}

    def test_the_frozen_weights_stay_and_the_fit_gets_better(self, tiny_sd2):
        pytest.importorskip("peft")
        model = DiffusionModel(str(tiny_sd2), Scheduler("ddim", 5))
        clean, c = random(2, *model.latent_shape, seed=3), model.embed(["a cat", "cat"]).clone()
        before = self.weights(model)
        x = random(8, *model.latent_shape)
        untouched = model.noise_prediction(x, 50, c[:1].expand(8, -1, -1))
        names = Lora(rank=4, steps=40, lr=1e-2, batch_size=4).fit(model, clean, c)
        assert names == ["start", "end"]
        after = {n.replace(".base_layer", ""): p for n, p in self.weights(model).items()}
        assert all(torch.equal(after[n], p) for n, p in before.items())
        # Switched off it is the frozen network, to the bit.
        assert torch.equal(model.noise_prediction(x, 50, c[:1].expand(8, -1, -1)), untouched)

        def loss(u):
            level = model.alpha_cumprod(50)
            noise = random(64, *model.latent_shape, seed=9)
            noised = level**0.5 * clean[0] + (1 - level) ** 0.5 * noise
            with low_rank.at(model.denoiser, names, u), torch.no_grad():
                found = model.noise_prediction(noised, 50, c[:1].expand(64, -1, -1))
            return float((found - noise).square().mean())

        with torch.no_grad():
            level, noise = model.alpha_cumprod(50), random(64, *model.latent_shape, seed=9)
            noised = level**0.5 * clean[0] + (1 - level) ** 0.5 * noise
            plain = model.noise_prediction(noised, 50, c[:1].expand(64, -1, -1))
        assert loss(0.0) < float((plain - noise).square().mean())

    def test_between_the_images_weights_are_mixed(self, tiny_sd2):
        """One layer's weight at u is W + (1 − u) B_A A_A + u B_B A_B."""
        pytest.importorskip("peft")
        model = DiffusionModel(str(tiny_sd2), Scheduler("ddim", 5))
        clean, c = random(2, *model.latent_shape, seed=3), model.embed(["a cat", "cat"]).clone()
        names = Lora(rank=2, steps=3, lr=1e-2).fit(model, clean, c)
        layer = next(m for n, m in model.denoiser.named_modules() if n.endswith("attn1.to_q"))
        x = random(1, layer.in_features)
        with low_rank.at(model.denoiser, names, 0.3), torch.no_grad():
            found = layer(x)
        parts = [layer.lora_B[n].weight @ layer.lora_A[n].weight for n in names]
        expected = layer.base_layer(x) + x @ (0.7 * parts[0] + 0.3 * parts[1]).T
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)

    def test_settings(self):
        with pytest.raises(UserError, match=r"decoder.lora.rank: got 0"):
            Lora(rank=0)


class TestCommandLine:
    def run(self, geodesic, tiny_sd2, *words):
        done = geodesic(
            "model=sd2", f"model.pretrained={tiny_sd2}", "scheduler.steps=4", "solver.segments=4",
            "solver.frames=3", "callbacks=frames", *words,
        )  # fmt: skip
        assert done.code == 0, done.err
        return json.loads((done.folder / "summary.json").read_text())

    def test_aid(self, geodesic, tiny_sd2):
        said = self.run(geodesic, tiny_sd2, "solver=aid")
        assert said["solver"] == "aid"
        assert said["unet_evaluations"] > 0

    def test_diffmorpher(self, geodesic, tiny_sd2):
        pytest.importorskip("peft")
        said = self.run(geodesic, tiny_sd2, "solver=diffmorpher", "decoder.lora.steps=2")
        assert said["solver"] == "diffmorpher"

    def test_impus(self, geodesic, tiny_sd2):
        pytest.importorskip("peft")
        few = ("decoder.lora.steps=2", "condition.steps=2", "condition.cache=null")
        assert self.run(geodesic, tiny_sd2, "solver=impus", *few)["solver"] == "impus"

    def test_freemorph(self, geodesic, tiny_sd2):
        said = self.run(geodesic, tiny_sd2, "solver=freemorph", "model.batch_size=5")
        assert said["solver"] == "freemorph"

    def test_smooth_diffusion(self, geodesic, tiny_sd2):
        said = self.run(geodesic, tiny_sd2, "solver=smooth_diffusion", "decoder.null_text.steps=1")
        assert said["solver"] == "smooth_diffusion"

    def test_noise_diffusion(self, geodesic, tiny_sd2):
        assert self.run(geodesic, tiny_sd2, "solver=noise_diffusion")["solver"] == "noise_diffusion"

    def test_a_geodesic_decoded_by_a_trick(self, geodesic, tiny_sd2):
        words = ("decoder=attention_interpolation", "optimizer.iterations=2")
        assert self.run(geodesic, tiny_sd2, *words)["solver"] == "bvp"

    @pytest.mark.parametrize("choice", ["attention_interpolation", "adain", "diffmorpher"])
    def test_a_density_without_a_network_is_one_sentence(self, geodesic, choice):
        done = geodesic("model=exact", f"decoder={choice}", "callbacks=frames")
        assert done.code == 1
        assert "has no network to mix: choose decoder=plain" in done.err

    def test_more_than_two_images_are_one_sentence(self, geodesic, tiny_sd2):
        done = geodesic(
            "model=sd2", f"model.pretrained={tiny_sd2}", "data=keyframes_cats", "decoder=adain"
        )
        assert done.code == 1
        assert "frames are mixed from two ends" in done.err

    @pytest.mark.parametrize("words", [["solver=ivp"], ["solver=mean"]], ids=["ivp", "mean"])
    def test_a_solver_that_joins_nothing_is_one_sentence(self, geodesic, tiny_sd2, words):
        done = geodesic(
            "model=sd2",
            f"model.pretrained={tiny_sd2}",
            "scheduler.steps=4",
            "decoder=adain",
            *words,
        )
        assert done.code == 1
        assert "this solver joins none: choose decoder=plain" in done.err
