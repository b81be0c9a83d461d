"""Moved to geodesic_lightning.models.embedded."""

from geodesic_lightning.models.embedded.__main__ import main

if __name__ == "__main__":
    main()
