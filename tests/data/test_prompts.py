"""Prompts alone: what is asked of the model, and what is refused."""

import pytest

from geodesic_lightning.data.prompts import prompts
from geodesic_lightning.errors import UserError


def test_two_prompts_and_a_list_of_them():
    two = prompts("a cat", "a dog", seed_start=4)
    assert (two.prompts, two.seeds, two.pictures) == (("a cat", "a dog"), (4, 1), ())
    more = prompts(prompts=["a cat", "a dog", "a fox"], closed=True, guidance=3.0)
    assert (more.seeds, more.closed, more.guidance) == ((0, 1, 2), True, 3.0)
    assert len(prompts(prompts=["a cat"], seeds=[7])) == 1  # to start from
    assert prompts("a cat", "").prompts == ("a cat", "")  # the model's own choice


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "no prompt"),
        ({"prompts": "a cat"}, "or a list"),
        ({"prompt_start": "a", "prompts": ["b", "c"]}, "beside prompt_start"),
        ({"prompts": ["a", "b"], "seeds": [1]}, "got 1 for 2 prompts"),
        ({"prompt_start": "a", "prompt_end": "b", "seed_end": -1}, "got -1"),
        ({"prompt_start": "a", "prompt_end": "a", "seed_end": 0}, "the same picture"),
        ({"prompts": ["a", "b", "a"], "seeds": [0, 0, 0], "closed": True}, "the same picture"),
        ({"prompts": ["a", "b"], "closed": True}, "three or more"),
        ({"prompt_start": "a", "guidance": 0.5}, "got 0.5"),
        ({"prompt_start": "a", "rounding": 2}, "data.rounding: got 2"),
    ],
)
def test_what_is_refused(given, said):
    with pytest.raises(UserError, match=said):
        prompts(**given)
