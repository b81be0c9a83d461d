"""What the tests are worth: each mutant of mutants.toml breaks one place, and a test should see it.

    python tools/mutants.py                          all of them, each by the tests that should see it
    python tools/mutants.py --only "a spline …"      one, by its name; may be given again
    python tools/mutants.py --whole -n 2             by all tests of the default suite, two at a time
    python tools/mutants.py --output FILE            goes on where FILE, of an earlier call, ends

The tracked files, as they stand in the working tree, are copied to a temporary folder; there the tests run
once without a mutant, and then with one mutant after the other, until the first failure. Outcomes:

    caught      a test failed
    survived    all tests passed: one is missing
    error       pytest found no tests, could not collect them, or came to no end
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TABLE = "tools/mutants.toml"
NOT_ASKED = "tests/tools"  # its test looks for the texts of the table, which a mutant replaces
OUTCOMES = {0: "survived", 1: "caught"}


@dataclass(frozen=True)
class Mutant:
    """One place that is broken; the fields are described in mutants.toml."""

    name: str
    room: str
    file: str
    text: str
    replacement: str
    tests: tuple[str, ...] = ()

    @property
    def asked(self) -> tuple[str, ...]:
        """The tests that should see it."""
        return self.tests or (f"tests/{self.room}",)

    def fault(self, root: Path) -> str | None:
        """Why it does not apply to the tree at root; None where it does."""
        file = root / self.file
        if not file.is_file():
            return f"{self.name}: there is no {self.file}"
        if (count := file.read_text(encoding="utf-8").count(self.text)) != 1:
            return f"{self.name}: {self.file} has its text {count} times, expected once"
        lost = [test for test in self.asked if not (root / test.partition("::")[0]).exists()]
        return f"{self.name}: there is no {', '.join(lost)}" if lost else None

    @contextlib.contextmanager
    def applied(self, root: Path) -> Iterator[None]:
        """The tree at root is broken inside, and whole again after."""
        file = root / self.file
        whole = file.read_text(encoding="utf-8")
        file.write_text(whole.replace(self.text, self.replacement), encoding="utf-8")
        try:
            yield
        finally:
            file.write_text(whole, encoding="utf-8")


def read(root: Path) -> list[Mutant]:
    """The mutants of the table of a tree.

    Raises:
        SystemExit: a mutant has a field too many or too few, or two have one name.
    """
    rows = tomllib.loads((root / TABLE).read_text(encoding="utf-8"))["mutant"]
    try:
        found = [Mutant(**row | {"tests": tuple(row.get("tests", ()))}) for row in rows]
    except TypeError as error:
        sys.exit(f"{TABLE}: {error}.")
    names = [one.name for one in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        sys.exit(f"{TABLE}: got {', '.join(twice)} more than once, expected names that differ.")
    return found


def copied(root: Path, to: Path) -> str:
    """Copy the tracked files of the working tree; returns a hash of them all.

    Raises:
        SystemExit: there is none at root.
    """
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=False)
    if listed.returncode:
        sys.exit(
            f"{root} is no working tree of git, expected a clone: {listed.stderr.decode().strip()}"
        )
    known = hashlib.sha256()
    for name in sorted(filter(None, listed.stdout.decode().split("\0"))):
        if not (root / name).is_file():  # deleted, and not committed yet
            continue
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, to / name)
        known.update(f"{name}\0".encode() + (root / name).read_bytes())
    return known.hexdigest()[:16]


def pytest(
    root: Path, tests: Sequence[str], options: Sequence[str], limit: float | None = None
) -> dict[str, Any]:
    """Run the tests in the tree at root: code and seconds, and the lines that name what failed.

    `code` is pytest's own; None where the tests came to no end within `limit` seconds.
    """
    # No bytecode: a file that is broken and mended within a second would be taken for the same.
    env = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    usual = ["-q", "--tb=no", "-rfE", "-p", "no:cacheprovider"]
    words = [sys.executable, "-m", "pytest", *usual, *options, *tests]
    began = time.perf_counter()
    try:
        done = subprocess.run(
            words, cwd=root, env=env, capture_output=True, text=True, timeout=limit
        )
    except subprocess.TimeoutExpired:
        return {"code": None, "seconds": round(time.perf_counter() - began, 1), "failed": []}
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+.*?)(?: - .*)?$", done.stdout, re.MULTILINE)
    seconds = round(time.perf_counter() - began, 1)
    return {"code": done.returncode, "seconds": seconds, "failed": failed}


def run(
    root: Path,
    output: Path,
    only: Sequence[str] = (),
    whole: bool = False,
    options: Sequence[str] = (),
) -> dict[str, Any]:
    """Ask the tests about each mutant that `output` does not know yet, and write it there.

    Args:
        root: a git working tree with a table.
        output: a JSON file; what it knows already of this very tree is kept.
        only: names of mutants; all if none is given.
        whole: the whole default suite is asked.
        options: of pytest.

    Returns:
        What the file holds: the tree's hash, and of each mutant the outcome, the test and the seconds.

    Raises:
        SystemExit: a mutant does not apply or is not in the table, the tests fail without a mutant, or the
            output is of another tree.
    """
    mutants = read(root)
    if unknown := [name for name in only if name not in {one.name for one in mutants}]:
        sys.exit(f"Got {', '.join(unknown)}, expected names of {TABLE}.")
    chosen = [one for one in mutants if not only or one.name in only]
    if faults := [fault for one in chosen if (fault := one.fault(root))]:
        sys.exit("\n".join(["These mutants no longer apply, write them anew:", *faults]))
    with tempfile.TemporaryDirectory(prefix="mutants-") as place:
        copy = Path(place).resolve()
        known: dict[str, Any] = {"tree": copied(root, copy), "whole": whole, "mutants": {}}
        if output.exists():
            former = json.loads(output.read_text(encoding="utf-8"))
            if (former["tree"], former["whole"]) != (known["tree"], whole):
                sys.exit(f"{output} is of another tree or other tests: give another --output.")
            known = former
        left = [one for one in chosen if one.name not in known["mutants"]]
        if not left:
            return known
        everything = ("tests", f"--ignore={NOT_ASKED}")
        asked = everything if whole else tuple(dict.fromkeys(t for m in left for t in m.asked))
        sound = pytest(copy, asked, options)
        if sound["code"]:
            told = ", ".join(sound["failed"]) or f"pytest ended with {sound['code']}"
            sys.exit(f"Without any mutant the tests fail ({told}): mend that first.")
        print(f"Without a mutant all pass ({sound['seconds']} s).", file=sys.stderr)
        for one in left:
            with one.applied(copy):
                found = pytest(
                    copy,
                    everything if whole else one.asked,
                    ["-x", *options],
                    60 + 10 * sound["seconds"],
                )
            outcome = OUTCOMES.get(found["code"], "error")
            known["mutants"][one.name] = {"outcome": outcome, **found}
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
            print(f"{outcome}: {one.name} ({found['seconds']} s)", file=sys.stderr)
    return known


def page(root: Path, known: dict[str, Any]) -> str:
    """A Markdown table of what is known, and the count."""
    found = known["mutants"]
    lines = ["| mutant | room | outcome | first seen by |", "| --- | --- | --- | --- |"]
    for one in read(root):
        if one.name in found:
            row = found[one.name]
            seen = "`" + row["failed"][0] + "`" if row["failed"] else ""
            lines.append(f"| {one.name} | {one.room} | {row['outcome']} | {seen} |")
    counts = [row["outcome"] for row in found.values()]
    told = ", ".join(f"{counts.count(kind)} {kind}" for kind in ("caught", "survived", "error"))
    return "\n".join([*lines, "", f"{len(counts)} mutants: {told}."])


def main(words: Sequence[str] | None = None) -> int:
    """The command; 0 where every mutant was caught, else 1."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--whole", action="store_true", help="ask the whole default suite")
    parser.add_argument("-n", metavar="COUNT", help="processes, as pytest-xdist takes them")
    parser.add_argument("--output", type=Path, help="outputs/mutants/<time>.json if not given")
    parser.add_argument(
        "--root", type=Path, default=ROOT, help="of the tree; this one's if not given"
    )
    given = parser.parse_args(words)
    root = given.root.resolve()
    name = time.strftime("%Y-%m-%d_%H-%M-%S")
    output = given.output or root / "outputs" / "mutants" / f"{name}.json"
    options = [] if given.n is None else ["-n", given.n]
    known = run(root, output, given.only, given.whole, options)
    print(page(root, known))
    return int(any(row["outcome"] != "caught" for row in known["mutants"].values()))


if __name__ == "__main__":
    sys.exit(main())
