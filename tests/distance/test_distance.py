"""Distances: one normalization, symmetry, triangles, and the plane they are drawn in."""

from __future__ import annotations

import json
import math
import shutil
from functools import cache, partial

import pytest
import torch
from known import exact_problem, random_mixture

from geodesic_lightning.data.frames import SHIPPED, Frames
from geodesic_lightning.distance import between, distances, embed
from geodesic_lightning.distance.__main__ import images_of, run
from geodesic_lightning.distance.picture import draw
from geodesic_lightning.errors import UserError
from geodesic_lightning.functional import optics, quadrature
from geodesic_lightning.geometry.manifold import Sphere
from geodesic_lightning.models.exact import DENSITIES, ExactModel, density
from geodesic_lightning.optimizers.semi_implicit import SemiImplicit
from geodesic_lightning.optimizers.solve import solve
from geodesic_lightning.score.estimator import Score
from geodesic_lightning.score.fields import NoisePrediction
from geodesic_lightning.solvers.assemble import automatic

SMOOTH = ["constant_score", "gaussian", "mixture", "tube_2", "tube_64"]
PLANE = torch.tensor([[0.0, 0.0], [1.0, 0.2], [0.4, 0.9], [-0.7, 0.5]], dtype=torch.float64)


def joined(problem, points, alpha=None, segments=32):
    """Distances of points (n, d) under an exact density."""
    frames = Frames(None, ("",) * len(points), points=points)
    model = ExactModel(problem)
    score = partial(Score, field=NoisePrediction())
    optimizer = partial(SemiImplicit, tolerance=1e-6, iterations=60)
    return between(model, frames, score, automatic, optimizer, alpha, segments)


# -- the normalization -------------------------------------------------------------------------------------


def ideal(seed, n=5, alpha=0.3):
    """Lengths relative to each start, and rises, of a true metric: S_ij = D_ij e^(αλ_i)."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    log_density = torch.randn(n, generator=generator, dtype=torch.float64)
    truth = torch.cdist(points, points)
    lengths = truth * torch.exp(alpha * log_density)[:, None]
    return truth, log_density, lengths, log_density[None, :] - log_density[:, None]


@pytest.mark.parametrize("seed", range(5))
def test_a_true_metric_comes_back_up_to_its_one_constant(seed):
    truth, log_density, lengths, rises = ideal(seed)
    found = distances(lengths, rises, 0.3)
    scale = math.exp(0.3 * float(log_density.mean()))
    torch.testing.assert_close(found.matrix, truth * scale)
    torch.testing.assert_close(found.log_density, log_density - log_density.mean())
    assert found.curl < 1e-12
    assert found.triangle < 0


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_images_does_not_matter(seed):
    _, _, lengths, rises = ideal(seed)
    rises = rises + 0.1 * torch.randn_like(rises).triu(1)  # not quite a gradient
    rises = rises.triu(1) - rises.triu(1).T
    lengths = lengths.triu(1)
    lengths = lengths + (lengths * torch.exp(0.3 * rises)).T.tril(-1)  # seen from the other end
    mixed = torch.randperm(len(rises))
    there = distances(lengths, rises, 0.3)
    other = distances(lengths[mixed][:, mixed], rises[mixed][:, mixed], 0.3)
    torch.testing.assert_close(there.matrix[mixed][:, mixed], other.matrix)
    torch.testing.assert_close(there.log_density[mixed], other.log_density)
    assert there.curl == pytest.approx(other.curl)
    assert there.curl > 0.01


def test_two_images_are_in_the_normalization_of_their_geometric_mean():
    found = distances(torch.tensor([[0.0, 2.0], [0.0, 0.0]]), torch.tensor([[0, 3.0], [0, 0]]), 0.4)
    assert float(found.matrix[0, 1]) == pytest.approx(2 * math.exp(0.4 * 3 / 2))
    assert found.log_density.tolist() == pytest.approx([-1.5, 1.5])
    assert found.triangle == -1


def test_a_broken_triangle_is_told():
    far = torch.tensor([[0.0, 1, 3], [0, 0, 1], [0, 0, 0]])
    assert distances(far, torch.zeros(3, 3), 0.1).triangle == pytest.approx(0.5)


# -- on exact densities ----------------------------------------------------------------------------


@cache
def measured(name, backwards):
    problem = exact_problem(name, 32)
    if backwards:
        from geodesic_lightning.geometry.path import Path

        path = Path(problem.path.end, problem.path.start, problem.manifold, 32)
        problem = type(problem)(path, problem.score, problem.alpha)
    made = solve(problem, partial(SemiImplicit, tolerance=1e-6, iterations=60), 32)
    assert made.converged
    return problem.measure(), problem.alpha


@pytest.mark.parametrize("name", SMOOTH)
def test_there_is_as_far_as_back(name):
    (there, alpha), (back, _) = measured(name, False), measured(name, True)
    assert optics.distance(there, alpha) == pytest.approx(optics.distance(back, alpha), rel=3e-3)
    if abs(float(there.log_density[-1])) > 0.1:  # lengths relative to each start are not the same
        assert there.length != pytest.approx(back.length, rel=3e-3)


@pytest.mark.parametrize("name", SMOOTH)
def test_log_density_is_right_within_its_own_error(name):
    problem = exact_problem(name, 16)
    solve(problem, partial(SemiImplicit, tolerance=1e-4), 16)
    found, points = problem.measure(), problem.path.points()
    truth = density(name).log_density(points)
    error = (found.log_density - (truth - truth[0])).abs().max()
    assert float(error) <= found.log_density_error + 1e-9


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("ball", [False, True])
def test_triangle_inequality_and_symmetry_in_the_matrix(seed, ball):
    manifold = Sphere(1.0) if ball else automatic(ExactModel("mixture"), None)
    problem = random_mixture(seed, 3, manifold)
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    points = manifold.projx(points + torch.tensor([0.0, 0.0, 2.0]) if ball else points)
    found = joined(problem, points)
    assert all(found.converged)
    told = found.distances
    assert told.triangle < 1e-3
    assert torch.equal(told.matrix, told.matrix.T)
    truth = problem.log_density(points)
    torch.testing.assert_close(told.log_density, truth - truth.mean(), rtol=0, atol=0.02)
    error = max(m.log_density_error for m in found.measured)
    assert told.curl <= 3 * error + 1e-6
    # The other way round through the images nothing changes but the direction of every path.
    turned = joined(problem, points.flip(0)).distances.matrix.flip(0, 1)
    torch.testing.assert_close(turned, told.matrix, rtol=3e-3, atol=0)


def test_pairs_are_solved_in_one_batch_as_each_alone():
    found = joined("mixture", density("mixture").ends)
    alone, alpha = measured("mixture", False)
    assert float(found.distances.matrix[0, 1]) == pytest.approx(
        optics.distance(alone, alpha), rel=1e-6
    )


def test_one_image_has_no_distance():
    with pytest.raises(UserError, match="at least 2"):
        joined("mixture", density("mixture").ends[:1])


def test_the_same_point_twice_is_no_distance_away_and_changes_no_other():
    first, second = density("mixture").ends
    third = (first + second) / 2 + torch.tensor([0.0, 0.4])
    alone = joined("mixture", torch.stack([first, second, third]))
    found = joined("mixture", torch.stack([first, second, first, third, second]))
    order = [0, 1, 0, 2, 1]
    assert torch.equal(found.distances.matrix, alone.distances.matrix[order][:, order])
    assert found.distances.matrix[0, 2] == found.distances.matrix[1, 4] == 0
    assert torch.equal(found.distances.log_density, alone.distances.log_density[order])
    assert found.first == [0, 1, 0, 3, 1]
    assert found.numbers == [(0, 1), (0, 3), (1, 3)]
    assert found.distances.triangle == pytest.approx(0)  # over an image that is there twice


def test_one_point_alone_however_often():
    found = joined("mixture", density("mixture").ends[[0, 0, 0]])
    assert torch.equal(found.distances.matrix, torch.zeros(3, 3, dtype=torch.float64))
    assert found.evaluations == 0
    assert torch.equal(embed(found.distances.matrix).points, torch.zeros(3, 2).double())
    assert draw(found.distances, embed(found.distances.matrix), ["a", "b", "c"]).isfinite().all()


@pytest.mark.parametrize("names", ["aab", "abab", "aa"])
def test_one_picture_twice(names, tmp_path, tiny_sd2, capsys):
    files = [tmp_path / f"{name}.png" for name in names]
    for name, file in zip(names, files):
        shutil.copy(SHIPPED / f"pair_cat_{'start' if name == 'a' else 'end'}.png", file)
    words = ["model=diffusers", f"model.pretrained={tiny_sd2}", "solver.segments=3"]
    words += ["solver.alpha=0.001", f"folder={tmp_path / 'out'}"]
    run([*map(str, files), *words])
    said = json.loads((tmp_path / "out" / "distance.json").read_text())
    matrix = torch.tensor(said["distance"])
    for i, one in enumerate(names):
        for k, other in enumerate(names):
            assert (matrix[i, k] == 0) == (one == other)
    assert len(said["pairs"]) == len(set(names)) - 1
    assert len(said["same"]) == len(names) - len(set(names))
    assert (tmp_path / "out" / "distance.png").stat().st_size > 1000
    assert " 0" in capsys.readouterr().out


# -- the ray ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mixture", "sphere_cloud"])
def test_reading_as_a_ray(name):
    problem = DENSITIES[name]()
    points = problem.manifold.geodesic(*problem.ends, torch.linspace(0, 1, 17).double())
    found = quadrature.measure(points, problem.score(points), problem.alpha, problem.manifold)
    said = optics.reading(found, problem.alpha)
    index = torch.tensor(said["index"])
    assert float(index[0]) == 1
    speed = torch.tensor(said["metric_speed"]) / found.euclidean_length
    torch.testing.assert_close(index, speed, rtol=1e-2, atol=0)
    assert said["mean_index"] == pytest.approx(found.length / found.euclidean_length)
    assert float(index.min()) <= said["mean_index"] <= float(index.max())


# -- the plane -------------------------------------------------------------------------------------


def test_classical_scaling_finds_the_plane():
    matrix = torch.cdist(PLANE, PLANE)
    found = embed(matrix)
    torch.testing.assert_close(torch.cdist(found.points, found.points), matrix)
    assert found.explained == pytest.approx(1)
    assert found.curved == pytest.approx(0, abs=1e-12)


def test_two_points_lie_on_a_line_and_a_sphere_is_curved():
    pair = embed(torch.tensor([[0.0, 2.0], [2.0, 0.0]]))
    torch.testing.assert_close((pair.points[0] - pair.points[1]).norm(), torch.tensor(2.0).double())
    ball = Sphere(1.0)
    axes = torch.cat([torch.eye(3), -torch.eye(3)]).double()
    assert embed(ball.dist(axes[:, None], axes[None])).curved > 0.05


def test_the_picture_has_both_panels():
    matrix = torch.cdist(PLANE, PLANE)
    found = distances(matrix, torch.zeros(4, 4), 0.1)
    images = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    plain = draw(found, embed(matrix), ["a", "b", "c", "d"])
    shown = draw(found, embed(matrix), ["a", "b", "c", "d"], images)
    assert plain.shape == shown.shape
    assert float((plain - shown).abs().max()) > 0.1


def test_files_and_folders(tmp_path):
    for name in ("b.png", "a.jpg", "notes.txt", ".hidden.png"):
        (tmp_path / name).touch()
    one = tmp_path / "b.png"
    assert [f.name for f in images_of([str(tmp_path), str(one)])] == ["a.jpg", "b.png", "b.png"]
    with pytest.raises(UserError, match="2 to 64"):
        images_of([str(one)])
