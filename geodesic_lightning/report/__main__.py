"""`python -m geodesic_lightning.report SWEEP`: make a sweep's index.html anew."""

import sys
from pathlib import Path

from geodesic_lightning.errors import UserError
from geodesic_lightning.report.sweep_page import write
from geodesic_lightning.report.terminal import forgiving


def main(words: list[str] | None = None) -> None:
    """Write the page and say where it is."""
    forgiving()
    words = sys.argv[1:] if words is None else words
    if len(words) != 1 or words[0] in ("-h", "--help"):
        sys.exit("Usage: python -m geodesic_lightning.report <folder of a sweep>")
    try:
        print(write(Path(words[0])))
    except UserError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
