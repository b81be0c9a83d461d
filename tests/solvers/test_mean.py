"""The mean of several points: barycentre, spherical mean, symmetry, and always a minimum."""

from __future__ import annotations

import math
from functools import partial

import lightning as L
import pytest
import torch
from known import FLAT, exact_score, random_mixture

from geodesic_lightning.data.keyframes import keyframe_points
from geodesic_lightning.errors import UserError
from geodesic_lightning.geometry.manifold import Sphere
from geodesic_lightning.geometry.path import Path
from geodesic_lightning.geometry.star_path import StarPath
from geodesic_lightning.models.exact import ExactModel, density
from geodesic_lightning.models.exact.families import Slope
from geodesic_lightning.optimizers.frechet_mean import FrechetMean
from geodesic_lightning.optimizers.semi_implicit import SemiImplicit
from geodesic_lightning.optimizers.solve import solve
from geodesic_lightning.problems.boundary_value import Problem
from geodesic_lightning.score.condition import prompts
from geodesic_lightning.score.estimator import Score
from geodesic_lightning.score.fields import NoisePrediction
from geodesic_lightning.solvers.assemble import assemble
from geodesic_lightning.solvers.bvp import BoundaryValueSolver
from geodesic_lightning.solvers.frechet_mean import MeanSolver
from geodesic_lightning.trainer.loop import Batches

pytestmark = [  # what Lightning says of a run without data
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*no `val_dataloader`.*"),
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning"),
]


def mean(problem, stops, alpha=None, segments=8, **options):
    """The mean of points (n, d) under a density, with the optimizer that found it."""
    star = StarPath(stops, problem.manifold, segments)
    alpha = problem.alpha if alpha is None else alpha
    legs = Problem(star, exact_score(problem), alpha)
    made = FrechetMean(partial(SemiImplicit, tolerance=1e-5), legs, segments, **options)
    made.prepare()
    while not made.finished:
        made.step(legs.evaluate(made.awake))
    return star.end, made, legs


def flat(dimension, manifold=FLAT):
    """A density that is the same everywhere."""
    ends = manifold.projx(torch.eye(dimension, dtype=torch.float64)[:2])
    slope = torch.zeros(dimension, dtype=torch.float64)
    return Slope(name="flat", alpha=0.0, sigma=1.0, ends=ends, manifold=manifold, slope=slope)


def spread(problem, centre, stops):
    """Σ d², each distance by its own solve, relative to the density at the first point."""
    total, base = 0.0, float(problem.log_density(stops[:1]))
    for stop in stops:
        one = Problem(Path(stop, centre, problem.manifold), exact_score(problem), problem.alpha)
        solve(one, SemiImplicit, 16)
        rise = float(problem.log_density(stop[None])) - base
        total += (one.measure().length * math.exp(-problem.alpha * rise)) ** 2
    return total


def around(count, radius=1.0, turn=0.3):
    angle = torch.arange(count, dtype=torch.float64) * 2 * math.pi / count + turn
    return radius * torch.stack([angle.cos(), angle.sin()], -1)


@pytest.mark.parametrize("count", [2, 3, 6])
def test_without_density_it_is_the_barycentre(count):
    stops = torch.randn(count, 5, generator=torch.Generator().manual_seed(count)).double()
    centre, made, _ = mean(flat(5), stops)
    assert made.converged
    torch.testing.assert_close(centre, stops.mean(0), rtol=0, atol=1e-3)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_without_density_on_a_sphere_it_is_the_spherical_mean(count):
    ball = Sphere(2.0)
    generator = torch.Generator().manual_seed(count)
    stops = ball.projx(
        torch.tensor([1.0, 0, 0, 0]).double()
        + 0.8 * torch.randn(count, 4, generator=generator, dtype=torch.float64)
    )
    centre, made, _ = mean(flat(4, ball), stops, tolerance=5e-5)
    assert made.converged
    assert float(ball.logmap(centre, stops).mean(0).norm()) < 2e-4


@pytest.mark.parametrize("count", [3, 4])
def test_points_around_a_symmetric_density_have_its_centre_as_mean(count):
    gaussian = density("gaussian")
    centre, made, _ = mean(gaussian, around(count, 1.5), alpha=0.4)
    assert made.converged
    assert float(centre.norm()) < 2e-3
    assert float(made.distances.std()) < 1e-3 * float(made.distances.mean())


def test_the_mean_of_two_halves_the_way_between_them():
    """On the ring the mean lies on the mirror axis, near the ring, and at equal distances."""
    ring = density("ring")
    centre, made, _ = mean(ring, ring.ends)
    assert made.converged
    assert abs(float(centre[0])) < 1e-3
    assert 0.85 < float(centre[1]) < 1.0
    assert float(made.distances[0]) == pytest.approx(float(made.distances[1]), rel=1e-3)


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_near_it_is_nearer_to_all(seed):
    """Σ d² grows in every direction from the mean, measured by solves of their own."""
    manifold = Sphere(1.0) if seed == 2 else FLAT
    problem = random_mixture(seed, 3, manifold, alpha=0.3)
    stops = problem.means[:3]
    centre, made, _ = mean(problem, stops)
    assert made.converged
    least = spread(problem, centre, stops)
    for axis in torch.eye(3, dtype=torch.float64):
        step = manifold.proju(centre, 0.06 * axis)
        for sign in (-1, 1):
            moved = manifold.expmap(centre, sign * step)
            if step.norm() > 0.01:
                assert spread(problem, moved, stops) > least


def test_through_the_shell(tmp_path):
    """Lightning, the film, the summary; parameters are the nodes and nothing else."""
    stops = [[-1.5, 0.4], [1.4, 0.5], [0.1, 1.0]]
    solver = assemble(
        ExactModel("mixture"),
        keyframe_points(stops),
        partial(MeanSolver, optimizer=SemiImplicit, frames=7, segments=4),
        partial(Score, field=NoisePrediction()),
        prompts,
    )
    assert all(name.endswith(".nodes") for name, _ in solver.named_parameters())
    trainer = L.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, max_epochs=1,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(solver, train_dataloaders=Batches())
    trainer.validate(solver, dataloaders=[0], verbose=False)
    summary = solver.summary()
    assert summary["converged"]
    assert len(summary["mean"]["distances"]) == 3
    assert summary["mean"]["spread"] == pytest.approx(
        math.sqrt(sum(d * d for d in summary["mean"]["distances"]))
    )
    film = solver.frames()
    assert len(film) == 7
    torch.testing.assert_close(solver.mean_image(), film[-1], rtol=0, atol=1e-5)  # decoded alone
    made, saved = solver.optimizer, trainer.strategy.optimizers[0].state_dict()
    fresh = solver.configure_optimizers()
    fresh.load_state_dict(saved)
    assert fresh.inner.rounds_done == made.rounds_done


@pytest.mark.parametrize(
    "kind", [pytest.param(MeanSolver, marks=pytest.mark.slow), BoundaryValueSolver]
)
def test_stopped_after_any_step_it_ends_as_the_run_that_never_stopped(tmp_path, kind):
    """Some legs are done before others: those are not scored again, and are still asked for."""

    def made():
        return assemble(
            ExactModel("mixture"),
            keyframe_points([[-1.5, 0.4], [1.4, 0.5], [0.9, 0.9]]),
            partial(kind, optimizer=SemiImplicit, segments=8),
            partial(Score, field=NoisePrediction()),
            prompts,
        )

    def run(solver, **options):
        trainer = L.Trainer(
            accelerator="cpu", logger=False, enable_checkpointing=False, max_epochs=-1,
            enable_progress_bar=False, enable_model_summary=False,
            max_steps=options.pop("max_steps", -1),
        )  # fmt: skip
        trainer.fit(solver, train_dataloaders=Batches(), **options)
        return trainer

    straight, uneven = made(), 0
    steps = run(straight).global_step
    for stop in range(1, steps):
        first, second = made(), made()
        run(first, max_steps=stop).save_checkpoint(tmp_path / f"{stop}.ckpt")
        uneven += 0 < len(first.optimizer.awake) < len(first.problem.legs)
        run(second, ckpt_path=tmp_path / f"{stop}.ckpt")
        assert torch.equal(second.path.points(), straight.path.points())
        assert second.problem.evaluations == straight.problem.evaluations
    assert uneven
    if kind is MeanSolver:
        assert set(second.moving) <= {name for name, _ in second.named_buffers()}


class TestRefuses:
    def test_opposite_points_of_a_sphere(self):
        with pytest.raises(UserError, match="all around the sphere"):
            StarPath(torch.tensor([[1.0, 0], [-1, 0]]).double(), Sphere(1.0))

    def test_one_point(self):
        with pytest.raises(UserError, match="a mean is of several"):
            StarPath(torch.ones(1, 2), FLAT)

    @pytest.mark.parametrize("options", [{"tolerance": 0.0}, {"rounds": 0}])
    def test_settings(self, options):
        with pytest.raises(UserError, match=r"solver\."):
            mean(flat(2), around(3), **options)
