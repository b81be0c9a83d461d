"""`python -m geodesic_lightning.report SWEEP`: make a sweep's index.html anew."""

import argparse
import sys
from pathlib import Path

from geodesic_lightning.errors import UserError
from geodesic_lightning.report.sweep_page import write
from geodesic_lightning.report.terminal import forgiving


def main(words: list[str] | None = None) -> None:
    """Write the page and say where it is."""
    forgiving()
    parser = argparse.ArgumentParser(
        prog="python -m geodesic_lightning.report", description="Make a sweep's index.html anew."
    )
    parser.add_argument("folder", type=Path, help="of the sweep")
    try:
        print(write(parser.parse_args(words).folder))
    except UserError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
