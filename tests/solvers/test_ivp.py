"""The initial value solver: launches, integrators as optimizers, fans, resuming, decoding."""

from __future__ import annotations

import math
import warnings
from functools import partial

import lightning
import pytest
import torch
from known import random_mixture

from geodesic_lightning import callbacks
from geodesic_lightning.data.frames import Frames
from geodesic_lightning.decoding.decoder import Decoder
from geodesic_lightning.errors import UserError
from geodesic_lightning.geometry.manifold import Euclidean, Sphere
from geodesic_lightning.integrators import initial_velocity as launch
from geodesic_lightning.integrators.initial_velocity import (
    Along,
    ClipEnd,
    Onward,
    PromptChange,
    Random,
    Toward,
)
from geodesic_lightning.models.exact import ExactModel, density
from geodesic_lightning.optimizers.integrator import Integrator
from geodesic_lightning.optimizers.picard import PicardSweeps
from geodesic_lightning.optimizers.semi_implicit import SemiImplicit
from geodesic_lightning.report.files import write_path
from geodesic_lightning.score.condition import Condition, prompts
from geodesic_lightning.score.estimator import Score
from geodesic_lightning.score.fields import NoisePrediction
from geodesic_lightning.solvers.assemble import assemble
from geodesic_lightning.solvers.bvp import BoundaryValueSolver
from geodesic_lightning.solvers.ivp import InitialValueSolver
from geodesic_lightning.trainer.loop import Batches

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*checkpoint.*:UserWarning"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step`"),
]

RK4, STRANG = partial(Integrator, method="rk4"), partial(Integrator, method="strang")
MAKERS = {"rk4": RK4, "strang": STRANG, "picard": PicardSweeps}
every = pytest.mark.parametrize("method", MAKERS)
PAIR = Frames(None, ("", ""), ("a", "b"))


def made(problem="mixture", optimizer=RK4, velocity=None, frames=PAIR, manifold=None, **options):
    kind = options.pop("kind", InitialValueSolver)
    return assemble(
        ExactModel(problem),
        frames,
        partial(kind, optimizer=optimizer, **options),
        partial(Score, field=NoisePrediction()),
        prompts,
        **({} if manifold is None else {"manifold": manifold}),
        velocity=None if kind is not InitialValueSolver else velocity or Toward(),
    )


def trainer(steps=-1, observers=(), **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lightning.Trainer(
            accelerator="cpu",
            max_epochs=1,
            max_steps=steps,
            callbacks=list(observers),
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            **options,
        )


def run(solver, observers=()):
    lead = trainer(observers=observers)
    lead.fit(solver, train_dataloaders=Batches())
    lead.validate(solver, dataloaders=[0], verbose=False)
    return solver


# -- the solver ------------------------------------------------------------------------------------


@every
@pytest.mark.parametrize("problem", ["mixture", "sphere_cloud"])
def test_shoots_the_geodesic_of_its_velocity(method, problem):
    solver = run(made(problem, MAKERS[method], length=0.3))
    known = density(problem)
    points = solver.path.points()
    assert solver.finished
    assert solver.converged
    torch.testing.assert_close(points[0], known.ends[0])
    assert float(known.manifold.dist(points[1:], points[:-1]).sum()) == pytest.approx(
        0.3 * float(known.manifold.dist(*known.ends)), rel=2e-3
    )
    ahead = known.manifold.logmap(points[0], points[1])
    toward = known.manifold.logmap(*known.ends)
    angle = torch.acos((ahead @ toward) / ahead.norm() / toward.norm())
    assert float(angle) < 0.2
    assert float(solver.measurement.turning.mean()) < 0.02  # unexplained, radians
    # A line along that velocity is no geodesic.
    assert float(solver.start.turning.mean()) > 10 * float(solver.measurement.turning.mean())


@every
def test_summary_says_what_was_shot(method):
    solver = run(made("mixture", MAKERS[method], length=0.3, segments=8))
    said = solver.summary()
    assert said["solver"] == "ivp"
    assert said["converged"] is True
    shot = said["shot"]
    known = density("mixture")
    assert shot["unit"] == pytest.approx(float(torch.dist(*known.ends)))
    assert shot["distance"] == pytest.approx(0.3 * shot["unit"])
    assert said["euclidean_length"] == pytest.approx(shot["distance"], rel=1e-3)
    assert len(said["index"]) == len(said["metric_speed"]) == 9
    assert said["score_evaluations"] == {"rk4": 33, "strang": 9}.get(
        method, said["score_evaluations"]
    )
    assert said["score_calls"] <= said["score_evaluations"]
    # The log density that the integrator carried is the one that was measured.
    truth = known.log_density(solver.path.points()[[0, -1]]).diff()
    assert said["last_step"]["log_density"] == pytest.approx(
        float(truth), abs=0.05 if method == "strang" else 2e-3
    )
    assert said["log_density"][-1] == pytest.approx(
        float(truth), abs=said["log_density_error"] + 1e-6
    )


def test_a_checkpoint_holds_nodes_and_nothing_else():
    solver = made(velocity=Random(count=3))
    assert [name for name, _ in solver.named_parameters()] == [
        "path.nodes",
        "others.0.nodes",
        "others.1.nodes",
    ]


@every
def test_a_fan_is_its_shots(method):
    together = run(made("mixture", MAKERS[method], Toward(count=3, spread=0.3), length=0.3))
    launched = together.launch
    for k, path in enumerate(together.problem.paths):
        alone = made("mixture", MAKERS[method], lambda view, k=k: _only(launched, k), length=0.3)
        run(alone)
        # Sweeps stop when all rays do: a ray alone may stop one sweep before.
        atol = 1e-3 if method == "picard" else 1e-12
        torch.testing.assert_close(path.points(), alone.path.points(), rtol=0, atol=atol)
    said = together.summary()["shot"]["fan"]
    assert len(said) == 3
    assert said[0]["length"] == pytest.approx(together.measurement.length)


def _only(launched, k):
    return launch.Launch(launched.start, launched.directions[k : k + 1], launched.unit)


@every
def test_the_other_way_is_the_other_velocity(method):
    back = run(made("mixture", MAKERS[method], length=-0.2))
    known = density("mixture")
    way = back.path.points()[1] - back.path.points()[0]
    assert float(way @ (known.ends[1] - known.ends[0])) < 0
    assert back.summary()["shot"]["distance"] > 0


@pytest.mark.parametrize("method", ["rk4", "strang"])
def test_metric_gauge_runs_the_same_curve_and_stands_evenly(method):
    solver = run(made("mixture", MAKERS[method], length=0.3, gauge="metric", segments=32))
    assert solver.measurement.length == pytest.approx(
        0.3 * solver.launch.unit, rel=3e-3
    )  # length is in the metric
    gaps = solver.path.points().diff(dim=0).norm(dim=-1)
    assert float(gaps.std() / gaps.mean()) < 0.01
    assert float(solver.measurement.turning.mean()) < 0.02
    assert solver.optimizer.report["speed_drift"] < 1e-5


@every
def test_resumed_ends_where_it_would_have(method, tmp_path):
    velocity, kept = Toward(count=2), tmp_path / "last.ckpt"

    class Keep(lightning.Callback):
        def on_train_batch_end(self, trainer, module, *_):
            if trainer.global_step == 3:
                trainer.save_checkpoint(kept)

    whole = run(made("mixture", MAKERS[method], velocity, length=0.3), [Keep()])
    torch.load(kept, weights_only=True)
    resumed = made("mixture", MAKERS[method], velocity, length=0.3)
    trainer().fit(resumed, train_dataloaders=Batches(), ckpt_path=kept)
    assert torch.equal(resumed.problem.points(), whole.problem.points())
    assert resumed.problem.evaluations == whole.problem.evaluations
    assert resumed.trainer.global_step == whole.trainer.global_step > 3


def test_path_is_whole_at_every_step():
    solver = made("sphere_cloud", length=0.5)
    lengths = []

    class Watch(lightning.Callback):
        def on_train_batch_end(self, trainer, module, *_):
            points, ball = module.path.points(), module.path.manifold
            lengths.append(float(ball.dist(points[1:], points[:-1]).sum()))
            assert torch.allclose(points.norm(dim=-1), torch.tensor(ball.radius).double())

    run(solver, [Watch()])
    assert len(lengths) == 16
    assert max(lengths) == pytest.approx(min(lengths), rel=5e-3)


def test_more_than_half_round_the_sphere():
    ball = Sphere(1.0)
    problem = random_mixture(0, 3, ball, alpha=0.0)
    solver = run(made(problem, STRANG, Random(), length=4.0 / float(ball.dist(*problem.ends))))
    points = solver.path.points()
    assert float(ball.dist(points[1:], points[:-1]).sum()) == pytest.approx(4.0, rel=1e-9)
    assert float(ball.dist(points[0], points[-1])) == pytest.approx(2 * math.pi - 4.0, rel=1e-6)


def test_a_free_shot_says_how_far_it_can_be_trusted_and_a_floored_one_stays_above():
    free = run(made("gaussian", length=3.0, segments=16))
    said = free.summary()["shot"]
    deviation = math.sqrt(free.path.start.numel() / 2)
    assert said["floor"] is None
    density_there = float(free.measurement.log_density.min())
    assert (said["trusted"] < 3.0) == (density_there < -3 * deviation)
    kept = run(made("gaussian", length=3.0, segments=64, floor=0.0))
    assert kept.summary()["shot"]["trusted"] is None
    assert float(kept.measurement.log_density.min()) > -0.1
    assert density_there < -3 * deviation


# -- what does not fit -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"length": 0.0}, r"solver\.length"),
        ({"length": math.inf}, r"solver\.length"),
        ({"segments": 1}, r"solver\.segments"),
        ({"gauge": "conformal"}, r"solver\.gauge.*euclidean, metric"),
        ({"alpha": -1.0}, r"solver\.alpha"),
        ({"optimizer": SemiImplicit}, "rk4, strang, picard"),
        ({"optimizer": partial(Integrator, method="euler")}, r"optimizer\.method.*rk4, strang"),
        ({"optimizer": partial(Integrator, turning=0)}, r"optimizer\.turning"),
        ({"optimizer": partial(PicardSweeps, tolerance=0)}, r"optimizer\.tolerance"),
        ({"optimizer": partial(PicardSweeps, shift=2)}, r"optimizer\.shift"),
        ({"optimizer": PicardSweeps, "gauge": "metric"}, r"solver\.gauge=euclidean"),
        ({"optimizer": PicardSweeps, "floor": 6.0}, r"solver\.floor=null"),
        ({"floor": math.nan}, r"solver\.floor"),
        ({"kind": BoundaryValueSolver, "optimizer": RK4}, "solver=ivp"),
        ({"kind": BoundaryValueSolver, "optimizer": PicardSweeps}, "solver=ivp"),
    ],
)
def test_refused_before_anything_is_computed(options, said):
    with pytest.raises(UserError, match=said):
        made(**options)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Toward(count=0), r"velocity\.count"),
        (lambda: Toward(spread=4), r"velocity\.spread"),
        (lambda: PromptChange(" "), r"velocity\.prompt"),
        (lambda: ClipEnd(last=1), r"velocity\.last"),
        (lambda: Onward("nowhere"), "does not exist"),
    ],
)
def test_a_velocity_says_what_is_wrong_with_it(make, said):
    with pytest.raises(UserError, match=said):
        make()


def test_toward_wants_two_and_a_prompt_wants_a_model():
    one = Frames(None, ("",), points=density("mixture").ends[:1])
    with pytest.raises(UserError, match="velocity=random"):
        made(frames=one)
    with pytest.raises(UserError, match="no prompts"):
        made(velocity=PromptChange("a cat"))
    assert made(frames=one, velocity=Random()).launch.unit == pytest.approx(
        float(density("mixture").ends[0].norm())
    )


# -- launches --------------------------------------------------------------------------------------


def view(points, manifold):
    condition = Condition(torch.zeros(1, 1).double(), torch.ones(1, 1).double())
    return launch.View(ExactModel("mixture"), points, points, manifold, condition)


def on_a_circle(count=6, spread=0.1):
    """Points on a great circle of the sphere of radius 2, `spread` radians apart."""
    angle = torch.arange(count).double() * spread
    return 2 * torch.stack([angle.cos(), angle.sin(), 0 * angle], -1)


@pytest.mark.parametrize("maker", [Toward(), Toward(4, 0.7, 3), Random(5), ClipEnd()])
@pytest.mark.parametrize("manifold", [Euclidean(), Sphere(2.0)], ids=str)
def test_directions_are_unit_tangents(maker, manifold):
    found = maker(view(on_a_circle(), manifold))
    ways = found.directions
    assert ways.shape == (maker.fan.count, 3)
    torch.testing.assert_close(ways.norm(dim=-1), torch.ones(len(ways)).double())
    if isinstance(manifold, Sphere):
        assert (ways @ found.start.flatten()).abs().max() < 1e-12
    if not isinstance(maker, Random):
        turned = torch.acos((ways[1:] @ ways[0]).clamp(-1, 1))
        torch.testing.assert_close(turned, torch.full_like(turned, maker.fan.spread))


def test_toward_and_a_clips_end_follow_the_great_circle():
    ball, points = Sphere(2.0), on_a_circle()
    for found, start in ((Toward()(view(points, ball)), 0), (ClipEnd()(view(points, ball)), -1)):
        torch.testing.assert_close(found.start, points[start])
        assert found.unit == pytest.approx(2 * 0.5)
        there = ball.expmap(points[start], 0.4 * found.directions[0])
        angle = 0.1 * (start % 6) + 0.2
        expected = 2 * torch.tensor([math.cos(angle), math.sin(angle), 0.0]).double()
        torch.testing.assert_close(there, expected)


def test_a_clips_end_feels_its_bend():
    time = torch.arange(6).double()
    parabola = torch.stack([time, time**2 / 10], -1)
    found = ClipEnd(last=4)(view(parabola, Euclidean()))
    slope = torch.tensor([1.0, 1.0]).double()  # at the last frame, t = 5
    torch.testing.assert_close(found.directions[0], slope / slope.norm())
    assert found.frame == -1


def test_random_directions_depend_on_the_seed_alone():
    points = on_a_circle()
    first = Random(2, seed=3)(view(points, Sphere(2.0))).directions
    again = Random(2, seed=3)(view(points, Sphere(2.0))).directions
    other = Random(2, seed=4)(view(points, Sphere(2.0))).directions
    assert torch.equal(first, again)
    assert float((first - other).norm()) > 0.1


@pytest.mark.parametrize("reverse", [False, True])
def test_continues_a_solved_path(reverse, tmp_path):
    ends = density("mixture").ends
    bent = made(kind=BoundaryValueSolver, optimizer=SemiImplicit, segments=16)
    run(bent)
    points = bent.path.points()
    tensors = {"nodes": points[1:-1], "u": bent.path.u, "ends": points[[0, -1]]}
    write_path(tmp_path / "path.safetensors", tensors)
    onward = run(made(velocity=Onward(str(tmp_path), reverse), length=0.2, segments=8))
    whole = points.flip(0) if reverse else points
    torch.testing.assert_close(onward.path.start, ends[0 if reverse else 1])
    # The two pieces join without a corner: the turning there is like that at the nodes beside it.
    chords = torch.cat([whole, onward.path.points()[1:]]).diff(dim=0)
    chords = chords / chords.norm(dim=-1, keepdim=True)
    turns = torch.acos((chords[1:] * chords[:-1]).sum(-1).clamp(-1, 1))
    assert float(turns[15]) < 1.5 * float(turns[12:15].max()) + 1e-3
    assert onward.launch.frame == (0 if reverse else -1)
    with pytest.raises(UserError, match=r"model="):
        made("tube_64", velocity=Onward(str(tmp_path)))


# -- prompts and pictures --------------------------------------------------------------------------


def test_prompts_stop_at_the_last_one():
    condition = Condition(torch.zeros(1, 1), torch.ones(1, 1))
    u = torch.tensor([0.0, 0.5, 1.0])
    places = {
        (0.0, 1.5): [0.0, 0.75, 1.0],
        (0.0, -1.0): [0.0, 0.0, 0.0],
        (1.0, 0.0): [1.0, 1.0, 1.0],
    }
    for (first, rate), expected in places.items():
        assert Along(condition, first, rate)(u).flatten().tolist() == expected


class Pictures:
    """A model whose images are the norms of its latents."""

    def denoise(self, x, embedding):
        return x

    def decode(self, latents):
        return latents.norm(dim=-1)[:, None, None, None].expand(-1, 3, 2, 2)


def test_the_last_frame_of_a_shot_is_not_a_given_image():
    shot = run(made("sphere_cloud", length=0.3))
    given = torch.full((1, 3, 2, 2), 7.0)
    decoder = Decoder(
        Pictures(), lambda u: None, given, torch.tensor([20.0]), places=(0.0,), ends="given"
    )
    frames = decoder(shot.path, torch.linspace(0, 1, 5))
    assert (frames[0] == 7).all()
    torch.testing.assert_close(frames[1:], torch.full((4, 3, 2, 2), 20.0))


def test_everything_that_is_written_of_a_path_is_written_of_a_fan(tmp_path):
    folder = str(tmp_path)
    observers = [
        callbacks.SavePath(folder),
        callbacks.DecodeEvery(folder, 8, count=3),
        callbacks.Video(folder),
        callbacks.Strip(folder),
        callbacks.ContactSheet(folder, count=3),
        callbacks.Curves(folder),
        callbacks.Table(folder),
    ]
    run(made("ring", velocity=Toward(count=2), length=0.3, segments=8), observers)
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {
        *("path.safetensors", "videos", "video.mp4", "strip.png", "fan.png", "curves.png")
    }


def test_from_python(tmp_path):
    from PIL import Image

    from geodesic_lightning import extrapolate

    for name, grey in (("a.png", 10), ("b.png", 200)):
        Image.new("L", (16, 16), grey).save(tmp_path / name)
    images = tmp_path / "a.png", tmp_path / "b.png"  # an exact density has points of its own
    found = extrapolate(*images, model=ExactModel("mixture"), length=0.2, segments=4, frames=3)
    assert found.summary["solver"] == "ivp"
    assert found.nodes.shape == (5, 2)
    assert len(found.frames) == 3
    again = extrapolate(
        *images,
        model=ExactModel("mixture"),
        length=0.2,
        segments=4,
        frames=3,
        optimizer=PicardSweeps,
    )
    torch.testing.assert_close(found.nodes, again.nodes, rtol=0, atol=2e-3)
