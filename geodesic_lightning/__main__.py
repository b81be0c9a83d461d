"""`python -m geodesic_lightning`, and the command `geodesic`: a run, a sweep, `distance …`, or the page, `ui`."""

import atexit
import gc
import sys
import time

BEGAN = time.perf_counter()
# The interpreter looks for circles among all objects, every 700 new ones and before it ends. These libraries
# are half a million that stay: every 50,000 spares a seventh of their import, freezing them two seconds of the end.
gc.set_threshold(50_000)
atexit.register(gc.freeze)


def main() -> None:
    """What the first word says; Ctrl+C while libraries are being imported is one line, too."""
    try:
        _main()
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)


def _main() -> None:
    if sys.argv[1:2] == ["distance"]:
        from geodesic_lightning.distance.__main__ import main as distance

        return distance(sys.argv[2:])
    if sys.argv[1:2] == ["ui"]:
        from geodesic_lightning.ui.__main__ import main as ui

        return ui(sys.argv[2:])
    from geodesic_lightning.cli.app import main as run

    return run(BEGAN)


if __name__ == "__main__":
    main()
