"""`python -m geodesic_lightning`."""

from geodesic_lightning.app import main

main()
