"""Moved to geodesic_lightning.models.embedded."""
