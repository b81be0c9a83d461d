"""Free text on the command line: prompts, files, folders and names are taken as they are typed.

Hydra reads values by a grammar of its own, in which a cat (sly) is a mistake, a, b two values and
2024_01_15 a number. Settings that are text by their schema are quoted for it here, where the grammar
would read something else. In a sweep commas separate values: there quotes decide, as Hydra has it.
"""

import ast
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

from hydra.conf import HydraConf
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from geodesic_lightning.cli import config

# Signs that make ${ text. A run resolves its settings, Hydra those of what it makes, and reading them does
# once more, twice in a list: of seven signs three are left, one, none.
ALONE, LISTED = 7, 15
SWEEP = ("-m", "--multirun")
TEXT, TEXTS, NUMBERS, OTHER = "text", "list of texts", "list of numbers", "other"


def as_typed(words: Sequence[str], conf: Path | None = None) -> list[str]:
    """The words of a command line, free text among them quoted for Hydra; a sweep's stay as they are.

    A whole configuration, as agents pass it, {"solver": {"alpha": 0.002}} or solver={'alpha': 0.002}, is
    taken apart into its settings.

    Args:
        conf: the folder of choices, for experiments that sweep without being told to.
    """
    # argparse takes no settings behind a flag that stands among them.
    words = sorted(words, key=lambda word: word not in SWEEP)
    parts = [part for word in words for part in _taken_apart(word)]
    return parts if sweeps(parts, conf) else [quoted(part) for part in parts]


def sweeps(words: Sequence[str], conf: Path | None = None) -> bool:
    """The command is of several runs."""
    if {*SWEEP, "hydra.mode=MULTIRUN"} & set(words):
        return True
    chosen = [word.partition("=")[2] for word in words if word.startswith("experiment=")]
    files = [conf / "experiment" / f"{name}.yaml" for name in chosen] if conf else []
    return any(f.is_file() and "MULTIRUN" in f.read_text(encoding="utf-8") for f in files)


def quoted(word: str) -> str:
    """One word, its value in quotes where it is text and Hydra would not read it as it stands."""
    key, sign, value = word.partition("=")
    kinds = _kinds(key.lstrip("+"))
    if not sign or not kinds or value in ("", "null") or _in_quotes(value):
        return word
    read, refers = _read(word), "prompt" in key.rpartition(".")[2] and "${" in value
    if read is None and value.startswith("[") and not value.endswith("]") and kinds != {TEXT}:
        return word  # a list that is not finished, which Hydra tells
    if value.startswith("[") and value.endswith("]") and kinds & {TEXTS, OTHER}:
        parts = list(_split(value[1:-1]))
        whole = read is not None and _unchanged(read, parts)
        if read is not None and whole and (OTHER in kinds or _texts(read)) and not refers:
            return word
        if not whole or TEXTS in kinds:
            parts = [p if _in_quotes(p) else quote(p, refers * LISTED) for p in parts]
            return f"{key}=[{','.join(parts)}]"
        return word
    if kinds <= {TEXT, NUMBERS}:
        plain = read is not None and not read.is_sweep_override() and _as(read, value, kinds)
        return word if plain and not refers else f"{key}={quote(value, refers * ALONE)}"
    number = (
        read is not None and isinstance(read.value(), int | float) and "_" in value
    )  # 2024_01_15
    plain = read is not None and not read.is_sweep_override() and not number
    if read is not None and isinstance(read.value(), str):
        plain &= read.value() == value  # it takes a backslash from //server as Windows writes it
    return word if plain else f"{key}={quote(value)}"


def _read(word: str) -> Override | None:
    """As Hydra reads it; None where it cannot."""
    try:
        return OverridesParser.create().parse_override(word)
    except Exception:  # a mistake in its grammar, of whatever class
        return None


def _as(read: Override, value: str, kinds: frozenset[str]) -> bool:
    """Hydra reads the value as it was typed, or as a list where there may be one."""
    found = read.value()
    return found == value or (NUMBERS in kinds and isinstance(found, list))


def _unchanged(read: Override, parts: Sequence[str]) -> bool:
    """No text of a list is read as another than was typed: the grammar takes backslashes for signs of its own."""
    found = read.value()
    return not isinstance(found, list) or all(
        not isinstance(one, str) or one == part or _in_quotes(part)
        for one, part in zip(found, parts)
    )


def _texts(read: Override) -> bool:
    value = read.value()
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _in_quotes(value: str) -> bool:
    """It begins and ends with a quote, and Hydra reads it: not "a" cat, he said "hi", whose quotes are its own."""
    value = value.strip()
    marked = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return marked and _read(f"x={value}") is not None


def quote(value: str, signs: int = 0) -> str:
    """In double quotes, as Hydra's grammar has them; with `signs` before it ${…} is no reference but text."""
    inside = re.sub(r'(\\*)("|$)', lambda m: 2 * m[1] + ('\\"' if m[2] else ""), value.strip())
    if signs:
        inside = re.sub(r"(?<!\\)\$\{", lambda _: signs * "\\" + "${", inside)
    return f'"{inside}"'


def _split(text: str) -> Iterator[str]:
    """Elements of a list as typed: at its commas, but for those in quotes and brackets."""
    depth, mark, found = 0, "", ""
    for letter in text:
        if mark:
            mark = "" if letter == mark else mark
        elif letter in "\"'" and not found.strip():
            mark = letter
        elif letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
        if letter == "," and not mark and depth <= 0:
            yield found.strip()
            found = ""
        else:
            found += letter
    if found.strip():
        yield found.strip()


@cache
def _kinds(key: str) -> frozenset[str]:
    """What the schemas of its group say that a setting may be."""
    group, _, rest = key.partition(".")
    if group == "hydra":
        return _of_hydra(rest.split("."))
    name = rest.rpartition(".")[2] or group
    if not rest:
        nodes: list[Any] = [config.Config]
    else:
        rooms = [room for room in config.GROUPS if room.__name__.rpartition(".")[2] == group]
        nodes = [node for room in rooms for node in room.SCHEMAS.values()]
    hints = [get_type_hints(node).get(name) for node in nodes]
    found = frozenset(_kind(hint) for hint in hints if hint is not None)
    return found if rest else found & {TEXT}  # else a group's choice


def _of_hydra(names: Sequence[str]) -> frozenset[str]:
    """Of a setting of Hydra's own, hydra.run.dir say."""
    hint: Any = HydraConf
    for name in names:
        hint = get_type_hints(hint).get(name) if is_dataclass(hint) else None
    return frozenset({TEXT}) if _kind(hint) == TEXT else frozenset()


def _kind(hint: Any) -> str:
    options = [one for one in get_args(hint) if one is not type(None)]
    if hint is str or (options == [str] and not str(hint).startswith("list")):
        return TEXT
    if hint == list[str] or list[str] in options:
        return TEXTS
    return NUMBERS if str(hint).startswith("list[") else OTHER


def _taken_apart(word: str) -> Iterator[str]:
    """The settings of a whole configuration, or of a group's; any other word as it is."""
    key, sign, value = ("", "", word) if word.startswith("{") else word.partition("=")
    name = key.lstrip("+")
    group = not sign or (name in config.Config.__dataclass_fields__ and not _kinds(name))
    content = _mapping(value) if group and value.startswith("{") else None
    if content is None:
        yield word
    else:
        yield from _settings(content, f"{key}." if sign else "")


def _settings(content: dict[str, Any], before: str) -> Iterator[str]:
    for name, value in content.items():
        if isinstance(value, dict):
            yield from _settings(value, f"{before}{name}.")
        else:
            yield f"{before}{name}={value if isinstance(value, str) else _written(value)}"


def _written(value: Any) -> str:
    """A value of Python's as Hydra writes it."""
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_written, value))}]"
    return quote(value) if isinstance(value, str) else json.dumps(value)


def _mapping(text: str) -> dict[str, Any] | None:
    """What is written between braces, as JSON or as Python writes it; None if it is neither."""
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text)
        except (ValueError, SyntaxError, RecursionError):
            continue
        return found if isinstance(found, dict) else None
    return None
