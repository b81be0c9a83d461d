"""The decoder on a model whose arithmetic shows: ends exact, radii even, any number of frames."""

from __future__ import annotations

import pytest
import torch

from geodesic_lightning.decoding.blend import SHARE, weights
from geodesic_lightning.decoding.decoder import Decoder
from geodesic_lightning.errors import UserError
from geodesic_lightning.geometry.manifold import Euclidean, Sphere
from geodesic_lightning.geometry.path import Path
from geodesic_lightning.geometry.piecewise_path import PiecewisePath
from geodesic_lightning.score.condition import Condition

SHAPE = (3, 2, 2)


class Glass:
    """A latent of shape (3, 2, 2) is its own image; the condition is kept for looking at."""

    def denoise(self, x, embedding):
        self.latents, self.embedding = x, embedding
        return x + 0

    def sketch(self, x, embedding):
        return x + 1

    def decode(self, latents):
        return latents

    passes, rough_passes = 10, 4


def make(manifold, given=None, norms=(2.0, 6.0), segments=8, shown="given"):
    generator = torch.Generator().manual_seed(0)
    ends = torch.randn(2, *SHAPE, generator=generator)
    ends = ends / ends.flatten(1).norm(dim=-1)[:, None, None, None]
    ends = ends * torch.tensor(norms)[:, None, None, None]
    model = Glass()
    condition = Condition(torch.zeros(1, 1), torch.ones(1, 1))
    decoder = Decoder(model, condition, given, torch.tensor(norms), ends=shown)
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


class TestWeights:
    @pytest.mark.parametrize("places", [(0.0,), (0.0, 1.0), (0.0, 0.2, 0.7, 1.0), (0.3, 0.4)])
    @pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
    def test_1_at_its_own_place_and_0_at_every_other(self, places, share):
        found = weights(torch.tensor(places, dtype=torch.float64), places, share)
        torch.testing.assert_close(
            found, torch.eye(len(places), dtype=torch.float64), atol=1e-12, rtol=0
        )

    def test_falls_to_a_half_in_the_middle_of_its_window_on_both_sides(self):
        """Gaps 0.2 and 0.5 about 0.2, a share of a half: the window's middles are 0.15 and 0.325."""
        u = torch.tensor([0.1, 0.15, 0.2, 0.325, 0.45], dtype=torch.float64)
        found = weights(u, (0.0, 0.2, 0.7, 1.0), 0.5)[:, 1]
        torch.testing.assert_close(
            found, torch.tensor([0, 0.5, 1, 0.5, 0], dtype=torch.float64), atol=1e-12, rtol=0
        )

    def test_falls_smoothly_and_never_rises(self):
        u = torch.linspace(0, 1, 1001, dtype=torch.float64)
        found = weights(u, (0.0, 1.0), 0.5)[:, 0]
        steps = found.diff()
        assert (steps <= 0).all()
        assert float(steps[0].abs()) < 1e-4  # no corner at the given image, nor at the window's end
        assert float(steps.diff().abs().max()) < 1e-4

    def test_at_most_one_residual_anywhere(self):
        found = weights(torch.linspace(0, 1, 101), (0.0, 0.25, 1.0), 0.5)
        assert ((found > 0).sum(1) <= 1).all()


class TestEnds:
    """Two given images that differ from the decoded ones by known residuals."""

    def given(self, shift=(0.05, -0.04)):
        """The decoded ends moved by a constant each; within [0, 1] so that nothing is clamped."""
        decoder, path, _ = self.soft()
        ends = decoder(path, torch.tensor([0.0, 1.0]))
        return ends + torch.tensor(shift)[:, None, None, None]

    def soft(self, given=None, ends="given"):
        decoder, path, latents = make(Euclidean(), given, shown=ends)
        decoder.model.decode = lambda x: 0.5 + x / 20  # entries of latents are below 6
        return decoder, path, latents

    def test_given_is_as_ever(self):
        given = self.given()
        u = torch.linspace(0, 1, 9)
        found = self.soft(given)[0](self.soft()[1], u)
        plain, path, _ = self.soft()
        torch.testing.assert_close(found[1:-1], plain(path, u)[1:-1])
        assert torch.equal(found[[0, -1]], given)

    def test_nothing_is_decoded_where_an_image_is_given(self):
        decoder, path, _ = self.soft(self.given())
        decoder(path, torch.linspace(0, 1, 9))
        assert len(decoder.model.latents) == 7
        decoder.model.latents = ()
        assert torch.equal(decoder(path, torch.tensor([1.0, 0.0])), self.given().flip(0))
        assert decoder.model.latents == ()

    def test_a_rough_film_is_the_model_s_sketch(self):
        decoder, path, _ = self.soft(self.given())
        rough = decoder.rough(path, torch.linspace(0, 1, 5))
        whole = decoder(path, torch.linspace(0, 1, 5))
        torch.testing.assert_close(rough[1:-1], whole[1:-1] + 1 / 20)  # as Glass sketches
        assert torch.equal(rough[[0, -1]], whole[[0, -1]])
        assert (decoder.cost(5), decoder.cost(5, rough=True)) == (30, 12)

    def test_decoded_shows_no_given_image(self):
        u = torch.linspace(0, 1, 9)
        decoder, path, _ = self.soft(self.given(), "decoded")
        assert torch.equal(decoder(path, u), self.soft()[0](path, u))

    def test_blended_adds_the_residuals_by_their_weights(self):
        given, u = self.given(), torch.linspace(0, 1, 17)
        decoder, path, _ = self.soft(given, "blended")
        added = decoder(path, u) - decoder.decoded(path, u)
        w = weights(u, (0.0, 1.0))
        expected = (w @ torch.tensor([0.05, -0.04], dtype=torch.float64)).float()
        torch.testing.assert_close(
            added, expected[:, None, None, None].expand_as(added), atol=1e-6, rtol=0
        )

    def test_blended_spares_the_ends_where_the_clean_latents_are_known(self):
        """The autoencoder tells the residuals: nothing comes down at the ends, frames are the same."""
        given, u = self.given(), torch.linspace(0, 1, 17)
        decoder, path, latents = self.soft(given, "blended")
        expected = decoder(path, u)
        assert (decoder.cost(17), decoder.cost(1)) == (170, 10)
        sparing = Decoder(
            decoder.model, decoder.condition, given, decoder.norms, ends="blended", clean=latents
        )
        torch.testing.assert_close(sparing(path, u), expected, atol=1e-6, rtol=0)
        assert len(decoder.model.latents) == 15
        assert sparing.cost(17) == 150
        torch.testing.assert_close(sparing(path, u[3:5]), expected[3:5], atol=1e-6, rtol=0)

    def test_blended_ends_are_given_to_the_last_bit(self):
        given = self.given()
        decoder, path, _ = self.soft(given, "blended")
        for count in (2, 5, 17):
            assert torch.equal(decoder(path, torch.linspace(0, 1, count))[[0, -1]], given)

    def test_a_place_looks_the_same_in_every_film(self):
        decoder, path, _ = self.soft(self.given(), "blended")
        many = decoder(path, torch.linspace(0, 1, 33))
        few = decoder(path, torch.linspace(0, 1, 9))
        torch.testing.assert_close(few, many[::4], atol=1e-6, rtol=0)
        alone = decoder(path, torch.tensor([0.25]))  # a film that shows neither end
        torch.testing.assert_close(alone, many[8:9], atol=1e-6, rtol=0)
        uneven = decoder(path, torch.tensor([0.0, 0.03125, 0.25, 1.0]))
        torch.testing.assert_close(uneven, many[[0, 1, 8, 32]], atol=1e-6, rtol=0)

    def test_the_middle_is_as_it_was_decoded(self):
        decoder, path, _ = self.soft(self.given(), "blended")
        u = torch.tensor([SHARE])
        torch.testing.assert_close(decoder(path, u), decoder.decoded(path, u), atol=1e-6, rtol=0)

    def test_a_film_decodes_no_more_than_it_shows(self):
        decoder, path, _ = self.soft(self.given(), "blended")
        decoder(path, torch.linspace(0, 1, 9))
        assert len(decoder.model.latents) == 9
        decoder(path, torch.linspace(0.1, 0.9, 9))
        assert len(decoder.model.latents) == 11

    def test_images_stay_within_their_range(self):
        given = torch.stack([torch.zeros(SHAPE), torch.ones(SHAPE)])
        decoder, path, _ = self.soft(given, "blended")
        found = decoder(path, torch.linspace(0, 1, 17))
        assert found.min() >= 0
        assert found.max() <= 1

    def test_a_start_alone(self):
        """As of a shot: one image at u = 0, and a path that ends anywhere."""
        given = self.given()[:1]
        whole, path, _ = self.soft(self.given(), "blended")
        decoder = Decoder(
            whole.model, whole.condition, given, whole.norms[:1], (0.0,), ends="blended"
        )
        u = torch.linspace(0, 1, 9)
        found = decoder(path, u) - decoder.decoded(path, u)
        expected = 0.05 * weights(u, (0.0,))[:, 0].float()
        torch.testing.assert_close(
            found, expected[:, None, None, None].expand_as(found), atol=1e-6, rtol=0
        )
        assert torch.equal(decoder(path, u)[0], given[0])

    def test_fewer_images_than_places(self):
        """The first places have them: a leg from an image to a mean."""
        whole, path, _ = self.soft()
        given = self.given()[:1]
        decoder = Decoder(whole.model, whole.condition, given, whole.norms, ends="given")
        found = decoder(path, torch.linspace(0, 1, 5))
        assert torch.equal(found[0], given[0])
        assert torch.equal(found[1:], whole(path, torch.linspace(0, 1, 5))[1:])
        with pytest.raises(ValueError, match="no more images"):
            Decoder(whole.model, whole.condition, self.given(), whole.norms[:1], (0.0,))

    def test_without_given_images_every_word_means_the_same(self):
        u = torch.linspace(0, 1, 5)
        films = []
        for ends in ("given", "decoded", "blended"):
            decoder, path, _ = self.soft(None, ends)
            films.append(decoder(path, u))
        assert torch.equal(films[0], films[1])
        assert torch.equal(films[0], films[2])

    def test_another_word_is_refused(self):
        with pytest.raises(UserError, match="got 'faded', expected one of given, decoded, blended"):
            self.soft(None, "faded")


@pytest.mark.parametrize("closed", [False, True], ids=["open", "loop"])
def test_keyframes_fade_to_both_sides(closed):
    """Three stops of a chain; a loop's last place is its first image again."""
    generator = torch.Generator().manual_seed(3)
    stops = torch.randn(3, *SHAPE, generator=generator)
    path = PiecewisePath(stops, Euclidean(), closed=closed)
    path.place(path.baseline(4)[1:-1]) if hasattr(path, "place") else None
    places = torch.linspace(0, 1, 4 if closed else 3).tolist()
    model = Glass()
    model.decode = lambda x: 0.5 + x / 20
    norms = torch.cat([stops, stops[:1]])[: len(places)].flatten(1).norm(dim=-1)
    condition = Condition(torch.zeros(1, 1), torch.ones(1, 1))
    bare = Decoder(model, condition, None, norms, places)
    shift = torch.tensor([0.05, -0.04, 0.03, 0.05])[: len(places)]
    given = bare(path, torch.tensor(places)) + shift[:, None, None, None]
    decoder = Decoder(model, condition, given, norms, places, ends="blended")
    u = torch.linspace(0, 1, 25)
    added = decoder(path, u) - decoder.decoded(path, u)
    expected = (weights(u, places) @ shift.double()).float()
    torch.testing.assert_close(
        added, expected[:, None, None, None].expand_as(added), atol=1e-6, rtol=0
    )
    k = round(24 * places[1])
    assert torch.equal(decoder(path, u)[k], given[1])
    before, after = added[k - 1, 0, 0, 0], added[k + 1, 0, 0, 0]
    assert float(before) == pytest.approx(float(after), abs=1e-6)  # gaps on both sides are equal
    assert -0.04 < float(before) < -0.02


class TestColours:
    """Clean latents with the channel statistics between the given images'."""

    def statistics(self, latents):
        return torch.stack([latents.mean((-2, -1)), latents.std((-2, -1), unbiased=False)])

    @pytest.mark.parametrize("places", [(0.0, 1.0), (0.0, 0.3, 1.0)])
    def test_they_go_evenly_from_one_image_to_the_next(self, places):
        generator = torch.Generator().manual_seed(1)
        stops = torch.randn(len(places), *SHAPE, generator=generator, dtype=torch.float64)
        clean = 3 * stops + 1
        path = PiecewisePath(stops, Euclidean())
        u = torch.linspace(0, 1, 21, dtype=torch.float64)
        decoder = Decoder(
            Glass(), Condition(torch.zeros(1, 1), torch.ones(1, 1)), None, stops.flatten(1).norm(dim=-1),
            places, clean=clean, colours="ends",
        )  # fmt: skip
        found, known = self.statistics(decoder(path, u)), self.statistics(clean.float())
        for left, right in zip(range(len(places)), range(1, len(places))):
            here = (u >= places[left]) & (u <= places[right])
            share = (u[here] - places[left]).float() / (places[right] - places[left])
            expected = torch.lerp(
                known[:, left, None], known[:, right, None], share[None, :, None].expand(2, -1, 3)
            )
            torch.testing.assert_close(found[:, here], expected.float())

    def test_what_is_no_path_between_images_says_so(self):
        stops = torch.randn(2, *SHAPE)
        for bad, told in (
            ("yellow", "got 'yellow', expected path or ends"),
            ("ends", "choose decoder.colours=path"),
        ):
            with pytest.raises(UserError, match=told):
                Decoder(Glass(), None, None, stops.flatten(1).norm(dim=-1), colours=bad)
