"""Which picture of README.md and docs/ was made by which code, and which is older than it.

    python docs/made.py                  names every picture that is older than the code that makes it

docs/figures/made.json keeps of each picture the hash of its bytes, the command that made it, and a hash
of the code and the defaults of then: the syntax trees of the rooms that a film goes through, without
docstrings, comments and layout, and the settings of conf/ without comments.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
ROOT, FIGURES = HERE.parent, HERE / "figures"
KEPT = FIGURES / "made.json"
ROOMS = (
    *("data", "models", "score", "geometry", "functional", "problems", "integrators"),
    *("optimizers", "solvers", "decoding", "metrics", "report", "distance"),
)
ASIDE = ("models/embedded/train", "models/diffusion")
"""Rooms inside rooms that the shipped model's films do not depend on, but for what is named below."""
NEEDED = (
    *("model", "batching", "noise_schedule", "prediction", "networks", "network", "unets"),
)  # of models/diffusion


def tree(node: Any) -> Any:
    """A syntax tree as nested lists without empty fields, the same on every Python."""
    if isinstance(node, ast.AST):
        fields = [(name, tree(value)) for name, value in ast.iter_fields(node) if name != "kind"]
        return [type(node).__name__, *([n, v] for n, v in fields if v not in (None, []))]
    if isinstance(node, list):
        return [tree(one) for one in node if not _says_only(one)]
    return node if node is None else repr(node)


def _says_only(node: Any) -> bool:
    """A docstring, or another sentence that does nothing."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def sources() -> list[Path]:
    """The files that a film of the shipped model depends on, in their order."""
    package = ROOT / "geodesic_lightning"
    files = [f for room in ROOMS for f in (package / room).rglob("*.py")]
    kept = [f for f in files if not any((package / a) in f.parents for a in ASIDE)]
    kept += [package / "models" / "diffusion" / f"{name}.py" for name in NEEDED]
    return sorted(kept) + sorted((ROOT / "conf").rglob("*.yaml"))


@cache
def fingerprint() -> str:
    """Of the code and the defaults as they are, 16 hexadecimal digits."""
    known = hashlib.sha256()
    for file in sources():
        text = file.read_text(encoding="utf-8")
        what = tree(ast.parse(text)) if file.suffix == ".py" else yaml.safe_load(text)
        known.update(json.dumps([file.relative_to(ROOT).as_posix(), what], default=str).encode())
    return known.hexdigest()[:16]


def bytes_of(picture: Path) -> str:
    """The hash of a picture's bytes, 16 hexadecimal digits."""
    return hashlib.sha256(picture.read_bytes()).hexdigest()[:16]


def read() -> dict[str, dict[str, str]]:
    """What is known of each picture by its name: its bytes, its maker, the code of then."""
    return json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}


def record(maker: str, pictures: Iterable[str]) -> None:
    """Note that these pictures were made now, by `python docs/figures.py <maker>`."""
    known = read()
    for name in pictures:
        known[name] = {"bytes": bytes_of(FIGURES / name), "by": maker, "code": fingerprint()}
    KEPT.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n", encoding="utf-8")


def older() -> list[str]:
    """One sentence a picture that is older than the code that makes it."""
    return [
        f"{name} is older than the code that makes it: python docs/figures.py {one['by']}"
        for name, one in read().items()
        if one["code"] != fingerprint()
    ]


if __name__ == "__main__":
    print("\n".join(older()) or "Every picture is of today's code.")
