"""Measured comparisons that anybody can run: `python -m geodesic_lightning.benchmark`."""
