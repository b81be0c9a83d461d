"""Pictures of a model's own, down to the path's noise level: against closed forms, and on the drawn cats."""

from __future__ import annotations

import pytest
import torch

from geodesic_lightning import from_text
from geodesic_lightning.data.prompts import prompts
from geodesic_lightning.errors import UserError
from geodesic_lightning.geometry.choose_manifold import automatic
from geodesic_lightning.models.diffusion import DiffusionModel, embedded
from geodesic_lightning.models.diffusion.noise_schedule import of_flow
from geodesic_lightning.models.exact import ExactModel
from geodesic_lightning.models.level import advance
from geodesic_lightning.models.samplers import SAMPLERS
from geodesic_lightning.models.scheduler import Scheduler
from geodesic_lightning.score.condition import prompts as in_words
from geodesic_lightning.score.condition import unconditional
from geodesic_lightning.solvers.layouts import film, stops, view

CAT, BLUE = "a happy orange cat", "a sly blue cat"


def answer(model, noise):
    """Let the denoiser's ε be a formula of (x, t, c)."""
    model.denoiser.forward = lambda x, time, c, return_dict=False: (noise(x, time, c),)


@pytest.fixture
def model(tiny_sd2):
    return DiffusionModel(str(tiny_sd2), Scheduler(), prediction="epsilon")


def noise_of(model, *seeds):
    draws = (torch.Generator().manual_seed(seed) for seed in seeds)
    return torch.stack([torch.randn(model.latent_shape, generator=draw) for draw in draws])


def test_guidance_weighs_the_prompt_against_none(model):
    """ε = mean(c), the same at all levels: every rule is then exact."""
    asked = model.embed(["cat", "a"])
    answer(model, lambda x, t, c: torch.ones_like(x) * c.mean((1, 2))[:, None, None, None])
    words, blank = asked.mean((1, 2)), model.embed([""]).mean()
    top, path = model.levels.at(999), model.ladder[-1]
    for weight in (1.0, 7.5):
        epsilon = (blank + weight * (words - blank))[:, None, None, None].expand(
            2, *model.latent_shape
        )
        expected = advance(noise_of(model, 3, 8), epsilon, top, path)
        torch.testing.assert_close(model.sample(asked, [3, 8], weight), expected, rtol=0, atol=1e-4)
    # What is usual with Stable Diffusion where nothing is said.
    torch.testing.assert_close(model.sample(asked, [3, 8]), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_gaussian_is_sampled_at_the_path_s_level(model, sampler):
    """Latents N(0, s²): ε = σ x/(ᾱ s² + σ²), and the flow keeps x/√(ᾱ s² + σ²)."""
    model.use(Scheduler(sampler, 100))
    spread = 0.5
    alphas = model.levels.alphas_cumprod.float()
    variance = alphas * spread**2 + 1 - alphas

    def noise(x, t, c):
        return x * ((1 - alphas).sqrt() / variance)[t].reshape(-1, 1, 1, 1)

    answer(model, noise)
    found = model.sample(model.embed(["a"] * 2), [0, 1])
    expected = noise_of(model, 0, 1) * (variance[model.timestep] / variance[999]).sqrt()
    torch.testing.assert_close(found, expected, rtol=2e-2 if sampler == "ddim" else 1e-3, atol=0)


def test_a_flow_begins_below_its_first_level():
    """There nothing is left of a latent, and ς is no number."""
    levels = of_flow(torch.linspace(0.001, 1, 1000))
    assert levels.alphas_cumprod[-1] == 0
    assert levels.top == 998
    assert Scheduler(noise_level=1.0).above(levels, 981)[-1] == 998


@pytest.fixture(scope="module")
def cats():
    return embedded(scheduler=Scheduler(steps=8))


def test_ends_are_at_the_path_s_level_and_nothing_is_inverted(cats, monkeypatch):
    monkeypatch.setattr(cats, "invert", None)
    frames = prompts(CAT, BLUE)
    layout = stops(cats, frames, in_words, automatic)
    ends = cats.sample(cats.embed([CAT, BLUE]), frames.seeds)
    same = torch.cosine_similarity(layout.path.start.flatten(), ends[0].flatten(), 0)
    assert same == pytest.approx(1.0, abs=1e-5)  # it has the sphere's radius
    assert layout.decoder.given is None
    assert ends.flatten(1).std(1) == pytest.approx(1.0, abs=0.1)  # as the density at that level
    # The condition is the run's own affair: pictures are what the prompts say.
    other = stops(cats, frames, unconditional, automatic)
    torch.testing.assert_close(other.path.start, layout.path.start)


def test_a_film_from_words(cats):
    few = {"model": cats, "segments": 2, "frames": 2, "tolerance": 1}
    film = from_text(CAT, BLUE, **few).frames
    assert torch.equal(from_text(CAT, BLUE, **few).frames, film)
    c = cats.embed([CAT, BLUE])
    ends = cats.decode(cats.denoise(cats.sample(c, (0, 1)), c))
    torch.testing.assert_close(film, ends, rtol=0, atol=1e-3)
    assert not torch.equal(cats.sample(c, (0, 2))[1], cats.sample(c, (0, 1))[1])
    middle = film[:, :, 70:80, 50:80].mean((2, 3))  # of the face: red, green, blue
    assert middle[0, 0] > middle[0, 2] + 0.2  # orange
    assert middle[-1, 2] > middle[-1, 0] + 0.2  # blue


def test_more_prompts_are_keyframes(cats):
    words = [CAT, BLUE, "a calm black cat"]
    loop = from_text(
        *words, seeds=[0] * 3, closed=True, model=cats, segments=2, frames=6, tolerance=1
    )
    c = cats.embed(words)
    ends = cats.decode(cats.denoise(cats.sample(c, [0] * 3), c))
    torch.testing.assert_close(loop.frames[::2], ends, rtol=0, atol=1e-3)


def test_an_exact_density_has_points_of_its_own():
    solution = from_text("a", "b", model=ExactModel("ring"), frames=3)
    assert solution.length == pytest.approx(2.01407, rel=1e-3)
    with pytest.raises(UserError, match="2 points of its own"):
        from_text("a", "b", "c", model=ExactModel("ring"))


def test_a_film_is_no_prompt(cats):
    with pytest.raises(UserError, match="needs images, got prompts alone"):
        film(cats, prompts(CAT, BLUE), in_words, None)


def test_on_from_a_prompt(cats):
    seen, given = view(cats, prompts(prompts=[CAT], seeds=[4]), in_words, automatic)
    assert given is None
    torch.testing.assert_close(seen.latents, cats.sample(cats.embed([CAT]), [4]))
