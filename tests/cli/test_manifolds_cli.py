"""manifold=means and manifold=shell end to end: every solver, the shipped model, exact densities."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from geodesic_lightning.data.frames import shipped_pair
from geodesic_lightning.geometry import choose_manifold
from geodesic_lightning.models.diffusion import embedded
from geodesic_lightning.models.scheduler import Scheduler
from geodesic_lightning.score.condition import prompts
from geodesic_lightning.solvers.layouts import stops

CHOICES = ("means", "means_and_norm", "shell")
choices = pytest.mark.parametrize("name", CHOICES)
SMALL = ("solver.segments=4", "solver.frames=3", "callbacks=none", "debug=true")
SAVE = "+callbacks.save_path={_target_:geodesic_lightning.callbacks.SavePath,folder:${folder}}"


def points_of(folder):
    """All points of the run's path, (N+1, C, H, W)."""
    found = load_file(folder / "path.safetensors")
    ends = found["ends"]
    return torch.cat([ends[:1], found["nodes"], ends[1:]])


def held(points, name):
    """What is held of latents (n, C, H, W): means (n, C), norms of deviations (n, C or 1 or 0)."""
    means = points.mean((2, 3))
    norms = (points - means[..., None, None]).flatten(2).norm(dim=-1)
    held = {"means": norms[:, :0], "means_and_norm": norms.norm(dim=-1, keepdim=True)}
    return means, held.get(name, norms)


def check(outcome, name):
    """The run ended well, and the points of its path all have the same statistics."""
    assert outcome.code == 0, outcome.err
    for statistics in held(points_of(outcome.folder).double(), name):
        torch.testing.assert_close(
            statistics, statistics[:1].expand_as(statistics), rtol=1e-5, atol=1e-5
        )
    return json.loads((outcome.folder / "summary.json").read_text(encoding="utf-8"))


@choices
def test_between_two_images(geodesic, name):
    outcome = geodesic(f"manifold={name}", "data=pair_ears", SAVE, *SMALL[1:], "solver.segments=8")
    said = check(outcome, name)
    assert said["converged"]
    assert said["length"] < said["length_start"]


@choices
def test_without_a_density_the_path_is_the_manifolds_own_geodesic(geodesic, name):
    outcome = geodesic(f"manifold={name}", "data=pair_ears", "solver.alpha=0", SAVE, *SMALL)
    said = check(outcome, name)
    points = points_of(outcome.folder)
    space = getattr(choose_manifold, name)(None, points)
    flat = points.flatten(1)
    expected = space.geodesic(flat[0], flat[-1], torch.linspace(0, 1, 5))
    torch.testing.assert_close(flat, expected, rtol=0, atol=1e-4)
    assert said["length"] == pytest.approx(float(space.dist(flat[0], flat[-1])), rel=1e-5)


@pytest.mark.parametrize(
    "optimizer",
    ["rk4", *(pytest.param(name, marks=pytest.mark.slow) for name in ("strang", "picard"))],
)
def test_shooting(geodesic, optimizer):
    words = ("solver=ivp", "data=pair_ears", "solver.length=0.2", f"optimizer={optimizer}")
    check(geodesic("manifold=shell", *words, SAVE, *SMALL), "shell")


def test_a_loop_through_keyframes(geodesic):
    words = ("data=keyframes_cats", "data.closed=true")
    said = check(geodesic("manifold=shell", *words, SAVE, *SMALL), "shell")
    assert len(said["keyframes"]["u"]) == 4


@pytest.mark.slow
def test_the_mean_of_several(geodesic):
    # At the default strength, 1.5, and four segments its rounds do not settle on the shell.
    words = ("manifold=shell", "experiment=mean", "solver.strength=1", SAVE, *SMALL)
    said = check(geodesic(*words), "shell")
    assert said["converged"]


@pytest.mark.slow
def test_a_clip(geodesic):
    words = ("solver=clip", "data=clip_even")
    said = check(geodesic("manifold=shell", *words, SAVE, *SMALL), "shell")
    assert (
        said["clip"]["geodesic_length"] > 0 if "geodesic_length" in said["clip"] else said["clip"]
    )


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("shell", "slerp"),
        *(
            pytest.param(*one, marks=pytest.mark.slow)
            for one in (("means", "slerp"), ("shell", "lerp"))
        ),
    ],
)
def test_baselines_join_the_images_own_latents(geodesic, name, way):
    outcomes = [
        geodesic(
            f"manifold={m}", f"solver={way}", "data=pair_ears", SAVE, *SMALL, f"hydra.run.dir={m}"
        )
        for m in (name, "sphere")
    ]
    found, expected = (points_of(outcome.folder) for outcome in outcomes)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


@choices
def test_the_ends_are_decoded_from_their_own_latents(name, monkeypatch):
    model = embedded(scheduler=Scheduler())
    with torch.no_grad():
        laid = stops(model, shipped_pair("pair_cat"), prompts, getattr(choose_manifold, name))
        plain = stops(model, shipped_pair("pair_cat"), prompts, choose_manifold.euclidean)
    monkeypatch.setattr(model, "denoise", lambda x, c: x)  # what is decoded is the latent itself
    monkeypatch.setattr(model, "decode", lambda z: z)
    found = laid.decoder.decoded(laid.path, torch.tensor([0.0, 0.5, 1.0]))
    own = plain.path.chart(plain.path.points())
    torch.testing.assert_close(found[[0, -1]], own[[0, -1]], rtol=0, atol=1e-4)
    middle, both = (held(x, name) for x in (found[1:2], found[[0, -1]]))
    for statistic, of_ends in zip(middle, both):
        torch.testing.assert_close(statistic, of_ends.mean(0, keepdim=True), rtol=1e-4, atol=1e-4)


@choices
def test_points_of_an_exact_density_have_no_channels(geodesic, name):
    outcome = geodesic(f"manifold={name}", "model=exact")
    assert outcome.code == 1
    assert f"manifold={name}" in outcome.err
    assert "(C, H, W)" in outcome.err
    assert "Traceback" not in outcome.err


def test_a_channel_without_deviations_is_refused():
    latents = torch.randn(2, 3, 4, 4)
    latents[1, 2] = 0.5
    with pytest.raises(ValueError, match="manifold=means"):
        choose_manifold.shell(None, latents)
    choose_manifold.means(None, latents)


@choices
@pytest.mark.parametrize("shape", [(2, 8), (2, 4, 1, 2), (2, 4, 3, 8, 8)])
def test_other_shapes_are_refused(name, shape):
    with pytest.raises(ValueError, match="expected channels"):
        getattr(choose_manifold, name)(None, torch.randn(shape))


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 5, 2), (16, 2, 3)])
def test_any_shape_of_channels(shape):
    latents = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0)).double()
    for name in CHOICES:
        space = getattr(choose_manifold, name)(None, latents)
        points = space.projx(latents.flatten(1)).reshape(3, *shape)
        for found, given in zip(held(points, name), held(latents, name)):
            torch.testing.assert_close(found, given.mean(0).expand_as(found))


def test_latents_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        choose_manifold.shell(None, torch.full((2, 1, 2, 2), torch.nan))
