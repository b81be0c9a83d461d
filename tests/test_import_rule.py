"""The import rule: a room imports rooms before it and itself, never one after it, for types neither.

Nor do files import each other in a circle. What is broken today stands in `KNOWN` and `CIRCLES`, file by
file: what is gone has to be taken off these lists, and a new one fails.
"""

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import geodesic_lightning

CORE = Path(geodesic_lightning.__file__).parent
CALLBACKS = next(p for p in (CORE / "callbacks", CORE.parent / "callbacks") if p.is_dir())

ROOMS = (
    *("version", "errors", "caller", "geometry", "data", "protocols", "models", "score"),
    *("functional", "integrators", "problems", "optimizers", "decoding", "solvers", "metrics"),
    "report",
    *("trainer", "tracking", "callbacks", "api", "cli", "distance", "benchmark", "ui"),
    *("__init__", "__main__", "aliases"),
)
NUMERICS = ROOMS[ROOMS.index("geometry") : ROOMS.index("optimizers") + 1]

# For types alone.
KNOWN = {
    ("geometry/choose_manifold.py", "protocols"),
    ("protocols.py", "functional"),
    ("protocols.py", "problems"),
}
CIRCLES = {
    ("protocols", "problems.evaluation"),
    ("solvers.clip_findings", "solvers.clip"),
}


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
PASSED_ON = dict.fromkeys(geodesic_lightning.__all__, "api") | {"__version__": "version"}


def files() -> dict[str, Path]:
    """Every file of the package by its place in it; the callbacks' as well."""
    found = {file.relative_to(CORE): file for file in CORE.rglob("*.py")}
    found |= {file.relative_to(CALLBACKS.parent): file for file in CALLBACKS.rglob("*.py")}
    return {place.as_posix(): file for place, file in sorted(found.items())}


def room_of(place: str) -> str:
    return place.partition("/")[0].removesuffix(".py")


def names(source: str) -> Iterator[str]:
    """What a source imports, with all dots, however late, and for types too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported(source: str) -> Iterator[str]:
    """Rooms and libraries that a source imports."""
    for name in names(source):
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


def test_files_import_each_other_in_no_circle():
    dotted = {p.removesuffix(".py").removesuffix("/__init__").replace("/", "."): p for p in files()}
    arrows = {}
    for name, place in dotted.items():
        found = {one.partition(".")[2] for one in names(files()[place].read_text(encoding="utf-8"))}
        found = {
            one if one in dotted else one.rpartition(".")[0] for one in found
        }  # file, or name in it
        arrows[name] = (found & set(dotted)) - {name}
    for one, other in CIRCLES:
        assert one in arrows[other]
        arrows[one].remove(other)
    TopologicalSorter(arrows).prepare()  # names the circle, if there is one


def test_every_file_has_a_room():
    assert {room_of(place) for place in files()} == set(ROOMS)
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
    assert set(imported(source)) == expected | {"benchmark"}
