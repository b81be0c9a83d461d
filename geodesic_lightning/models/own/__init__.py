"""A density that somebody brings: their log p, by its name or as an object, in place of a network.

    from geodesic_lightning.models.own import OwnModel
    model = OwnModel("my_module.MyDensity")          # or OwnModel(my_density)

What a target may be and how it is found: target.py. Its score, where it gives none, is autograd's
(density.py); its curvature, where it says none, is estimated (curvature.py).
"""

from geodesic_lightning.models.own.density import OwnDensity
from geodesic_lightning.models.own.model import OwnModel
from geodesic_lightning.models.own.target import Target

__all__ = ["OwnDensity", "OwnModel", "Target"]
