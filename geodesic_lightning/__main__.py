"""`python -m geodesic_lightning`, and the command `geodesic`: a run, a sweep, or `distance …`."""

import sys
import time

BEGAN = time.perf_counter()


def main() -> None:
    """What the first word says."""
    if sys.argv[1:2] == ["distance"]:
        from geodesic_lightning.distance.__main__ import main as distance

        return distance(sys.argv[2:])
    from geodesic_lightning.cli.app import main as run

    return run(BEGAN)


if __name__ == "__main__":
    main()
