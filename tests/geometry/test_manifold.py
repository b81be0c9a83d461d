"""Properties of every manifold: three seeds of seven points, float64, and float32 in 16,384 dimensions."""

from __future__ import annotations

import math

import pytest
import torch

from geodesic_lightning.geometry.held_means import HeldMeans
from geodesic_lightning.geometry.manifold import Euclidean, Sphere
from geodesic_lightning.geometry.product import Product


def shell(channels):
    """Means and norms of as many channels held, no two alike."""
    radii = [10.0 + 3 * c for c in range(channels)]
    return HeldMeans(
        Product(tuple(map(Sphere, radii))), tuple(0.5 * c - 1 for c in range(channels))
    )


SEEDS = range(3)
PLAIN = [Euclidean(), Sphere(1.0), Sphere(57.3)]
NAMED = {
    "flat": Euclidean(),
    "sphere-1": Sphere(1.0),
    "sphere-57.3": Sphere(57.3),
    "product": Product((Sphere(2.0), Euclidean())),
    "means": HeldMeans(Euclidean(), (0.5, -2.0)),
    "means-on-a-sphere": HeldMeans(Sphere(57.3), (1.5,)),
    "shell-4": shell(4),
    "shell-16": shell(16),
}
MANIFOLDS = list(NAMED.values())
CASES = [
    pytest.param(torch.float64, 48, 1e-12, id="float64-48"),
    pytest.param(torch.float64, 64, 1e-12, id="float64-64"),
    pytest.param(torch.float32, 16384, 2e-5, id="float32-16384"),
]
properties = pytest.mark.parametrize("manifold", MANIFOLDS, ids=list(NAMED))
seeds = pytest.mark.parametrize("seed", SEEDS)
cases = pytest.mark.parametrize(("dtype", "dimension", "tolerance"), CASES)


def scale_of(manifold) -> float:
    """The least radius, 1 where there is none."""
    if isinstance(manifold, HeldMeans):
        return scale_of(manifold.inner)
    if isinstance(manifold, Product):
        return min(map(scale_of, manifold.factors))
    return getattr(manifold, "radius", 1.0)


def draw(manifold, seed, dtype, dimension, count=7):
    """Points x, y, z on the manifold and a vector v in space, each (count, dimension)."""
    generator = torch.Generator().manual_seed(seed)
    shape = (4, count, dimension)
    x, y, z, v = torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
    size = scale_of(manifold)
    return *(manifold.projx(p * size) for p in (x, y, z)), v * size / math.sqrt(dimension)


def close(a, b, tolerance):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@properties
@seeds
@cases
class TestProperties:
    def test_projection_is_idempotent(self, manifold, seed, dtype, dimension, tolerance):
        x, *_ = draw(manifold, seed, dtype, dimension)
        close(manifold.projx(x) / scale_of(manifold), x / scale_of(manifold), tolerance)

    def test_tangent_projection_is_idempotent_and_symmetric(
        self, manifold, seed, dtype, dimension, tolerance
    ):
        x, y, _, v = draw(manifold, seed, dtype, dimension)
        size = scale_of(manifold)
        tangent = manifold.proju(x, v)
        close(manifold.proju(x, tangent) / size, tangent / size, tolerance)
        assert (tangent.norm(dim=-1) <= v.norm(dim=-1) * (1 + tolerance)).all()
        a, b = (manifold.proju(x, y) * v).sum(-1), (y * tangent).sum(-1)
        close(a / size**2, b / size**2, 10 * tolerance)

    def test_exp_after_log_is_the_identity(self, manifold, seed, dtype, dimension, tolerance):
        x, y, *_ = draw(manifold, seed, dtype, dimension)
        size = scale_of(manifold)
        close(manifold.expmap(x, manifold.logmap(x, y)) / size, y / size, tolerance)

    @pytest.mark.parametrize("length", [1e-6, 1e-2, 1.0, 3.0])
    def test_log_after_exp_is_the_identity(
        self, manifold, seed, dtype, dimension, tolerance, length
    ):
        x, _, _, v = draw(manifold, seed, dtype, dimension)
        v = manifold.proju(x, v)
        v = v / v.norm(dim=-1, keepdim=True) * length * scale_of(manifold)
        back = manifold.logmap(x, manifold.expmap(x, v))
        error = (back - v).norm(dim=-1) / scale_of(manifold)
        assert error.max() <= 10 * tolerance

    def test_log_is_tangent_and_as_long_as_the_distance(
        self, manifold, seed, dtype, dimension, tolerance
    ):
        x, y, *_ = draw(manifold, seed, dtype, dimension)
        log = manifold.logmap(x, y)
        close(log.norm(dim=-1), manifold.dist(x, y), tolerance)
        close(manifold.proju(x, log) / scale_of(manifold), log / scale_of(manifold), tolerance)

    def test_distance_is_a_metric(self, manifold, seed, dtype, dimension, tolerance):
        x, y, z, _ = draw(manifold, seed, dtype, dimension)
        assert torch.equal(manifold.dist(x, y), manifold.dist(y, x))
        assert torch.equal(manifold.dist(x, x), torch.zeros(len(x), dtype=dtype))
        assert (manifold.dist(x, y) > 0).all()
        slack = tolerance * scale_of(manifold)
        assert (manifold.dist(x, z) <= manifold.dist(x, y) + manifold.dist(y, z) + slack).all()

    def test_coincident_points_have_an_exactly_zero_log(
        self, manifold, seed, dtype, dimension, tolerance
    ):
        x, *_ = draw(manifold, seed, dtype, dimension)
        assert torch.equal(manifold.logmap(x, x), torch.zeros_like(x))
        close(manifold.expmap(x, torch.zeros_like(x)), x, tolerance)

    def test_geodesic_has_exact_ends_and_constant_speed(
        self, manifold, seed, dtype, dimension, tolerance
    ):
        x, y, *_ = draw(manifold, seed, dtype, dimension)
        u = torch.linspace(0, 1, 9, dtype=dtype)
        nodes = manifold.geodesic(x[0], y[0], u)
        assert nodes.shape == (9, dimension)
        assert torch.equal(nodes[0], x[0])
        assert torch.equal(nodes[-1], y[0])
        total = manifold.dist(x[0], y[0])
        close(manifold.dist(x[0], nodes) / total, u, 10 * tolerance)
        close(manifold.dist(nodes[1:], nodes[:-1]) / total, u[1:] - u[:-1], 10 * tolerance)
        close(manifold.projx(nodes), nodes, tolerance)

    def test_leading_dimensions_broadcast(self, manifold, seed, dtype, dimension, tolerance):
        x, y, _, v = draw(manifold, seed, dtype, dimension)
        one = x[0]
        assert manifold.dist(one, y[:, None]).shape == (7, 1)
        for name, other in [("logmap", y), ("proju", v), ("expmap", manifold.proju(one, v))]:
            method = getattr(manifold, name)
            assert method(one, other).shape == other.shape
            size = scale_of(manifold)
            close(method(one, other)[3] / size, method(one, other[3]) / size, tolerance)


@pytest.mark.parametrize("manifold", PLAIN, ids=str)
@seeds
def test_rotations_change_nothing(manifold, seed):
    x, y, _, v = draw(manifold, seed, torch.float64, 12)
    generator = torch.Generator().manual_seed(seed + 100)
    q, _ = torch.linalg.qr(torch.randn(12, 12, generator=generator, dtype=torch.float64))
    close(manifold.dist(x @ q, y @ q), manifold.dist(x, y), 1e-12)
    close(manifold.logmap(x @ q, y @ q), manifold.logmap(x, y) @ q, 1e-11)
    v = manifold.proju(x, v)
    close(manifold.expmap(x @ q, v @ q), manifold.expmap(x, v) @ q, 1e-11)


@properties
@seeds
def test_no_other_curve_is_shorter(manifold, seed):
    x, y, _, _ = draw(manifold, seed, torch.float64, 48)
    nodes = manifold.geodesic(x[0], y[0], torch.linspace(0, 1, 9, dtype=torch.float64))
    length = manifold.dist(x[0], y[0])
    generator = torch.Generator().manual_seed(seed)
    for size in (1e-3, 0.1):
        moved = nodes + size * torch.randn(nodes.shape, generator=generator, dtype=torch.float64)
        moved = torch.cat([nodes[:1], manifold.projx(moved[1:-1]), nodes[-1:]])
        chords = manifold.dist(moved[1:], moved[:-1])
        assert float(chords.sum()) > float(length) * (1 + 1e-12)
        assert float(8 * chords.square().sum()) > float(length) ** 2 * (1 + 1e-12)


@seeds
@pytest.mark.parametrize("channels", [1, 3, 16])
class TestHeldMeans:
    def test_points_have_the_means_and_norms_that_are_held(self, channels, seed):
        manifold = shell(channels)
        x = draw(manifold, seed, torch.float64, 9 * channels)[0].unflatten(-1, (channels, 9))
        means = torch.tensor(manifold.means, dtype=torch.float64)
        close(x.mean(-1), means.expand(7, -1), 1e-13)
        radii = torch.tensor([m.radius for m in manifold.inner.factors], dtype=torch.float64)
        close((x - means[:, None]).norm(dim=-1), radii.expand(7, -1), 1e-13)

    def test_tangents_change_neither(self, channels, seed):
        manifold = shell(channels)
        x, _, _, v = draw(manifold, seed, torch.float64, 9 * channels)
        tangent = manifold.proju(x, v).unflatten(-1, (channels, 9))
        close(tangent.mean(-1), torch.zeros(7, channels, dtype=torch.float64), 1e-13)
        x = x.unflatten(-1, (channels, 9))
        inner = (tangent * (x - x.mean(-1, keepdim=True))).sum(-1)
        close(inner, torch.zeros(7, channels, dtype=torch.float64), 1e-11)

    def test_deviations_are_orthonormal_coordinates(self, channels, seed):
        manifold = shell(channels)
        generator = torch.Generator().manual_seed(seed)
        x, y = torch.randn(2, 9 * channels, generator=generator, dtype=torch.float64)
        a, b = (v.unflatten(-1, (channels, 9)) for v in (x, y))
        a, b = a - a.mean(-1, keepdim=True), b - b.mean(-1, keepdim=True)
        found = manifold.deviations(x) @ manifold.deviations(y)
        close(found, (a * b).sum(), 1e-12)
        close(manifold.vector(manifold.deviations(x)), a.flatten(), 1e-13)

    def test_the_order_of_the_pixels_does_not_matter(self, channels, seed):
        manifold = shell(channels)
        x, y, _, v = draw(manifold, seed, torch.float64, 9 * channels)
        order = torch.randperm(9, generator=torch.Generator().manual_seed(seed))

        def shuffled(p):
            return p.unflatten(-1, (channels, 9))[..., order].flatten(-2)

        close(manifold.dist(shuffled(x), shuffled(y)), manifold.dist(x, y), 1e-12)
        close(manifold.logmap(shuffled(x), shuffled(y)), shuffled(manifold.logmap(x, y)), 1e-11)
        v = manifold.proju(x, v)
        close(manifold.expmap(shuffled(x), shuffled(v)), shuffled(manifold.expmap(x, v)), 1e-11)

    def test_it_is_the_sphere_in_every_channel(self, channels, seed):
        manifold = shell(channels)
        x, y, *_ = draw(manifold, seed, torch.float64, 9 * channels)
        means = torch.tensor(manifold.means, dtype=torch.float64)[:, None]
        squares = 0
        for c, factor in enumerate(manifold.inner.factors):
            a, b = (p.unflatten(-1, (channels, 9))[:, c] - means[c] for p in (x, y))
            squares = squares + factor.dist(a, b) ** 2
        close(manifold.dist(x, y), squares.sqrt(), 1e-12)

    def test_a_channel_that_is_opposite_makes_points_antipodal(self, channels, seed):
        manifold = shell(channels)
        x, y, *_ = draw(manifold, seed, torch.float64, 9 * channels)
        assert not manifold.antipodal(x, y).any()
        x, y = (p.unflatten(-1, (channels, 9)).clone() for p in (x, y))
        y[3, -1] = 2 * manifold.means[-1] - x[3, -1]
        x, y = x.flatten(-2), y.flatten(-2)
        assert manifold.antipodal(x, y).tolist() == [k == 3 for k in range(7)]
        log = manifold.logmap(x, y)
        close(manifold.expmap(x, log), y, 1e-12)
        close(log.norm(dim=-1), manifold.dist(x, y), 1e-12)
        close(manifold.proju(x, log), log, 1e-11)
        assert not manifold.undetermined(x).any()
        flat = torch.tensor(manifold.means, dtype=torch.float64).repeat_interleave(9)
        assert bool(manifold.undetermined(flat))


@seeds
@pytest.mark.parametrize(("dtype", "dimension"), [(torch.float64, 5), (torch.float32, 16384)])
@pytest.mark.parametrize("gap", [0.0, 1e-12, 1e-6, 1e-3])
def test_nearly_antipodal_and_nearly_coincident_points(seed, dtype, dimension, gap):
    sphere = Sphere(10.0)
    x, _, _, v = draw(sphere, seed, dtype, dimension)
    v = sphere.proju(x, v)
    v = 10.0 * v / v.norm(dim=-1, keepdim=True)
    eps = torch.finfo(dtype).eps
    for y in (sphere.projx(-x + gap * v), sphere.projx(x + gap * v)):
        log = sphere.logmap(x, y)
        assert log.isfinite().all()
        assert torch.equal(log, sphere.logmap(x, y))
        assert ((log * x).sum(-1).abs() <= 50 * eps * 10.0 * log.norm(dim=-1) + 100 * eps).all()
        error = (sphere.expmap(x, log) - y).norm(dim=-1)
        assert error.max() <= 400 * eps
    far = sphere.logmap(x, sphere.projx(-x + gap * v)).norm(dim=-1)
    assert (far - (math.pi - math.atan(gap)) * 10.0).abs().max() <= 300 * eps


def test_exactly_antipodal_points_have_a_tangent_of_length_pi_r():
    sphere = Sphere(2.0)
    for dimension in (2, 3, 16384):
        x = torch.zeros(dimension)
        x[-1] = 2.0
        log = sphere.logmap(x, -x)
        assert float(log.norm()) == pytest.approx(2 * math.pi, rel=1e-6)
        assert float(log @ x) == 0
        half = sphere.geodesic(x, -x, torch.tensor([0.5]))
        assert float(sphere.dist(x, half)) == pytest.approx(math.pi, rel=1e-6)


@pytest.mark.parametrize(
    "manifold", [Sphere(128.0), shell(4), shell(16)], ids=["sphere", "shell-4", "shell-16"]
)
def test_self_distance_is_never_nan_in_16384_dimensions_in_float32(manifold):
    x = manifold.projx(torch.randn(300, 16384, generator=torch.Generator().manual_seed(0)))
    assert (manifold.dist(x, x) == 0).all()
    assert torch.equal(manifold.logmap(x[0], x[:1]), torch.zeros(1, 16384))


def test_gradients_at_coincident_points_are_finite():
    sphere = Sphere(3.0)
    x = sphere.projx(torch.randn(4, 8, dtype=torch.float64)).requires_grad_()
    (sphere.dist(x, x.detach()).sum() + sphere.logmap(x, x.detach()).sum()).backward()
    assert x.grad.isfinite().all()


def test_small_angles_keep_their_digits_in_float32():
    sphere = Sphere(1.0)
    angle = torch.tensor([1e-6, 1e-4, 1e-2], dtype=torch.float64)
    x = torch.tensor([[0.0, 1.0]] * 3)
    y = torch.stack((torch.sin(angle), torch.cos(angle)), -1).float()
    torch.testing.assert_close(sphere.dist(x, y).double(), angle, rtol=1e-6, atol=0)


@pytest.mark.parametrize("radius", [0, -1.0, math.nan, math.inf, "wide", None])
def test_a_radius_that_is_no_positive_number_is_refused(radius):
    with pytest.raises(ValueError, match="positive finite number"):
        Sphere(radius)


def test_manifolds_are_values():
    assert Sphere(2) == Sphere(2.0)
    assert hash(Sphere(2)) == hash(Sphere(2.0))
    assert Euclidean() == Euclidean()
    assert shell(2) == shell(2) != shell(3)
    assert hash(shell(2)) == hash(shell(2))
