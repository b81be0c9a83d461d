"""The known geodesics of the nine problems, as shipped beside this file.

`references.json` holds the numbers, `references.safetensors` the nodes (float32, at equal distances
along the curve); make_references.py made both and says how. Lengths are relative to the start,
S = int |gamma'| exp(-alpha (log p(gamma) - log p(gamma(0)))) du.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

__all__ = ["NODES", "NUMBERS", "Reference", "reference"]

NUMBERS = Path(__file__).with_name("references.json")
NODES = Path(__file__).with_name("references.safetensors")


@dataclass(frozen=True, eq=False)
class Reference:
    """The shortest geodesic between the standard ends of one problem, at its standard alpha.

    Attributes:
        length: S of the geodesic.
        length_start: S of the straight line or great circle.
        length_from_straight_start: S of the geodesic that descent from the straight start reaches.
        alpha: the density exponent all lengths are for.
        error_estimate: relative: what halving the segments changed; for a closed form, what the
            numerical method was off by.
        closed_form: whether length and nodes come from a formula.
        segments: of the numerical curve.
        nodes: (257, d), or (33, d) for d = 1024; float64 from float32 data.
    """

    name: str
    length: float
    length_start: float
    length_from_straight_start: float
    alpha: float
    error_estimate: float
    closed_form: bool
    segments: int
    nodes: Tensor


def reference(name: str) -> Reference:
    """The shipped geodesic of the problem of that name. Raises KeyError for a name without one."""
    numbers = json.loads(NUMBERS.read_text(encoding="utf-8"))[name]
    kept = {key: numbers[key] for key in Reference.__annotations__ if key in numbers}
    return Reference(name=name, nodes=load_file(NODES)[name].double(), **kept)
