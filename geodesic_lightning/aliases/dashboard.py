"""Moved to geodesic_lightning.tracking.dashboard."""

from geodesic_lightning.tracking.dashboard import main

if __name__ == "__main__":
    main()
