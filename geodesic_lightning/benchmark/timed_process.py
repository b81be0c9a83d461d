"""`python timed_process.py RESULT WORDS…`: seconds and memory of `python WORDS…`, as JSON into the file RESULT.

A process counts as its own memory that of the one it was started from, so this one is small: it imports
nothing but the standard library, and is run as a file, not as a module of the package.
"""

import json
import math
import subprocess
import sys
import time


def main(result: str, *words: str) -> int:
    """Returns what the process ended with."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, *words], check=False)
    wall = time.perf_counter() - began
    cpu, peak = usage(children=True)
    measured = {"wall": wall, "cpu": cpu, "peak_mb": peak / 1e6}
    with open(result, "w", encoding="utf-8") as file:
        json.dump(measured, file)
    return done.returncode


def usage(children: bool = False) -> tuple[float, float]:
    """Seconds of the processor so far, and bytes of main memory at most; NaN where the system does not say.

    Args:
        children: of the processes that this one has started and that have ended, not of itself.
    """
    if sys.platform == "win32":
        return math.nan, math.nan
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF)
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes elsewhere
    return used.ru_utime + used.ru_stime, float(used.ru_maxrss * unit)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
