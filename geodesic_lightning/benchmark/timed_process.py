"""`python timed_process.py RESULT WORDS…`: seconds and memory of `python WORDS…`, as JSON into the file RESULT.

A process counts as its own memory that of the one it was started from, so this one is small: it imports
nothing but the standard library, and is run as a file, not as a module of the package.
"""

import json
import resource
import subprocess
import sys
import time


def main(result: str, *words: str) -> int:
    """Returns what the process ended with."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, *words], check=False)
    wall = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    unit = 1 if sys.platform == "darwin" else 1024
    measured = {
        "wall": wall,
        "cpu": used.ru_utime + used.ru_stime,
        "peak_mb": used.ru_maxrss * unit / 1e6,
    }
    with open(result, "w", encoding="utf-8") as file:
        json.dump(measured, file)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
