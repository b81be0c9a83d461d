"""What is asked for on the page, as words of a command line: only what differs from its defaults."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from geodesic_lightning.cli.words import ALONE, LISTED, quote
from geodesic_lightning.errors import UserError

__all__ = ["FRAMES", "MODELS", "RETIMES", "STRENGTH", "WAYS", "Wish", "words"]

# Of each group, the choices that the page offers; beside them what they are.
MODELS = {
    "embedded": "Drawn cats (shipped)",
    "sd2": "Stable Diffusion 2.1 base",
    "sd21": "Stable Diffusion 2.1, 768 px",
    "sd15": "Stable Diffusion 1.5",
    "sdxl": "Stable Diffusion XL",
    "sd3": "Stable Diffusion 3 medium",
}
WAYS = {
    "bvp": "Geodesic",
    "slerp": "Great circle",
    "lerp": "Straight line",
    "aid": "AID",
    "diffmorpher": "DiffMorpher",
    "impus": "IMPUS",
    "freemorph": "FreeMorph",
    "noise_diffusion": "NoiseDiffusion",
    "smooth_diffusion": "Smooth Diffusion",
}
RETIMES = {
    "": "As the way has it",
    "u": "Even along the path",
    "perceptual": "Even to the eye",
    "metric_length": "Even in the metric",
    "beta": "Beta quantiles",
}
STRENGTH, FRAMES = 1.5, 17
PLAIN = re.compile(r"[A-Za-z]+( [A-Za-z]+)+")  # reads as it stands, in Hydra as in a sentence


@dataclass(frozen=True)
class Wish:
    """One morph, as it is asked for.

    Attributes:
        pictures: files, in the order in which the path passes them; none for words alone.
        prompts: one a picture; those that are missing are empty.
        shipped: the name of a shipped pair, in place of pictures and prompts.
        model, way, retime: choices of the groups model, solver, retime; retime "" is the way's own.
        strength, frames: solver.strength, solver.frames.
        closed: back to the first picture.
        watch: films on the way, every second step.
    """

    pictures: tuple[Path, ...] = ()
    prompts: tuple[str, ...] = ()
    shipped: str | None = None
    model: str = "embedded"
    way: str = "bvp"
    strength: float = STRENGTH
    frames: int = FRAMES
    retime: str = ""
    closed: bool = False
    watch: bool = False


def words(wish: Wish, fixed: Sequence[str] = ()) -> list[str]:
    """The settings of a run.

    Args:
        fixed: settings that hold for every run of this page; what the page says of them is left out.

    Raises:
        UserError: one picture alone, neither pictures nor prompts.
    """
    said = [*_data(wish), f"model={wish.model}", f"solver={wish.way}"]
    if wish.strength != STRENGTH:
        said.append(f"solver.strength={wish.strength:g}")
    if wish.frames != FRAMES:
        said.append(f"solver.frames={wish.frames}")
    if wish.retime:
        said.append(f"retime={wish.retime}")
    if wish.watch and wish.way == "bvp":
        said += ["callbacks.decode.every_n_steps=2", "callbacks.decode.count=7"]
    held = {key(word) for word in fixed}
    return [word for word in said if key(word) not in held] + list(fixed)


def key(word: str) -> str:
    """group or group.setting of a setting."""
    return word.partition("=")[0].lstrip("+~")


def _data(wish: Wish) -> list[str]:
    if wish.shipped:
        return [f"data={wish.shipped}"]
    count = len(wish.pictures)
    if count == 1:
        raise UserError("Got one picture, expected two or more: give the other end as well.")
    if not count:
        if not all(wish.prompts[:2]) or len(wish.prompts) < 2:
            raise UserError(
                "Got no pictures, expected two: drop them, or write both prompts and have the model draw them."
            )
        return ["data=prompts", *_ends(wish.prompts)]
    prompts = (*wish.prompts, *[""] * count)[:count]
    if count == 2 and not wish.closed:
        start, end = wish.pictures
        return ["data=pair", f"data.start={start}", f"data.end={end}", *_ends(prompts)]
    said = ["data=keyframes", f"data.images=[{','.join(map(str, wish.pictures))}]"]
    if any(prompts):
        said.append(f"data.prompts=[{','.join(quote(_line(p), LISTED) for p in prompts)}]")
    return [*said, "data.closed=true"] if wish.closed else said


def _ends(prompts: Sequence[str]) -> list[str]:
    names = zip(("data.prompt_start", "data.prompt_end"), map(_line, prompts))
    return [f"{name}={_typed(prompt)}" for name, prompt in names if prompt]


def _line(prompt: str) -> str:
    """In one line, without what nobody can see."""
    return "".join(c for c in " ".join(prompt.split()) if c.isprintable())


def _typed(prompt: str) -> str:
    return prompt if PLAIN.fullmatch(prompt) else quote(prompt, ALONE)
