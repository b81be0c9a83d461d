"""The redraw error: small for drawings, large for what nobody draws."""

import numpy as np
import pytest
import torch

pytest.importorskip("skia", reason="drawing cats needs the extra train")

from geodesic_lightning.models.embedded import redraw
from geodesic_lightning.models.embedded.train.dataset import cat
from geodesic_lightning.models.embedded.train.judge_redraw import SEED, cats


def test_parameters_survive_the_networks_coding():
    vectors = torch.rand(20, len(redraw.NAMES), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(redraw.parameters(redraw.target(vectors)), vectors)


def test_hues_are_taken_round_the_circle():
    vector = cat(SEED, 0).vector()
    turned = vector.copy()
    turned[redraw.HUES] += 1
    assert torch.equal(redraw.drawn(vector), redraw.drawn(turned))


def test_least_squares_never_makes_it_worse():
    some = cats(0, 3)
    assert (redraw.error(some, rounds=2) <= redraw.error(some, rounds=0)).all()


def test_least_squares_finds_a_linear_answer_in_the_box():
    """Columns at right angles: the best in the box is the answer with what leaves the box put on its edge."""
    matrix = np.linalg.qr(np.random.default_rng(0).normal(size=(200, len(redraw.NAMES))))[0]
    start, wanted = np.full(len(redraw.NAMES), 0.7), np.full(len(redraw.NAMES), 0.4)
    assert not {0, 1} & set(redraw.HUES)  # hues go round
    wanted[:2] = -3.0, 1.5
    # The least damping, 1e-3, leaves a thousandth of the way each round.
    found = redraw.refined(matrix @ wanted, start, 8, lambda vector: matrix @ vector)
    np.testing.assert_allclose(found, np.clip(wanted, 0, 1), atol=2e-3)


@pytest.mark.slow
def test_drawings_and_crossfades_are_told_apart():
    """Six cats and their crossfades with six others: every blend is farther from a cat than any cat."""
    some, others = cats(0, 6), cats(6, 6)
    drawn, blended = redraw.error(some), redraw.error((some + others) / 2)
    assert drawn.max() < blended.min()
    assert blended.mean() > 2 * drawn.mean()
