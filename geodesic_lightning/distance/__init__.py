"""Distances between images in the metric of a density, and the map they draw.

    python -m geodesic_lightning.distance a.png b.png
    python -m geodesic_lightning.distance folder/ score=contrast solver.alpha=0.01

Every pair is joined by a geodesic (pairs.py), lengths are brought to one normalization (normalization.py), the
matrix is laid out in the plane (embedding.py) and drawn (picture.py).
"""

from geodesic_lightning.distance.embedding import Embedding, embed
from geodesic_lightning.distance.normalization import Distances, distances
from geodesic_lightning.distance.pairs import Pairs, between

__all__ = ["Distances", "Embedding", "Pairs", "between", "distances", "embed"]
