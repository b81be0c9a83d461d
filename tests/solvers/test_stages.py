"""What a run spends where: the ledger adds up, nothing is asked twice, and showing keeps its bound."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from known import exact_problem

from geodesic_lightning.decoding import perceptual
from geodesic_lightning.decoding.retime import EvenlyPerceived
from geodesic_lightning.models.cost import passes_down
from geodesic_lightning.models.level import Level
from geodesic_lightning.optimizers.semi_implicit import SemiImplicit
from geodesic_lightning.optimizers.solve import solve
from geodesic_lightning.score.condition import prompts
from geodesic_lightning.score.estimator import Score
from geodesic_lightning.score.fields import NoisePrediction
from geodesic_lightning.solvers.assemble import assemble
from geodesic_lightning.solvers.base import SHOWN
from geodesic_lightning.solvers.bvp import BoundaryValueSolver
from geodesic_lightning.solvers.film import Film
from geodesic_lightning.solvers.stages import Stages


class TestStages:
    def test_a_stage_within_another_takes_its_part_out_of_it(self):
        model = SimpleNamespace(evaluations=5)
        stages = Stages("load")
        stages.watch(model)
        with stages.at("decode"):
            model.evaluations += 3
            with stages.at("retime"):
                model.evaluations += 20
            model.evaluations += 4
        model.evaluations += 1
        assert stages.passes == {"decode": 7, "retime": 20, "load": 1}

    def test_seconds_add_up_from_the_beginning_on(self):
        import time

        began = time.perf_counter() - 100
        stages = Stages("start", began)
        stages.enter("load")
        with stages.at("encode"):
            pass
        assert sum(stages.seconds.values()) == pytest.approx(time.perf_counter() - began, abs=1)
        assert stages.seconds["start"] == pytest.approx(100, abs=1)

    def test_what_fails_gives_the_former_stage_back(self):
        stages = Stages("solve")
        with pytest.raises(ArithmeticError), stages.at("show"):
            raise ArithmeticError
        assert stages.present == "solve"


class TestFilm:
    def decode(self, asked, u):
        asked.append(len(u))
        return u.reshape(-1, 1, 1, 1).expand(-1, 3, 2, 2).clone()

    def test_a_place_is_decoded_once(self):
        film, asked = Film(torch.zeros(3, 2), "u"), []
        decode = partial(self.decode, asked)
        whole = film.at(torch.linspace(0, 1, 17), decode)
        half = film.at(torch.linspace(0, 1, 9, dtype=torch.float64), decode)
        assert torch.equal(half, whole[::2])
        more = film.at(torch.tensor([1.0, 0.3, 1.0]), decode)
        torch.testing.assert_close(more[:, 0, 0, 0], torch.tensor([1.0, 0.3, 1.0]))
        assert asked == [17, 1]

    def test_long_films_are_decoded_in_parts(self):
        asked = []
        u = torch.linspace(0, 1, 150)
        found = Film(torch.zeros(3, 2), "u").at(u, partial(self.decode, asked))
        assert asked == [64, 64, 22]
        assert torch.equal(found[:, 2, 1, 1], u)

    def test_another_path_or_timing_is_another_film(self):
        film = Film(torch.zeros(3, 2), "u")
        assert film.shows(torch.zeros(3, 2), "u")
        assert not film.shows(torch.zeros(3, 2), "perceptual")
        assert not film.shows(torch.ones(3, 2), "u")


@pytest.mark.parametrize(("sampler", "passes"), [("ddim", 4), ("heun", 8), ("multistep", 4)])
def test_the_cost_of_the_way_down_is_counted(sampler, passes):
    levels = [Level(t, (1 - s**2) ** 0.5, s) for t, s in enumerate((0.1, 0.3, 0.5, 0.7, 0.9))]
    assert passes_down(sampler, levels) == passes


class TestMeasuring:
    def test_what_was_scored_is_not_scored_again(self):
        """The ends, and nodes that have not moved since the last step."""
        problem = exact_problem("gaussian", 8)
        before = problem.measure()
        problem.evaluate()
        model = problem.score.model
        spent = model.evaluations
        again = problem.measure()
        assert model.evaluations == spent
        assert again.length == pytest.approx(before.length, rel=1e-12)
        moved = problem.path.points()[1:-1].clone()
        moved[2] += 1e-3
        problem.path.set_nodes(moved)
        found = problem.measure()
        assert model.evaluations == spent + 1
        fresh = exact_problem("gaussian", 8)
        fresh.path.set_nodes(moved)
        assert found.length == pytest.approx(fresh.measure().length, rel=1e-12)

    def test_of_a_solved_path_only_the_ends_are_known(self):
        problem = exact_problem("gaussian", 16)
        solve(problem, SemiImplicit, 16)
        spent = problem.score.model.evaluations
        problem.measure()
        assert problem.score.model.evaluations == spent + 15


@pytest.fixture(scope="module")
def built(tiny_sd2):
    """The solver of a tiny Stable Diffusion between two pictures, solved and measured without a Trainer."""
    from geodesic_lightning.data.frames import Frames
    from geodesic_lightning.models.diffusion import DiffusionModel
    from geodesic_lightning.models.scheduler import Scheduler

    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    model = DiffusionModel(
        str(tiny_sd2), Scheduler("multistep", 16, grid="karras"), prediction="epsilon"
    )
    stages = Stages()
    solver = assemble(
        model,
        Frames(images, ("a", "b")),
        partial(BoundaryValueSolver, optimizer=SemiImplicit, alpha=1e-4),
        partial(Score, field=NoisePrediction()),
        prompts,
        timing=EvenlyPerceived(perceptual.embedded, 2),
        stages=stages,
    )
    solver.problem.score_ends()
    with stages.at("measure"):
        solver.start = solver.problem.measure(solver.path.baseline(16))
    first = solver.start_film()
    with stages.at("solve"):
        solve(solver.problem, SemiImplicit, 16)
    with stages.at("measure"):
        solver.measurement = solver.problem.measure()
    return solver, first


class TestARun:
    def test_every_stage_has_its_passes(self, built):
        solver, first = built
        film = solver.frames()
        passes = dict(solver.stages.passes)
        assert passes["encode"] == 20
        assert passes["measure"] == 30  # the ends are known
        assert passes["retime"] == 2 * 15 * 4  # rough films, without the given ends
        assert passes["decode"] == 15 * 10
        assert sum(passes.values()) == solver.problem.score.model.evaluations
        assert 3 <= len(first) < len(film) == 17

    def test_what_is_shown_keeps_its_bound(self, built):
        solver, first = built
        shown = solver.stages.passes["show"]
        own = sum(solver.stages.passes.values()) - shown
        assert shown == 4 * (len(first) - 2)
        assert shown <= SHOWN * own

    def test_no_frame_and_no_film_is_decoded_twice(self, built):
        solver, first = built
        film, before = solver.frames(), solver.problem.score.model.evaluations
        assert solver.frames() is film
        assert solver.start_film() is first
        assert torch.equal(solver.images(solver.places(17)), film)
        assert solver.problem.score.model.evaluations == before
