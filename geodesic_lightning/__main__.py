"""`python -m geodesic_lightning`."""

from geodesic_lightning.cli.app import main

main()
