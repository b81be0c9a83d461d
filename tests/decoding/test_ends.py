"""decoder.ends through whole solvers, on a tiny Stable Diffusion 2: every layout and every decoder."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from geodesic_lightning import interpolate
from geodesic_lightning.data.frames import SHIPPED, Frames
from geodesic_lightning.decoding.blend import weights
from geodesic_lightning.decoding.decoder import plain
from geodesic_lightning.decoding.morphs.decoder import morph
from geodesic_lightning.errors import UserError
from geodesic_lightning.integrators.initial_velocity import Toward
from geodesic_lightning.metrics.lightness import least_lightness
from geodesic_lightning.models.diffusion import DiffusionModel
from geodesic_lightning.models.scheduler import Scheduler
from geodesic_lightning.optimizers.integrator import Integrator
from geodesic_lightning.optimizers.semi_implicit import SemiImplicit
from geodesic_lightning.score.condition import prompts
from geodesic_lightning.score.estimator import Score
from geodesic_lightning.score.fields import NoisePrediction
from geodesic_lightning.solvers.assemble import assemble
from geodesic_lightning.solvers.bvp import BoundaryValueSolver
from geodesic_lightning.solvers.frechet_mean import MeanSolver
from geodesic_lightning.solvers.ivp import InitialValueSolver


@pytest.fixture(scope="module")
def model(tiny_sd2) -> DiffusionModel:
    return DiffusionModel(str(tiny_sd2), Scheduler("ddim", 3), batch_size=16)


def build(model, solver, decoder, count=2, closed=False, **more):
    images = torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    frames = Frames(images, ("",) * count, closed=closed)
    made = partial(solver, alpha=0.01, segments=4, frames=9)
    return assemble(
        model,
        frames,
        made,
        partial(Score, field=NoisePrediction()),
        prompts,
        decoder=decoder,
        **more,
    ), images


def films(model, solver, maker, u, **more) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """What each word shows at u of the unbent path, and the given images."""
    found = {}
    for ends in ("given", "decoded", "blended"):
        built, images = build(model, solver, partial(maker, ends=ends), **more)
        with torch.no_grad():
            found[ends] = built.decoder(built.path, u)
    return found, images


def faded(
    found: dict[str, torch.Tensor], u, places, at: list[int], given, own: torch.Tensor | None = None
) -> torch.Tensor:
    """The blended film from the decoded one, by the formula; `own` are the ends without the ODE."""
    residuals = given - (found["decoded"][at] if own is None else own)
    added = torch.einsum("mk,kchw->mchw", weights(u, places).float(), residuals)
    return (found["decoded"] + added).clamp(0, 1)


def autoencoded(model, images) -> torch.Tensor:
    """What the autoencoder makes of images."""
    return model.decode(model.encode(Frames(images, ("",) * len(images)))).clone()


BENT = partial(BoundaryValueSolver, optimizer=SemiImplicit)


@pytest.mark.parametrize(
    "maker", [plain, partial(morph, adain=True), partial(morph, guidance=1.5)], ids=["plain", "adain", "guided"]
)  # fmt: skip
def test_two_images(model, maker):
    u = torch.linspace(0, 1, 9)
    found, given = films(model, BENT, maker, u)
    assert torch.equal(found["given"][[0, -1]], given)
    # The ends are not decoded where they are given: a batch of another size adds up in another order.
    torch.testing.assert_close(found["given"][1:-1], found["decoded"][1:-1], atol=1e-5, rtol=0)
    assert torch.equal(found["blended"][[0, -1]], given)
    own = autoencoded(model, given) if maker is plain else None
    expected = faded(found, u, (0.0, 1.0), [0, 8], given, own)
    expected[[0, 8]] = given
    torch.testing.assert_close(found["blended"], expected, atol=1e-5, rtol=0)


def test_a_loop_of_keyframes(model):
    u = torch.linspace(0, 1, 13)
    found, images = films(model, BENT, plain, u, count=3, closed=True)
    given = torch.cat([images, images[:1]])
    assert torch.equal(found["blended"][[0, 4, 8, 12]], given)
    own = autoencoded(model, given)
    expected = faded(found, u, (0, 1 / 3, 2 / 3, 1), [0, 4, 8, 12], given, own)
    expected[[0, 4, 8, 12]] = given
    torch.testing.assert_close(found["blended"], expected, atol=1e-5, rtol=0)


def test_a_shot_has_a_start_alone(model):
    u = torch.linspace(0, 1, 9)
    solver = partial(InitialValueSolver, optimizer=Integrator)
    found, given = films(model, solver, plain, u, velocity=Toward())
    assert torch.equal(found["given"][0], given[0])
    torch.testing.assert_close(found["given"][1:], found["decoded"][1:], atol=1e-5, rtol=0)
    expected = faded(found, u, (0.0,), [0], given[:1])
    torch.testing.assert_close(found["blended"], expected, atol=1e-5, rtol=0)


def test_a_mean_is_reached_as_it_is_decoded(model):
    """Legs of three frames each: the given image, the middle of the leg, the mean."""
    found = {}
    for ends in ("given", "decoded", "blended"):
        solver = partial(MeanSolver, optimizer=SemiImplicit)
        built, images = build(model, solver, partial(plain, ends=ends), count=3)
        with torch.no_grad():
            found[ends] = built._images(9)
    for k in range(3):
        leg = slice(3 * k, 3 * k + 3)
        assert torch.equal(found["given"][leg][0], images[k])
        assert torch.equal(found["blended"][leg][0], images[k])
        assert not torch.equal(found["decoded"][leg][0], images[k])
        for ends in ("given", "blended"):  # the fade is over half-way
            torch.testing.assert_close(
                found[ends][leg][1:], found["decoded"][leg][1:], atol=1e-5, rtol=0
            )


@pytest.mark.filterwarnings(
    "ignore::geodesic_lightning.NotConvergedWarning"
)  # four segments are few
def test_colours_of_the_ends_are_brighter_where_the_path_darkens():
    """pair_cat's default geodesic is darker in its middle than its darker end by some per cent."""
    ends = SHIPPED / "pair_cat_start.png", SHIPPED / "pair_cat_end.png"
    by_path, by_ends = (
        interpolate(*ends, segments=4, frames=5, decoder=decoder)
        for decoder in (partial(plain, colours="path"), None)  # the default
    )
    torch.testing.assert_close(by_path.nodes, by_ends.nodes, rtol=0, atol=0)
    assert least_lightness(by_path.frames) + 0.02 < least_lightness(by_ends.frames)


def test_it_is_chosen_on_the_command_line(geodesic):
    done = geodesic(
        "model=exact", "decoder.colours=ends", "solver.segments=4", "callbacks=log", "logger=none"
    )
    assert done.code == 0, done.err  # points have no colours, and nothing is done to them
    done = geodesic("model=exact", "decoder.colours=red", "hydra.run.dir=red")
    assert "decoder.colours: got 'red', expected path or ends." in done.err


@pytest.mark.parametrize(
    ("solver", "more"),
    [
        (partial(MeanSolver, optimizer=SemiImplicit), {"count": 3}),
        (partial(InitialValueSolver, optimizer=Integrator), {"velocity": Toward()}),
    ],
    ids=["mean", "shot"],
)
def test_a_mean_and_a_shot_have_colours_of_their_own(model, solver, more):
    with pytest.raises(UserError, match=r"choose decoder\.colours=path"):
        build(model, solver, partial(plain, colours="ends"), **more)
