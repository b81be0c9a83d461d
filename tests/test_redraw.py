"""The redraw error: small for drawings, large for what nobody draws."""

import pytest
import torch

pytest.importorskip("skia", reason="drawing cats needs the extra train")

from geodesic_lightning.embedded import redraw
from geodesic_lightning.embedded.dataset import cat
from geodesic_lightning.embedded.drawing import draw

SEED = 77  # of cats that no training saw


def pictures(count, start=0):
    drawn = [torch.from_numpy(draw(cat(SEED, start + k), 128)) for k in range(count)]
    return torch.stack(drawn).permute(0, 3, 1, 2) / 255


def test_parameters_survive_the_networks_coding():
    vectors = torch.rand(20, len(redraw.NAMES), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(redraw.parameters(redraw.target(vectors)), vectors)


def test_hues_are_taken_round_the_circle():
    vector = cat(SEED, 0).vector()
    turned = vector.copy()
    turned[redraw.HUES] += 1
    assert torch.equal(redraw.drawn(vector), redraw.drawn(turned))


def test_least_squares_never_makes_it_worse():
    some = pictures(3)
    assert (redraw.error(some, rounds=2) <= redraw.error(some, rounds=0)).all()


def test_drawings_and_crossfades_are_told_apart():
    """Six cats and their crossfades with six others: every blend is farther from a cat than any cat."""
    some, others = pictures(6), pictures(6, start=6)
    drawn, blended = redraw.error(some), redraw.error((some + others) / 2)
    assert drawn.max() < blended.min()
    assert blended.mean() > 2 * drawn.mean()
