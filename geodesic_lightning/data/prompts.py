"""Prompts alone: the pictures that a path joins are the model's own.

frames = prompts("a happy orange cat", "a sly blue cat", seed_start=0, seed_end=1)
"""

from __future__ import annotations

from collections.abc import Sequence

from geodesic_lightning.data.frames import Frames
from geodesic_lightning.data.keyframes import part
from geodesic_lightning.errors import UserError

__all__ = ["prompts"]

LARGEST = 2**63 - 1  # a seed that torch takes


def prompts(
    prompt_start: str = "",
    prompt_end: str = "",
    seed_start: int = 0,
    seed_end: int = 1,
    prompts: Sequence[str] = (),
    seeds: Sequence[int] = (),
    closed: bool = False,
    rounding: float = 0.3,
    guidance: float | None = None,
) -> Frames:
    """Two prompts, or a list of them, each with the seed of the noise that its picture is made from.

    Args:
        prompt_start, prompt_end: what the two ends show; seed_start, seed_end: their noise.
        prompts: in their place, one or more; one is to start from.
        seeds: one a prompt, or none: 0, 1, 2 …
        closed, rounding: as for `keyframes`.
        guidance: classifier-free guidance of the sampling; None is what the model is usually asked with.

    Returns:
        frames without pictures: a model samples them.

    Raises:
        UserError: no prompts, both ways of giving them, other than one seed for each, or neighbours that are
            the same in both.
    """
    two = (prompt_start or "", prompt_end or "")
    if isinstance(prompts, str) or (prompts and any(two)) or not (prompts or any(two)):
        raise UserError(
            f"data.prompts: got {prompts if prompts else 'no prompt'}"
            f"{' beside prompt_start and prompt_end' if prompts and any(two) else ''}, expected "
            'data.prompt_start= and data.prompt_end=, or a list: write \'data.prompts=["a cat","a dog"]\'.'
        )
    texts = tuple(prompts) or two
    numbers = tuple(seeds) or (tuple(range(len(texts))) if prompts else (seed_start, seed_end))
    if len(numbers) != len(texts):
        raise UserError(
            f"data.seeds: got {len(numbers)} for {len(texts)} prompts, expected one for each, or none."
        )
    for seed in numbers:
        if not 0 <= seed <= LARGEST:
            raise UserError(f"data.seeds: got {seed}, expected whole numbers from 0 on.")
    if guidance is not None and not guidance >= 1:
        raise UserError(f"data.guidance: got {guidance}, expected at least 1, which is none.")
    if closed and len(texts) < 3:
        raise UserError(
            f"data.closed: got {len(texts)} prompts, expected three or more: give data.prompts=."
        )
    pairs = list(zip(texts, numbers))
    for k in range(0 if closed else 1, len(pairs)):
        if pairs[k - 1] == pairs[k]:
            raise UserError(
                f"{texts[k]!r} stands twice in a row with the seed {numbers[k]}, which is the same picture: "
                "give another seed or another prompt."
            )
    return Frames(
        None,
        texts,
        tuple(f"prompt {number}" for number in range(1, len(texts) + 1)),
        closed=closed,
        rounding=part(rounding),
        seeds=numbers,
        guidance=guidance,
    )
