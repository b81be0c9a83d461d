"""IMPUS: the rank from the pair, low-rank weights for the unconditional prediction."""

import pytest
import torch
from morphing import decoder

from geodesic_lightning.decoding.morphs import lora as low_rank
from geodesic_lightning.decoding.morphs.lora import Lora, adaptive_rank, diversity
from geodesic_lightning.decoding.perceptual import embedded
from geodesic_lightning.models.diffusion import DiffusionModel
from geodesic_lightning.models.scheduler import Scheduler

pytest.importorskip("peft")


@pytest.mark.parametrize(
    ("diverse", "rank"), [(0.2, 1), (1 / 3, 1), (0.39, 2), (0.5, 8), (0.62, 32), (3.0, 1024)]
)
def test_rank_by_hand(diverse, rank):
    """2^max(0, ⌊18 rPPD − 6⌋) with rPPD the sum of ten differences over nine times the ends'."""
    steps = torch.full((10,), diverse * 9 * 0.7 / 10 + 1e-9, dtype=torch.float64)
    assert diversity(steps, 0.7) == pytest.approx(diverse)
    assert adaptive_rank(steps, 0.7) == rank


def test_images_that_do_not_differ():
    assert adaptive_rank(torch.zeros(10), 0.0) == 1


@pytest.fixture
def made(tiny_sd2):
    def make(**settings):
        model = DiffusionModel(str(tiny_sd2), Scheduler("ddim", 5), batch_size=16)
        return decoder(model, **settings)

    return make


def test_the_rank_is_that_of_the_frozen_networks_film(made):
    lora = Lora(rank=None, steps=1, joint=True, perceptual=embedded)
    morphing, plain, path = made(lora=lora)
    film = plain(path, torch.linspace(0, 1, 11))
    steps = embedded(morphing.model, film)
    expected = adaptive_rank(steps, float(embedded(morphing.model, film[[0, -1]])[0]))
    morphing(path, torch.tensor([0.5]))
    assert lora.rank == expected
    layer = next(m for n, m in morphing.model.denoiser.named_modules() if n.endswith("attn1.to_q"))
    assert len(layer.lora_A["both"].weight) == expected


def test_guidance_leads_away_from_the_other_weights(made):
    """ε = ε_blank(∅) + g (ε_both(c) − ε_blank(∅)), each with its own low-rank weights."""
    morphing, _, path = made(
        guidance=3.0,
        lora=Lora(rank=2, steps=5, lr=1e-2, joint=True),
        lora_unconditional=Lora(rank=1, steps=5, lr=1e-2, joint=True, name="blank_"),
    )
    u = torch.tensor([0.0, 1.0, 0.5])
    found = morphing(path, u)
    model, empty = morphing.model, morphing.model.embed([""]).expand(3, -1, -1)
    assert (morphing.adapters, morphing.blank_adapters) == (["both"], ["blank_both"])

    def noise(names, x, t, prompt):
        with low_rank.at(model.denoiser, names, 0.0), torch.no_grad():
            return model.noise_prediction(x, t, prompt)

    def guided(blank):
        c = morphing.condition(u)

        def mixed(x, t):
            away = noise(blank, x, t, empty)
            return away + 3 * (noise(["both"], x, t, c) - away)

        return model.decode(model.descend(path.chart(path.at(u)), mixed))

    torch.testing.assert_close(found, guided(["blank_both"]), rtol=0, atol=2e-4)
    assert (found - guided([])).abs().max() > 1e-3  # the second set was trained
