"""The import rule: a room imports rooms before it and itself, never one after it.

So there is no circle between rooms either. What is broken today stands in `KNOWN`, file by file: an
arrow that is gone has to be taken off that list, and a new one fails.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import geodesic_lightning

CORE = Path(geodesic_lightning.__file__).parent
CALLBACKS = next(p for p in (CORE / "callbacks", CORE.parent / "callbacks") if p.is_dir())

ROOMS = (
    *("version", "errors", "caller", "geometry", "data", "protocols", "models", "score"),
    *(
        "functional",
        "integrators",
        "problems",
        "optimizers",
        "decoding",
        "solvers",
        "metrics",
        "report",
    ),
    *("trainer", "tracking", "callbacks", "api", "cli", "distance", "benchmark", "ui"),
    *("__init__", "__main__", "aliases"),
)
NUMERICS = ROOMS[ROOMS.index("geometry") : ROOMS.index("optimizers") + 1]

KNOWN: set[tuple[str, str]] = set()


def before(room: str) -> tuple[str, ...]:
    return ROOMS[: ROOMS.index(room)]


# Library → where it may not be imported, and below which folders it may all the same.
LIBRARIES = {
    "lightning": (NUMERICS, ("models/embedded/train/",)),
    "hydra": (before("cli"), ()),
    "omegaconf": (before("cli"), ()),
    "wandb": (before("tracking"), ()),
    "gradio": (before("ui"), ()),
    "diffusers": (ROOMS, ("models/diffusion/", "models/embedded/train/")),
}
# Names that the package's front door passes on.
PASSED_ON = {"__version__": "version"} | dict.fromkeys(geodesic_lightning._API, "api")


def files() -> dict[str, Path]:
    """Every file of the package by its place in it; the callbacks' as well."""
    found = {file.relative_to(CORE): file for file in CORE.rglob("*.py")}
    found |= {file.relative_to(CALLBACKS.parent): file for file in CALLBACKS.rglob("*.py")}
    return {place.as_posix(): file for place, file in sorted(found.items())}


def room_of(place: str) -> str:
    return place.partition("/")[0].removesuffix(".py")


def imported(source: str) -> Iterator[str]:
    """Rooms and libraries that a source imports, however late; not what only a type checker reads."""
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting.extend(node.orelse)
            continue
        waiting.extend(ast.iter_child_nodes(node))
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            library, _, rest = name.partition(".")
            part = rest.partition(".")[0]
            if library != "geodesic_lightning":
                yield library
            elif part:
                yield PASSED_ON.get(part, part)


@cache
def arrows(room: str) -> set[tuple[str, str]]:
    """(file, what it imports) of a room, without the room itself."""
    return {
        (place, name)
        for place, file in files().items()
        if room_of(place) == room
        for name in imported(file.read_text(encoding="utf-8"))
        if name != room
    }


def known(room: str) -> set[tuple[str, str]]:
    return {(place, name) for place, name in KNOWN if room_of(place) == room}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_comes_before_it(room):
    upward = {(place, name) for place, name in arrows(room) if name in ROOMS}
    upward = {(place, name) for place, name in upward if name not in before(room)}
    assert upward == {(place, name) for place, name in known(room) if name in ROOMS}


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_stays_where_it_belongs(library):
    rooms, excepted = LIBRARIES[library]
    found = {arrow for room in rooms for arrow in arrows(room) if arrow[1] == library}
    found = {(place, name) for place, name in found if not place.startswith(excepted)}
    assert found == {(place, name) for place, name in KNOWN if name == library}


def test_every_file_has_a_room():
    assert {room_of(place) for place in files()} <= set(ROOMS)
    assert {name for room in ROOMS for _, name in arrows(room)} & set(ROOMS)  # arrows are seen
    assert len(list(CORE.glob("*.py"))) <= 6


def test_imports_are_seen_wherever_they_stand():
    source = """
import hydra.utils, numpy as np
from typing import TYPE_CHECKING
from geodesic_lightning import __version__, interpolate, report
from geodesic_lightning.cli.app import main
from .media import film
if TYPE_CHECKING:
    from geodesic_lightning.benchmark import problems
else:
    import wandb
def late():
    with open("x"):
        from geodesic_lightning.score import condition
"""
    expected = {"hydra", "numpy", "typing", "version", "api", "report", "cli", "wandb", "score"}
    assert set(imported(source)) == expected
