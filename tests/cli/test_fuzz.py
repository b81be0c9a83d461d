"""500 command lines of settings and values at random: each works or is answered by one sentence."""

from __future__ import annotations

import random
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig
from PIL import Image

from geodesic_lightning.cli.compose import composed

# A path that was stopped early may leave all density behind: its length is infinite, with a warning of numpy's.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning"),
]

LINES = 500
SMALL = ("trainer.max_steps=2", "callbacks=none", "logger=none", "scheduler.steps=3", "folder=run")
EXACT = ("model=exact", "model.density=gaussian", "solver.segments=4", "solver.frames=3")
BASES = (
    EXACT,
    (*EXACT, "data=points", "data.start=[2.0,0.0]", "data.end=[0.0,1.0]", "optimizer=paper"),
    (*EXACT, "data=keyframe_points", "data.points=[[0.5,1],[1,1],[1,0.2]]", "optimizer=adam"),
    (*EXACT, "solver=ivp", "optimizer=rk4", "velocity=random"),
    (*EXACT, "solver=slerp", "score=contrast", "retime=metric_length", "metrics=default"),
    (*EXACT, "solver=mean", "data=keyframe_points", "data.points=[[0.5,1],[1,1],[1,0.2]]"),
    ("tiny", "data=pair", "data.start=a.png", "data.end=b.png", "solver.segments=3", "solver.frames=3"),
    ("tiny", "data=keyframes", "data.images=[a.png,b.png]", "solver.segments=3", "solver.frames=3"),
    ("tiny", "data=image", "data.image=a.png", "solver=ivp", "optimizer=rk4", "velocity=prompt", "velocity.prompt=x"),
)  # fmt: skip
# What chooses a place to write, starts processes, asks a network, or shows tracebacks on purpose.
ASIDE = (
    "folder",
    "debug",
    "trainer.devices",
    "trainer.max_steps",
    "trainer.accelerator",
    "resume",
    "seed",
)
NUMBERS = ("0", "1", "2", "3", "0.5", "0.01", "-1", "1e-3", "7")
VALUES = (
    *("", "null", "true", "-1", "0", "0.5", "1", "3", "7", "1e-3", "nan", "inf", "-0.0", "2024_01_15"),
    *("a", "a cat", "été", "日本 🐱", "a, b", "a & b!", "Tom's", '"', "'a b'", "(", ")", "[", "]", "{", "}"),
    *("[1,2]", "[a,b]", "[]", "[[1]]", "[a cat, a dog (sly)]", "{a:1}", "{}", "{'a': 1}", "${seed}", "${x}"),
    *("${", "$", "\\", "~", "~nobody", "=", "a=b", "*", "???", "a.png", "b.png", "[a.png]", "%", "#", "@"),
    *("glob(*)", "range(1,3)", "choice(a,b)", "1,2", "a;b", "auto", "none", "\t", "\n", "😀" * 300),
)  # fmt: skip


def settings(cfg: DictConfig, before: str = "") -> dict[str, Any]:
    """What can be set, by its dotted name, and how it is."""
    found: dict[str, Any] = {}
    for name in cfg:
        key = f"{before}{name}"
        if str(name).startswith("_") or key.startswith(ASIDE):
            continue
        found[key] = cfg[name]
        if isinstance(cfg[name], DictConfig):
            found |= settings(cfg[name], f"{key}.")
    return found


def value(chance: random.Random, now: Any) -> str:
    """A number for a number, mostly; otherwise anything."""
    if isinstance(now, int | float) and chance.random() < 0.7:
        return chance.choice(NUMBERS)
    if chance.random() < 0.7:
        return chance.choice(VALUES)
    letters = "ab 1.,-+_=()[]{}'\"\\$&!?:;~#@%*é猫🐱\t"
    return "".join(chance.choices(letters, k=chance.randint(1, 12)))


def test_command_lines(geodesic, tiny_sd2):
    for name, shade in (("a.png", 0), ("b.png", 200)):
        Image.new("RGB", (20, 20), (shade, 50, 50)).save(name)
    tiny = ("model=sd2", f"model.pretrained={tiny_sd2}", "solver.alpha=0.001")
    bases = [
        tuple(w for word in base for w in (tiny if word == "tiny" else (word,))) for base in BASES
    ]
    known = [settings(composed([*base, *SMALL])) for base in bases]
    chance, counts, faults = random.Random(0), Counter(), []
    for number in range(LINES):
        index = chance.choices(range(len(bases)), [6, 6, 4, 4, 4, 2, 3, 2, 2])[0]
        chosen = chance.sample(sorted(known[index]), chance.randint(1, 2))
        words = [f"{name}={value(chance, known[index][name])}" for name in chosen]
        line = [*bases[index], *SMALL[:-1], *words, f"hydra.run.dir=run{number}"]
        try:
            outcome = geodesic(*line)
        except Exception:
            faults.append((words, traceback.format_exc()[-1500:]))
            continue
        told = outcome.err.strip().splitlines()
        sentence = outcome.code == 1 and told and told[-1].startswith("Error: ")
        if "Traceback" in outcome.err or not (outcome.code == 0 or sentence):
            faults.append((words, outcome.code, outcome.err[-1500:]))
        counts["works" if outcome.code == 0 else "one sentence"] += 1
    print(dict(counts), "of", LINES)
    assert faults == [], "\n\n".join(map(str, faults))
    assert min(counts["works"], counts["one sentence"]) > LINES // 20  # both were seen
    assert {Image.open(name).getpixel((0, 0)) for name in ("a.png", "b.png")} == {
        (0, 50, 50),
        (200, 50, 50),
    }
    assert not [p for p in Path.cwd().iterdir() if not p.name.startswith(("run", "a.png", "b.png"))]
