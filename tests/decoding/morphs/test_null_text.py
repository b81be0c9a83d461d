"""Null-text inversion: guided, the way down leads back to the images; Smooth Diffusion's shares one for both."""

import pytest
import torch
from morphing import random

from geodesic_lightning.decoding.morphs.decoder import MorphDecoder
from geodesic_lightning.decoding.morphs.null_text import NullText, after, trajectory
from geodesic_lightning.errors import UserError
from geodesic_lightning.geometry.manifold import Euclidean
from geodesic_lightning.geometry.path import Path
from geodesic_lightning.models.diffusion import DiffusionModel
from geodesic_lightning.models.scheduler import Scheduler
from geodesic_lightning.score.condition import Condition

SCHEDULERS = {
    "ddim": Scheduler("ddim", 5),
    "heun": Scheduler("heun", 5),
    "dpm_solver": Scheduler("dpm_solver", 5),
    "multistep": Scheduler("multistep", 6, grid="karras"),
    "order 3": Scheduler("multistep", 6, order=3, corrector=False),
}


@pytest.fixture(params=SCHEDULERS.values(), ids=SCHEDULERS)
def model(request, tiny_sd2):
    return DiffusionModel(str(tiny_sd2), request.param, batch_size=16)


def parts(model):
    prompts = model.embed(["a cat", "cat"]).clone()
    blank = model.embed([""], negative=True).clone()
    clean = 0.5 * random(2, *model.latent_shape, seed=1)
    return clean, model.noise_prediction, prompts, blank


def made(model, **settings):
    clean, predict, prompts, _ = parts(model)
    ends = trajectory(model, clean, lambda x, t: predict(x, t, prompts))[-1]
    path = Path(ends[0], ends[1], Euclidean(), 4)
    norms = ends.flatten(1).norm(dim=-1)
    return MorphDecoder(model, Condition(*prompts), None, norms, clean=clean, **settings), path


def test_the_trajectory_is_the_models_own_inversion(model):
    clean, predict, prompts, _ = parts(model)
    up = trajectory(model, clean, lambda x, t: predict(x, t, prompts))
    assert len(up) == len(model.ladder)
    torch.testing.assert_close(up[-1], model.invert(clean, prompts), rtol=1e-4, atol=1e-5)


def misses(model, nulls, guidance):
    """Mean square distance of each guided latent from the way up, level by level from the top."""
    clean, predict, prompts, _ = parts(model)
    up, gaps = trajectory(model, clean, lambda x, t: predict(x, t, prompts)), []
    before = []
    for step, null in enumerate(nulls):
        top, walked = len(model.ladder) - 1 - step, []

        def noise(at, t, null=null):
            plain = predict(at, t, null.expand(2, -1, -1))
            return plain + guidance * (predict(at, t, prompts) - plain)

        with torch.no_grad():
            x = model.descend(up[-1], after(before, noise, walked), model.ladder[top - 1 :])
        before = walked
        gaps.append(float((x - up[top - 1]).square().mean()))
    return gaps


def test_guided_the_way_down_comes_nearer_to_the_way_up(model):
    *rest, blank = parts(model)
    fitted = NullText(steps=10, lr=0.05).fit(model, *rest, blank, 7.5)
    assert len(fitted) == len(model.ladder) - 1
    near, far = misses(model, fitted, 7.5), misses(model, [blank] * len(fitted), 7.5)
    assert all(a < b for a, b in zip(near, far))
    # The way from the empty prompt's end to the image's is shortened by a quarter at least.
    assert near[-1] < 0.75 * far[-1]


def test_each_starts_from_the_one_above_and_is_bent_for_its_own_step(model):
    """With one step of Adam every number moves by the rate, which falls to half: lr (1 − k/2n)."""
    *rest, blank = parts(model)
    fitted = NullText(steps=1, lr=0.01).fit(model, *rest, blank, 7.5)
    former = blank
    for step, null in enumerate(fitted):
        rate = 0.01 * (1 - step / (2 * len(fitted)))
        moved = (null - former).abs()
        # Adam's first step is lr · g/(|g| + 1e-8): lr wherever there is a gradient to speak of.
        assert float(moved.max()) == pytest.approx(rate, rel=1e-2)
        former = null


def test_joint_is_one_for_both(model):
    *rest, blank = parts(model)
    assert {len(n) for n in NullText(steps=1).fit(model, *rest, blank, 7.5)} == {1}
    single = NullText(steps=2, joint=False).fit(model, *rest, blank, 7.5)
    assert {len(n) for n in single} == {2}
    assert not torch.equal(single[-1][0], single[-1][1])


def test_without_steps_it_is_plain_guidance(model):
    u = torch.tensor([0.0, 0.3, 1.0])
    one, path = made(model, guidance=7.5, null_text=NullText(steps=0))
    other, _ = made(model, guidance=7.5)
    torch.testing.assert_close(one(path, u), other(path, u), rtol=0, atol=2e-4)


def test_without_guidance_nothing_is_fitted(model):
    decoder, path = made(model, guidance=1.0, null_text=NullText())
    before = model.evaluations
    assert decoder.nulls is None
    assert model.evaluations == before
    plain, _ = made(model)
    u = torch.tensor([0.0, 0.5])
    assert torch.equal(decoder(path, u), plain(path, u))


def test_decoded_ends_are_nearer_to_the_images_than_guided_plainly(model):
    ends = torch.tensor([0.0, 1.0])
    clean = parts(model)[0]
    images = model.decode(clean)
    fitted, path = made(model, guidance=7.5, null_text=NullText(steps=10, lr=0.05))
    plainly, _ = made(model, guidance=7.5)
    gaps = [(decoder(path, ends) - images).square().mean() for decoder in (fitted, plainly)]
    assert gaps[0] < gaps[1]


def test_no_noise_is_asked_for_twice(model):
    """One ε under the prompts a call on the way up; down, without Adam, one more of each kind a call."""
    clean, predict, prompts, blank = parts(model)
    seen = []

    def counted(x, t, c):
        seen.append(t)
        return predict(x, t, c)

    up = trajectory(model, clean, lambda x, t: counted(x, t, prompts))
    climbed = len(seen)
    evaluations = model.evaluations
    model.denoise(up[-1], prompts)
    down = (model.evaluations - evaluations) // 2
    seen.clear()
    NullText(steps=0).fit(model, clean, counted, prompts, blank, 7.5)
    assert len(seen) == climbed + 2 * down


@pytest.mark.parametrize("settings", [{"steps": -1}, {"lr": 0.0}])
def test_settings(settings):
    with pytest.raises(UserError, match=rf"decoder.null_text.{next(iter(settings))}: got"):
        NullText(**settings)
