"""Densities whose score and log p are known, with the verbs of the diffusion model.

    from geodesic_lightning.models.exact import ExactModel
    model = ExactModel("ring")

Nine standard problems (problems.py) of three families (families.py), their shortest geodesics
(references.py) and the pictures of a path over its density (picture.py).
"""

from geodesic_lightning.models.exact.density import Density
from geodesic_lightning.models.exact.model import ExactModel
from geodesic_lightning.models.exact.problems import DENSITIES, density
from geodesic_lightning.models.exact.references import Reference, reference

__all__ = ["DENSITIES", "Density", "ExactModel", "Reference", "density", "reference"]
