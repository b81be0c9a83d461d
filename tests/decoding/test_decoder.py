"""The decoder on a model whose arithmetic shows: ends exact, radii even, any number of frames."""

from __future__ import annotations

import pytest
import torch

from geodesic_lightning.decoding.decoder import Decoder
from geodesic_lightning.geometry.manifold import Euclidean, Sphere
from geodesic_lightning.geometry.path import Path
from geodesic_lightning.score.condition import Condition

SHAPE = (3, 2, 2)


class Glass:
    """A latent of shape (3, 2, 2) is its own image; the condition is kept for looking at."""

    def denoise(self, x, embedding):
        self.latents, self.embedding = x, embedding
        return x + 0

    def decode(self, latents):
        return latents


def make(manifold, given=None, norms=(2.0, 6.0), segments=8):
    generator = torch.Generator().manual_seed(0)
    ends = torch.randn(2, *SHAPE, generator=generator)
    ends = ends / ends.flatten(1).norm(dim=-1)[:, None, None, None]
    ends = ends * torch.tensor(norms)[:, None, None, None]
    model = Glass()
    condition = Condition(torch.zeros(1, 1), torch.ones(1, 1))
    decoder = Decoder(model, condition, given, torch.tensor(norms))
    return decoder, Path(ends[0], ends[1], manifold, segments), ends


@pytest.mark.parametrize("count", [1, 2, 3, 9, 17, 100])
@pytest.mark.parametrize("manifold", [Euclidean(), Sphere(4.0)], ids=str)
def test_any_number_of_frames(manifold, count):
    decoder, path, _ = make(manifold)
    u = torch.linspace(0, 1, count)
    found = decoder(path, u)
    assert found.shape == (count, *SHAPE)
    assert found.dtype == torch.float32
    assert torch.isfinite(found).all()
    # The prompt at the same place as the latent.
    torch.testing.assert_close(decoder.model.embedding.flatten(), u)


@pytest.mark.parametrize("manifold", [Euclidean(), Sphere(4.0)], ids=str)
def test_given_images_stand_at_the_ends_to_the_last_bit(manifold):
    given = torch.rand(2, *SHAPE)
    decoder, path, _ = make(manifold, given)
    for count in (2, 5, 17, 33):
        found = decoder(path, torch.linspace(0, 1, count))
        assert torch.equal(found[[0, -1]], given)
        inside = found[1:-1]
        assert not any(torch.equal(image, end) for image in inside for end in given)


def test_without_given_images_the_ends_are_decoded():
    decoder, path, ends = make(Euclidean())
    found = decoder(path, torch.linspace(0, 1, 9))
    torch.testing.assert_close(found[[0, -1]], ends)


def test_on_the_sphere_radii_go_evenly_from_one_ends_own_to_the_others():
    decoder, path, ends = make(Sphere(4.0))
    u = torch.linspace(0, 1, 13)
    found = decoder(path, u)
    torch.testing.assert_close(found.flatten(1).norm(dim=-1), 2 + 4 * u)
    # So nothing changes at the ends although the path has one radius.
    torch.testing.assert_close(found[[0, -1]], ends)
    assert float(path.points()[0].norm()) == pytest.approx(4)


def test_in_flat_space_nothing_is_rescaled():
    decoder, path, _ = make(Euclidean())
    found = decoder(path, path.u)
    torch.testing.assert_close(found.flatten(1), path.points())


def test_one_frame_in_the_middle_has_the_middles_radius():
    decoder, path, _ = make(Sphere(4.0))
    found = decoder(path, torch.tensor([0.5]))
    assert float(found.norm()) == pytest.approx(4)
    whole = decoder(path, torch.linspace(0, 1, 9))
    torch.testing.assert_close(found[0], whole[4], rtol=1e-5, atol=1e-5)


def test_given_images_are_not_changed_and_frames_are_not_theirs():
    given = torch.rand(2, *SHAPE)
    kept = given.clone()
    decoder, path, _ = make(Euclidean(), given)
    found = decoder(path, torch.linspace(0, 1, 5))
    found.zero_()
    assert torch.equal(given, kept)


def test_frames_of_an_inference_model_are_ordinary_tensors():
    decoder, path, _ = make(Euclidean())
    decoder.model.decode = torch.inference_mode()(lambda latents: latents * 1)
    found = decoder(path, torch.linspace(0, 1, 5))
    assert not found.is_inference()
