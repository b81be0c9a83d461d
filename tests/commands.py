"""Command lines one after the other in a process of its own, which has its own environment from the start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Outcome:
    """What a command left: its exit code, its words, and the folder it was to write."""

    code: int
    out: str
    err: str
    folder: Path


class Commands:
    """`commands(*overrides)` runs the command line in a process that imports its libraries but once.

    Args:
        place: the working folder; each run's is `0`, `1`, … there, unless hydra.run.dir= is among the overrides.
        environment: of that process.
    """

    def __init__(self, place: Path, environment: dict[str, str]):
        self.place, self.count = place, 0
        place.mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-P", __file__],
            cwd=place,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *overrides: str) -> Outcome:
        words = [f"hydra.run.dir={self.count}", *overrides]
        folder = next(
            w.partition("=")[2] for w in reversed(words) if w.startswith("hydra.run.dir=")
        )
        self.count += 1
        print(json.dumps(words), file=self.process.stdin, flush=True)
        return Outcome(*json.loads(self.process.stdout.readline()), self.place / folder)

    def __enter__(self) -> Commands:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate(timeout=60)


def serve() -> None:
    """Answer each line of stdin, a command's words, by one of stdout: its exit code and what it wrote."""
    usual = os.dup(1), os.dup(2)
    for line in sys.stdin:
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            for number, file in (1, out), (2, err):
                os.dup2(file.fileno(), number)
            code = command(json.loads(line))
            for stream, back, number in zip((sys.stdout, sys.stderr), usual, (1, 2)):
                stream.flush()
                os.dup2(back, number)
            for file in (out, err):
                file.seek(0)
            print(json.dumps([code, out.read(), err.read()]), flush=True)


def command(words: list[str]) -> int:
    """The exit code that the interpreter would end with, after the words it would end with."""
    sys.argv[1:] = words
    try:
        from geodesic_lightning.__main__ import main

        main()
    except SystemExit as leaving:
        if isinstance(leaving.code, str):
            print(leaving.code, file=sys.stderr)
            return 1
        return leaving.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    serve()
