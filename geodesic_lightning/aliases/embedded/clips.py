"""Moved to geodesic_lightning.models.embedded.train.clips."""

from geodesic_lightning.models.embedded.train.clips import main

if __name__ == "__main__":
    main()
