"""Which picture of README.md and docs/ was made by which code, and which is older than it.

    python docs/made.py                  names every picture that is to be made again, before a release

These are pictures that are older than the code that makes them, or that were changed by hand.
docs/figures/made.json keeps of each picture the hash of its bytes, the command that made it, and a hash
of the code and the defaults of then: the syntax trees of the rooms that a film goes through, without
docstrings, comments and layout, and the settings of conf/ without comments.
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
KEPT, PICTURES = "made.json", (".png", ".webp")
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


def sources(root: Path = ROOT) -> list[Path]:
    """The files of the tree at root that a film of the shipped model depends on, in their order."""
    package = root / "geodesic_lightning"
    files = [f for room in ROOMS for f in (package / room).rglob("*.py")]
    kept = [f for f in files if not any((package / a) in f.parents for a in ASIDE)]
    kept += [f for f in (package / "models" / "diffusion").glob("*.py") if f.stem in NEEDED]
    return sorted(kept) + sorted((root / "conf").rglob("*.yaml"))


def fingerprint(root: Path = ROOT) -> str:
    """Of the code and the defaults as they are, 16 hexadecimal digits."""
    known = hashlib.sha256()
    for file in sources(root):
        text = file.read_text(encoding="utf-8")
        what = tree(ast.parse(text)) if file.suffix == ".py" else yaml.safe_load(text)
        known.update(json.dumps([file.relative_to(root).as_posix(), what], default=str).encode())
    return known.hexdigest()[:16]


def bytes_of(picture: Path) -> str:
    """The hash of a picture's bytes, 16 hexadecimal digits."""
    return hashlib.sha256(picture.read_bytes()).hexdigest()[:16]


def figures(root: Path = ROOT) -> Path:
    """Where the pictures are."""
    return root / "docs" / "figures"


def read(root: Path = ROOT) -> dict[str, dict[str, str]]:
    """What is known of each picture by its name: its bytes, its maker, the code of then."""
    kept = figures(root) / KEPT
    return json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}


def record(maker: str, pictures: Iterable[str], root: Path = ROOT) -> None:
    """Note that these pictures were made now, by `python docs/figures.py <maker>`."""
    known, code = read(root), fingerprint(root)
    for name in pictures:
        known[name] = {"bytes": bytes_of(figures(root) / name), "by": maker, "code": code}
    text = json.dumps(dict(sorted(known.items())), indent=1) + "\n"
    (figures(root) / KEPT).write_text(text, encoding="utf-8")


def faults(makers: Mapping[str, Collection[str]], root: Path = ROOT) -> list[str]:
    """One sentence a picture that is not as today's code leaves it.

    Args:
        makers: the pictures that each makes, by its name.
    """
    known, code, found = read(root), fingerprint(root), []
    there = {file.name for file in figures(root).iterdir() if file.suffix in PICTURES}
    for name in sorted(there | set(known)):
        one = known.get(name, {"by": ""})
        again = f"python docs/figures.py {one['by']}"
        if name not in known:
            found.append(
                f"{name} is of no command that is known: delete it, or let figures.py make it"
            )
        elif name not in makers.get(one["by"], ()):
            found.append(f"{name} was made by {one['by']}, which makes no such picture any more")
        elif name not in there:
            found.append(f"{name} is gone: {again}")
        elif bytes_of(figures(root) / name) != one["bytes"]:
            found.append(f"{name} was changed by hand: {again}")
        elif one["code"] != code:
            found.append(f"{name} is older than the code that makes it: {again}")
    return found


def main() -> int:
    """The command; 1 where a picture is to be made again."""
    from figures import PICTURES as makers  # late: it imports all that it draws, and this file

    told = faults(makers)
    print("\n".join(told) or "Every picture is of today's code.")
    return int(bool(told))


if __name__ == "__main__":
    sys.exit(main())
