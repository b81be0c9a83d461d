"""Embeddings along the path: exact ends, the right middle, norms that go evenly."""

from __future__ import annotations

import pytest
import torch

from geodesic_lightning.errors import UserError
from geodesic_lightning.models.exact import ExactModel
from geodesic_lightning.score.condition import WAYS, Condition, prompts, unconditional

seeds = pytest.mark.parametrize("seed", range(5))
U = torch.linspace(0, 1, 9, dtype=torch.float64)


def ends(seed, tokens=7, width=16):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, tokens, width, generator=generator, dtype=torch.float64)


@seeds
def test_lerp(seed):
    start, end = ends(seed)
    found = Condition(start, end)(U)
    assert found.shape == (9, 7, 16)
    for u, embedding in zip(U, found):
        torch.testing.assert_close(embedding, (1 - u) * start + u * end)


@seeds
@pytest.mark.parametrize("way", ["lerp", "slerp"])
def test_ends_are_exact(seed, way):
    start, end = ends(seed)
    found = Condition(start, end, way)(U)
    torch.testing.assert_close(found[0], start, rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(found[-1], end, rtol=1e-14, atol=1e-14)


@seeds
def test_slerp_turns_evenly_and_norms_go_evenly(seed):
    start, end = ends(seed)
    found = Condition(start, end, "slerp")(U)
    norms = torch.lerp(start.norm(dim=-1), end.norm(dim=-1), U[:, None])
    torch.testing.assert_close(found.norm(dim=-1), norms)
    directions = found / found.norm(dim=-1, keepdim=True)
    angles = torch.acos((directions[1:] * directions[:-1]).sum(-1))
    torch.testing.assert_close(angles, angles[:1].expand_as(angles))
    whole = torch.acos((directions[0] * directions[-1]).sum(-1))
    torch.testing.assert_close(angles.sum(0), whole)


def test_slerp_of_the_same_token_is_that_token():
    start, end = ends(0)
    end[2] = start[2]
    end[3] = start[3] * (1 + 1e-9)
    found = Condition(start, end, "slerp")(U)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found[:, 2], start[2].expand(9, -1))


def test_slerp_stands_a_token_of_zeros():
    start, end = ends(0)
    start[1] = 0
    found = Condition(start, end, "slerp")(U)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found[-1], end)


@seeds
def test_constant_is_the_mean_everywhere(seed):
    start, end = ends(seed)
    found = Condition(start, end, "constant")(U)
    torch.testing.assert_close(found, ((start + end) / 2).expand(9, -1, -1))


def test_ways_are_listed():
    with pytest.raises(UserError, match=", ".join(WAYS)):
        Condition(*ends(0), "cubic")


def test_keeps_the_dtype_of_the_embeddings():
    start, end = ends(0).float()
    for way in WAYS:
        assert Condition(start, end, way)(U).dtype == torch.float32


class Words(ExactModel):
    """Embeds a prompt as its length."""

    def embed(self, texts, negative=False):
        return torch.tensor([[[float(len(text))]] for text in texts])


def test_prompts_go_from_the_first_to_the_last():
    found = prompts(Words("ring"), ["cat", "longer cat"], None)
    assert found(torch.tensor([0.0, 0.5, 1.0])).flatten().tolist() == [3, 6.5, 10]
    slow = prompts(Words("ring"), ["cat", "longer cat"], None, interpolation="constant")
    assert slow(torch.tensor([0.0])).flatten().tolist() == [6.5]


def test_unconditional_does_not_look_at_the_prompts():
    found = unconditional(Words("ring"), ["cat", "longer cat"], None)
    assert found(torch.tensor([0.0, 0.5, 1.0])).flatten().tolist() == [0, 0, 0]
