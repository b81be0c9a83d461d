"""Moved to geodesic_lightning.report."""

from geodesic_lightning.report.__main__ import main

if __name__ == "__main__":
    main()
