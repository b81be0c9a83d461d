"""Latent diffusion models behind one interface; diffusers is imported in this folder and nowhere
else.

model.py      DiffusionModel, its verbs                 loading.py    folder, file or hub id →
pipeline networks.py   Stable Diffusion 1, 2, XL, 3              placement.py  device, precision,
offloading levels.py     noise levels, prediction → ε              chunks.py     batches that fit
into memory
"""

from geodesic_lightning.diffusion.model import DiffusionModel
from geodesic_lightning.embedded import pipeline_folder

__all__ = ["EMBEDDED_ALPHA", "DiffusionModel", "embedded"]

# Density exponents of the shipped model by score; docs/study.md says how they were chosen.
EMBEDDED_ALPHA = {"noise_prediction": 0.006, "contrast": 0.1}


def embedded(
    alpha: dict[str, float] | None = None, name: str = "embedded", **options
) -> DiffusionModel:
    """The small model of drawn cats that ships with the project; options as for DiffusionModel."""
    folder = str(pipeline_folder())
    model = DiffusionModel(folder, alpha=alpha or EMBEDDED_ALPHA, name=name, **options)
    model.source = "shipped"
    return model
