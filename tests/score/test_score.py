"""Every field against values worked out by hand, on a model whose noise prediction is a formula."""

from __future__ import annotations

import math

import pytest
import torch
from known import exact_score

from geodesic_lightning.errors import UserError
from geodesic_lightning.geometry.manifold import Euclidean
from geodesic_lightning.geometry.path import Path
from geodesic_lightning.problems.boundary_value import Problem
from geodesic_lightning.score.condition import Condition
from geodesic_lightning.score.estimator import Score
from geodesic_lightning.score.fields import (
    Contrast,
    NoiseFree,
    NoisePrediction,
    ScoreDistillation,
    score_from_noise,
)

AROUND = {"timestep_range": (-100, 99)}
PROMPTS = {"": 0.5, "bad": -0.25}
U = torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64)


class Toy:
    """ε(x, t, c) = (t/1000) x + the mean of c; ᾱ_t = 0.99 − 0.98 t/1000; prompts are numbers."""

    timesteps, timestep = 1000, 600
    batch_size = None

    def __init__(self):
        self.calls = []
        self.sigma = self.sigma_at(self.timestep)

    def alpha_cumprod(self, t):
        return 0.99 - 0.98 * t / 1000

    def sigma_at(self, t):
        return (1 - self.alpha_cumprod(t)) ** 0.5

    def embed(self, prompts, negative=False):
        assert negative
        return torch.tensor([PROMPTS[p] for p in prompts]).double()[:, None, None].expand(-1, 2, 3)

    def noise_prediction(self, x, t, embedding):
        assert len(x) == len(t) == len(embedding)
        self.calls.append((x, t, embedding))
        mean = embedding.mean((1, 2))
        shape = (-1, *[1] * (x.dim() - 1))
        parts = [
            slice(k, k + (self.batch_size or len(x)))
            for k in range(0, len(x), self.batch_size or len(x))
        ]
        return torch.cat(
            [t[p].reshape(shape) / 1000 * x[p] + mean[p].reshape(shape) for p in parts]
        )


class Gaussian(Toy):
    """Data N(m, diag(S)): √ᾱ x₀ + σε is N(√ᾱ m, ᾱS + σ²), whose score is known at every t."""

    mean, variance = torch.tensor([1.0, -2.0]).double(), torch.tensor([0.5, 2.0]).double()

    def exact(self, x, t):
        level = self.alpha_cumprod(t)
        return -(x - level**0.5 * self.mean) / (level * self.variance + 1 - level)

    def noise_prediction(self, x, t, embedding):
        self.calls.append((x, t, embedding))
        return torch.stack([-self.sigma_at(int(s)) * self.exact(y, int(s)) for y, s in zip(x, t)])


def condition():
    return Condition(torch.full((2, 3), 1.0).double(), torch.full((2, 3), 2.0).double())


def make(field, **options):
    return Score(Toy(), condition(), field, **options)


def points(seed=0, shape=(3, 2, 4)):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def predicted(x, t, of):
    """The toy's answers: conditional (1 + u), unconditional 0.5, negative −0.25."""
    c = {"conditional": 1 + U.reshape(-1, 1, 1), "unconditional": 0.5, "negative": -0.25}[of]
    return t / 1000 * x + c


def distilled(x, moved, t, guidance):
    """−(ε̂ − ε) of the toy where x was moved to t; the noise ε is what moved it there."""
    level, there = 0.99 - 0.98 * 0.6, 0.99 - 0.98 * t / 1000
    a = (there / level) ** 0.5
    noise = (moved - a * x) / ((1 - there) ** 0.5 - a * (1 - level) ** 0.5)
    none, plain = predicted(moved, t, "unconditional"), predicted(moved, t, "conditional")
    return noise - none - guidance * (plain - none)


class TestFieldsAtTheLevel:
    def test_noise_prediction(self):
        score, x = make(NoisePrediction()), points()
        torch.testing.assert_close(
            score(x, U), -predicted(x, 600, "conditional") / score.model.sigma
        )
        assert len(score.model.calls[0][0]) == 3  # one pass a latent

    def test_guided_noise_prediction(self):
        score, x = make(NoisePrediction(guidance=3.0)), points()
        plain, none = predicted(x, 600, "conditional"), predicted(x, 600, "unconditional")
        torch.testing.assert_close(score(x, U), -(none + 3 * (plain - none)) / score.model.sigma)
        assert len(score.model.calls) == 1  # both prompts in one call
        assert len(score.model.calls[0][0]) == 6

    def test_contrast(self):
        score, x = make(Contrast(), negative_prompt="bad"), points()
        # ½(ε_neg − ε_c) = ½(−0.25 − (1 + u)) at every x
        expected = (-0.625 - U.reshape(-1, 1, 1) / 2).expand_as(x)
        torch.testing.assert_close(score(x, U), expected)
        assert len(score.model.calls[0][0]) == 6

    def test_guided_contrast(self):
        score, x = make(Contrast(3.0, 1.0), negative_prompt="bad"), points()
        # (3(ε_∅ − ε_c) + (ε_neg − ε_∅))/4
        expected = ((3 * (0.5 - 1 - U) + (-0.25 - 0.5)) / 4).reshape(-1, 1, 1).expand_as(x)
        torch.testing.assert_close(score(x, U), expected)
        assert len(score.model.calls[0][0]) == 9

    def test_nfsd_above_its_threshold(self):
        score = make(NoiseFree(guidance=2.0), negative_prompt="bad", weighting="variance")
        x = points()
        # −σ²(ε_∅ − ε_neg + 2(ε_c − ε_∅)) = −σ²(0.75 + 2(0.5 + u))
        expected = -(score.model.sigma**2) * (1.75 + 2 * U).reshape(-1, 1, 1).expand_as(x)
        torch.testing.assert_close(score(x, U), expected)

    def test_nfsd_below_its_threshold(self):
        score = make(NoiseFree(guidance=2.0, threshold=601), negative_prompt="bad")
        x = points()
        expected = -(predicted(x, 600, "unconditional") + 2 * (0.5 + U).reshape(-1, 1, 1))
        torch.testing.assert_close(score(x, U), expected)

    def test_the_papers_field_is_half_of_nfsd_at_guidance_one(self):
        x = points()
        paper = make(Contrast(), negative_prompt="bad")(x, U)
        nfsd = make(NoiseFree(guidance=1.0), negative_prompt="bad")(x, U)
        torch.testing.assert_close(2 * paper, nfsd)

    @pytest.mark.parametrize(
        ("weighting", "weight"),
        [("uniform", 1), ("variance", 0.598), ("inverse_deviation", 0.598**-0.5)],
    )
    def test_weights(self, weighting, weight):
        x = points()
        plain, weighted = make(Contrast())(x, U), make(Contrast(), weighting=weighting)(x, U)
        torch.testing.assert_close(weighted, weight * plain)  # 1 − ᾱ_600 = 0.598


class TestMovedFields:
    def test_renoising(self):
        # t fixed by a range of one: x̂₀ = (x − σ_τ ε)/√ᾱ_τ, x_t = √ᾱ_t x̂₀ + σ_t ε.
        score, x = make(NoisePrediction(), timestep_range=(-100, -100)), points()
        found = score(x, U, rng_step=4)
        moved, times, _ = score.model.calls[0]
        assert times.tolist() == [500] * 3
        level, there = 0.99 - 0.98 * 0.6, 0.99 - 0.98 * 0.5
        # The noise that was drawn, from x and x_t: one linear equation.
        a = (there / level) ** 0.5
        noise = (moved - a * x) / ((1 - there) ** 0.5 - a * (1 - level) ** 0.5)
        assert float(noise.std()) == pytest.approx(1, abs=0.5)
        torch.testing.assert_close(
            found, -predicted(moved, 500, "conditional") / (1 - there) ** 0.5
        )
        # Every latent got noise of its own.
        assert not torch.allclose(noise[0], noise[1])

    def test_sds_subtracts_the_noise_it_added(self):
        score = make(ScoreDistillation(guidance=5.0), timestep_range=(50, 50), weighting="variance")
        x = points()
        found = score(x, U, rng_step=0)
        moved = score.model.calls[0][0][:3]
        expected = score.model.sigma_at(650) ** 2 * distilled(x, moved, 650, 5.0)
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)

    def test_sds_is_random_even_at_the_level(self):
        score = make(ScoreDistillation())
        assert score.stochastic
        assert not torch.equal(score(points(), U, 0), score(points(), U, 1))

    @pytest.mark.parametrize(("low", "high"), [(-100, 99), (-30, -20), (0, 1)])
    def test_timesteps_fill_the_range(self, low, high):
        score = make(Contrast(), timestep_range=(low, high))
        for draw in range(300):
            score(points(), U, draw)
        seen = {int(times[0]) for _, times, _ in score.model.calls}
        assert min(seen) >= 600 + low
        assert max(seen) <= 600 + high
        assert len(seen) > 0.7 * min(
            high - low + 1, 300
        )  # 1 − 1/e of 200 would be 126 of 300 draws
        assert all((times == times[0]).all() for _, times, _ in score.model.calls)

    def test_ranges_are_kept_within_the_schedule(self):
        score = make(Contrast(), timestep_range=(-5000, 5000))
        assert (score.low, score.high) == (0, 999)
        score = make(Contrast(), timestep_range=(20, 980), absolute=True)
        assert (score.low, score.high) == (20, 980)

    @pytest.mark.parametrize("samples", [2, 5])
    def test_samples_are_averaged_in_one_call(self, samples):
        score = make(ScoreDistillation(7.0), timestep_range=(-100, 99), samples=samples)
        x = points()
        found = score(x, U, rng_step=3)
        ((latents, times, _),) = score.model.calls
        assert len(latents) == 2 * 3 * samples
        looks = zip(latents.split(3)[:samples], times.split(3)[:samples])
        alone = [distilled(x, moved, int(t[0]), 7.0) for moved, t in looks]
        assert len({int(t[0]) for t in times.split(3)}) == samples  # each at a timestep of its own
        torch.testing.assert_close(found, torch.stack(alone).mean(0))

    @pytest.mark.parametrize("samples", [1, 3])
    def test_a_chunk_of_nodes_shares_a_timestep(self, samples):
        """As the released code has it: for 15 nodes two, each node with a noise of its own."""
        u = torch.linspace(0, 1, 15, dtype=torch.float64)
        x = points(shape=(15, 2, 4))
        options = {"timestep_range": (-100, 99), "weighting": "variance", "samples": samples}
        score = make(NoisePrediction(), chunk=10, **options)
        found = score(x, u, 7)
        moved, times, _ = score.model.calls[0]
        shared = times.reshape(samples, 15)
        assert all(len(set(look[:10].tolist())) == 1 for look in shared)
        assert all(len(set(look[10:].tolist())) == 1 for look in shared)
        assert (shared[:, 0] != shared[:, -1]).all()
        # Each node by the formula of its own timestep: −w_t ε/σ_t with w = σ_t².
        sigma = torch.tensor([score.model.sigma_at(int(t)) for t in times])[:, None, None]
        one = times[:, None, None] / 1000 * moved + (1 + u).repeat(samples)[:, None, None]
        expected = (-sigma * one).reshape(samples, 15, 2, 4).mean(0)
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
        assert torch.equal(found, make(NoisePrediction(), chunk=10, **options)(x, u, 7))
        # The first chunk's draw is that of a call without chunks.
        whole = make(NoisePrediction(), **options)
        whole(x, u, 7)
        assert whole.model.calls[0][1][0] == times[0]

    def test_a_chunk_of_all_is_no_chunk(self):
        x, options = points(), {"timestep_range": (-100, 99)}
        plain = make(NoiseFree(), **options)(x, U, 3)
        assert torch.equal(plain, make(NoiseFree(), chunk=3, **options)(x, U, 3))
        assert not torch.equal(plain, make(NoiseFree(), chunk=2, **options)(x, U, 3))

    def test_frozen_draws_are_one_for_all(self):
        x, options = points(), {"timestep_range": (-100, 99), "fresh": False}
        plain = make(Contrast(), **options)(x, U, 3)
        assert torch.equal(plain, make(Contrast(), chunk=1, **options)(x, U, 3))

    def test_samples_cost_nothing_where_nothing_is_drawn(self):
        score = make(Contrast(), samples=7)
        score(points(), U)
        assert len(score.model.calls[0][0]) == 6


class TestDraws:
    def test_the_same_seed_draws_the_same(self):
        x = points()
        one, other = (make(Contrast(), timestep_range=(-100, 99), seed=5) for _ in range(2))
        for draw in (None, 0, 1, 17):
            assert torch.equal(one(x, U, draw), other(x, U, draw))

    def test_another_seed_and_another_call_draw_differently(self):
        x = points()
        options = {"timestep_range": (-100, 99), "weighting": "variance"}
        found = [
            make(NoisePrediction(), seed=s, **options)(x, U, d) for s in (0, 1) for d in (0, 1, 2)
        ]
        for k, one in enumerate(found):
            assert not any(torch.equal(one, other) for other in found[:k])

    def test_draws_do_not_touch_the_global_generator(self):
        state = torch.get_rng_state()
        make(Contrast(), timestep_range=(-100, 99))(points(), U, 0)
        assert torch.equal(state, torch.get_rng_state())

    @pytest.mark.parametrize("batch", [1, 2, 3, 100])
    def test_draws_do_not_depend_on_the_batch_of_the_model(self, batch):
        x = points()
        one, other = (
            make(ScoreDistillation(), timestep_range=(-100, 99), samples=3) for _ in range(2)
        )
        other.model.batch_size = batch
        assert torch.equal(one(x, U, 2), other(x, U, 2))

    @pytest.mark.parametrize("fresh", [True, False])
    @pytest.mark.parametrize(
        "field", [NoisePrediction(), NoisePrediction(3.0), Contrast(3.0), NoiseFree()]
    )
    def test_measuring_is_the_sure_look_at_the_level(self, field, fresh):
        options = {"samples": 3, "chunk": 2, "fresh": fresh, "weighting": "variance"}
        score, x = make(field, timestep_range=(-100, 99), **options), points()
        found = score(x, U)
        assert [len(call[0]) for call in score.model.calls] == [3 * len(field.needs)]
        assert set(score.model.calls[0][1].tolist()) == {600}
        assert torch.equal(found, make(field, weighting="variance")(x, U, 5))
        assert not torch.equal(found, score(x, U, 0))

    def test_score_distillation_is_measured_by_its_mean_over_the_noise(self):
        x, options = points(), {"timestep_range": (0, 0), "weighting": "variance"}
        score = make(ScoreDistillation(3.0), **options)
        many = make(ScoreDistillation(3.0), **options, samples=4000)
        torch.testing.assert_close(score(x, U), many(x, U, 0), rtol=0, atol=4 * 0.6 / 4000**0.5)

    def test_common_draws_give_one_smooth_field(self):
        score = make(NoisePrediction(), timestep_range=(-100, 99), fresh=False)
        x = points()
        first = score(x, U, 0)
        assert torch.equal(first, score(x, U, 1))
        assert not score.stochastic
        # The same noise at every node: equal latents at equal places get equal scores.
        same = score(x[:1].expand(3, -1, -1), U[:1].expand(3), 0)
        torch.testing.assert_close(same, same[:1].expand_as(same), rtol=0, atol=0)
        # And batches do not matter.
        torch.testing.assert_close(score(x[1:2], U[1:2], 3), first[1:2])


@pytest.mark.parametrize("options", [AROUND | {"chunk": 2}, AROUND | {"fresh": False}])
def test_a_path_is_measured_by_the_sure_field_however_it_was_solved(options):
    def problem(**options):
        ends = torch.tensor([[2.0, 0.0], [0.0, 1.5]]).double()
        path = Path(*ends, Euclidean(), 8)
        return Problem(path, Score(Gaussian(), condition(), NoisePrediction(), **options), 0.3)

    random, sure = problem(**options), problem()
    random.evaluate(), random.evaluate()
    found, expected = random.measure(), sure.measure()
    assert found.length == expected.length
    assert torch.equal(found.log_density, expected.log_density)


@pytest.mark.parametrize("guidance", [1.0, 7.0])
def test_the_plain_score_of_a_gaussian_is_exact_at_its_level(guidance):
    model = Gaussian()
    # All prompts are the same to this model, so guidance changes nothing.
    score = Score(model, condition(), NoisePrediction(guidance))
    x = points(shape=(3, 2))
    torch.testing.assert_close(score(x, U), model.exact(x, 600))


def test_the_plain_score_of_a_gaussian_is_exact_where_it_was_moved_to():
    model = Gaussian()
    score = Score(model, condition(), NoisePrediction(), timestep_range=(-200, 200))
    x = points(shape=(3, 2))
    for draw in range(5):
        found, farther = score(x, U, draw), score(2 * x, U, draw)
        (moved, times, _), (other, *_) = model.calls[-2:]
        t = int(times[0])
        torch.testing.assert_close(found, model.exact(moved, t))
        torch.testing.assert_close(farther, model.exact(other, t))
        # x_t of a latent of x_τ's law has x_t's law only when ε is its own; its mean is right.
        scale = (model.alpha_cumprod(t) / model.alpha_cumprod(600)) ** 0.5
        torch.testing.assert_close(other - moved, scale * x)


def test_one_function_turns_noise_into_a_score():
    noise = points()
    torch.testing.assert_close(score_from_noise(noise, 0.5), -2 * noise)


class TestFlags:
    def test_a_fixed_timestep_is_sure(self):
        for field in (NoisePrediction(), NoisePrediction(2.0), Contrast(), NoiseFree()):
            assert not make(field).stochastic
            assert make(field, timestep_range=(-1, 1)).stochastic
            assert make(field, timestep_range=(5, 5)).stochastic  # another timestep needs noise
            assert not make(field, timestep_range=(-1, 1), fresh=False).stochastic

    def test_only_a_plain_score_has_a_curvature_bound(self):
        assert make(NoisePrediction()).curvature_bound == pytest.approx(1 / 0.598)
        assert make(NoisePrediction(2.0)).curvature_bound is None
        assert make(NoisePrediction(), timestep_range=(-1, 1)).curvature_bound is None
        assert make(NoisePrediction(), weighting="variance").curvature_bound is None
        assert make(Contrast()).curvature_bound is None
        assert make(ScoreDistillation()).curvature_bound is None
        assert make(NoiseFree()).curvature_bound is None

    @pytest.mark.parametrize("name", ["gaussian", "ring", "sphere_cloud"])
    def test_an_exact_density_has_the_bound_of_its_own_width(self, name):
        score = exact_score(name)
        model = score.model
        assert score.curvature_bound == pytest.approx(1 / model.sigma**2)
        x = model.density.ends
        torch.testing.assert_close(score(x, torch.tensor([0.0, 1.0])), model.density.score(x))

    def test_any_latent_shape(self):
        for shape in ((3, 5), (3, 4, 8, 8), (3, 2, 3, 4, 5)):
            for field in (NoisePrediction(), ScoreDistillation(2.0), NoiseFree()):
                score = make(field, timestep_range=(-9, 9), samples=2)
                found = score(points(shape=shape), U, 0)
                assert found.shape == shape
                assert found.isfinite().all()


class TestRefuses:
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"samples": 0}, r"score\.samples: got 0"),
            ({"chunk": 0}, r"score\.chunk: got 0, expected at least 1, or null"),
            ({"weighting": "loud"}, "uniform, variance, inverse_deviation"),
            ({"timestep_range": (3, 2)}, r"score\.timestep_range"),
        ],
    )
    def test_options_that_mean_nothing(self, options, said):
        with pytest.raises(UserError, match=said):
            make(NoisePrediction(), **options)

    def test_a_contrast_of_nothing(self):
        with pytest.raises(UserError, match="both are 0"):
            Contrast(0, 0)


def test_sigma_of_the_toy_is_what_the_tests_assume():
    assert math.isclose(Toy().sigma ** 2, 0.598)
