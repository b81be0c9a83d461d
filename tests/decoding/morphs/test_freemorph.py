"""FreeMorph by its formulas: attention gathered from all frames, fresh high frequencies, stages."""

import math

import pytest
import torch
from morphing import random

from geodesic_lightning.decoding.beta import quantile
from geodesic_lightning.decoding.morphs import freemorph
from geodesic_lightning.decoding.morphs.attention import Mixer, attend
from geodesic_lightning.errors import UserError
from geodesic_lightning.models.diffusion import DiffusionModel
from geodesic_lightning.models.scheduler import Scheduler
from geodesic_lightning.score.condition import Condition


@pytest.fixture
def model(tiny_sd2):
    return DiffusionModel(str(tiny_sd2), Scheduler("ddim", 8), batch_size=16)


class TestGathered:
    def heads(self):
        return tuple(random(4, 2, 5, 3, seed=s) for s in range(3))

    def test_shared(self):
        """All frames get the mean of what each one's attention gives."""
        q, k, v = self.heads()
        mean = sum(attend(q[i : i + 1], k[i : i + 1], v[i : i + 1]) for i in range(4)) / 4
        found = freemorph.gathered(q, k, v, "shared")
        torch.testing.assert_close(found, mean.expand(4, -1, -1, -1))

    def test_split(self):
        """Each frame looks at the first and at the last, half and half."""
        q, k, v = self.heads()
        found = freemorph.gathered(q, k, v, "split")
        for i in range(4):
            first, last = (attend(q[i : i + 1], k[e : e + 1], v[e : e + 1]) for e in (0, 3))
            torch.testing.assert_close(found[i : i + 1], (first + last) / 2)


class TestFrequencies:
    def test_kept_width(self):
        """44/48 beside the ends, 42/48 in the middle third, straight between."""
        u = torch.tensor([0.0, 1 / 12, 1 / 6, 0.25, 0.5, 5 / 6, 1.0])
        expected = torch.tensor([48.0, 46, 44, 43, 42, 44, 48]) / 48
        torch.testing.assert_close(freemorph.kept_width(u), expected)

    @pytest.mark.parametrize(("width", "kept"), [(1.0, 1.0), (0.5, 1 / 4), (0.0, 0.0)])
    def test_the_box_is_kept_and_the_rest_is_the_noise(self, width, kept):
        """A box of half the width holds a quarter of the frequencies; Parseval counts them."""
        x, noise = random(2, 3, 16, 16), random(3, 16, 16, seed=1)
        found = freemorph.with_high_frequencies(x, noise, torch.full((2,), width))
        spectrum, own, fresh = (torch.fft.fft2(z) for z in (found, x, noise.expand(2, -1, -1, -1)))
        same = (spectrum - own).abs() < 1e-4
        other = (spectrum - fresh).abs() < 1e-4
        # The box is not symmetric about 0, as in the authors' program; its edge rows lose an imaginary
        # part when the inverse transform is made real: neither one nor the other.
        edge = 4 * 16 / 256 if kept not in (0.0, 1.0) else 0.0
        assert abs(float(same.float().mean()) - kept) <= edge
        assert abs(float(other.float().mean()) - (1 - kept)) <= edge
        assert spectrum.isfinite().all()


def test_great_circle_by_hand():
    a, b = torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 2, 0])
    found = freemorph.great_circle(torch.stack([a, b])[:, None], torch.tensor([0.0, 0.5, 1.0]))
    half = math.sin(math.pi / 4)
    expected = torch.stack([a, half * a + half * b, b])[:, None]
    torch.testing.assert_close(found, expected)


class TestTogether:
    def frames(self, model, count=5):
        condition = Condition(*model.embed(["a cat", "cat"]))
        clean, u = random(2, *model.latent_shape, seed=3), torch.linspace(0, 1, count)
        return condition, clean, u, freemorph.frames(model, condition, clean, u)

    def test_without_its_stages_it_is_the_models_own_inversion(self, model, monkeypatch):
        monkeypatch.setattr(freemorph, "SHARED", 1.0)
        monkeypatch.setattr(freemorph, "KEPT", (1.0,) * 6)
        condition, clean, u, found = self.frames(model)
        plain = model.invert(freemorph.great_circle(clean, u), condition(u))
        torch.testing.assert_close(found, plain, rtol=1e-3, atol=1e-3)

    @pytest.mark.parametrize("stage", ["shared", "split"])
    def test_a_stage_by_hand(self, model, monkeypatch, stage):
        """The one attention layer that is listened to gets what `gathered` says of its own heads."""
        heard = {}

        class Listener(freemorph.Gatherer):
            def __call__(self, name, q, k, v):
                found = super().__call__(name, q, k, v)
                heard[name, self.stage] = (q, k, v, found)
                return found

        monkeypatch.setattr(freemorph, "Gatherer", Listener)
        self.frames(model)
        stages = {s for _, s in heard}
        assert stages == {"own", "shared", "split"}
        for (_, s), (q, k, v, found) in heard.items():
            if s == stage:
                torch.testing.assert_close(found, freemorph.gathered(q, k, v, stage))

    def test_the_network_is_put_back(self, model):
        x, c = random(2, *model.latent_shape), model.embed(["a cat", "cat"])
        before = model.noise_prediction(x, 99, c)
        self.frames(model)
        assert torch.equal(model.noise_prediction(x, 99, c), before)

    def test_all_in_one_batch_or_one_sentence(self, tiny_sd2):
        model = DiffusionModel(str(tiny_sd2), Scheduler("ddim", 8), batch_size=2)
        with pytest.raises(
            UserError, match=r"5 frames .* one batch, got 2: give model.batch_size=5"
        ):
            self.frames(model)

    def test_noise_by_its_seed(self, model):
        condition, clean, u, found = self.frames(model)
        again, other = (freemorph.frames(model, condition, clean, u, seed) for seed in (0, 1))
        assert torch.equal(again, found)
        assert torch.equal(other[[0, -1]], found[[0, -1]])
        assert not torch.equal(other[2], found[2])


class TestStagesOfAttention:
    def test_fused_from_its_part_of_the_way_on(self):
        mixer, u = Mixer(fused_after=0.2), torch.tensor([0.5])
        joined = []
        for way in (0.0, 0.19, 0.2, 0.6):
            mixer.look(u, way)
            joined.append(mixer.joins)
        assert joined == [False, False, True, True]

    def test_beta(self):
        u = torch.tensor([0.0, 0.3, 0.5, 0.7, 1.0])
        torch.testing.assert_close(quantile(u, 1, 1), u)  # Beta(1, 1) is even
        torch.testing.assert_close(quantile(u, 2, 1), u.sqrt())  # its function is x²
        narrow = quantile(u, 20, 20)
        torch.testing.assert_close(narrow + narrow.flip(0), torch.ones(5))
        assert narrow[1] > 0.4
        assert narrow[3] < 0.6
        mixer = Mixer(beta=(20, 20))
        mixer.look(u, 0.5)
        assert torch.equal(mixer.u, narrow)

    @pytest.mark.parametrize("settings", [{"beta": [1]}, {"beta": [0, 1]}, {"fused_after": 2}])
    def test_settings(self, settings):
        with pytest.raises(UserError, match=rf"decoder.attention.{next(iter(settings))}: got"):
            Mixer(**settings)


def test_a_density_without_a_network_is_one_sentence(geodesic):
    done = geodesic("model=exact", "solver=freemorph")
    assert done.code == 1
    assert "no network" in done.err
