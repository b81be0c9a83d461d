"""Latent diffusion models behind one interface; only this folder imports diffusers.

    model.py           DiffusionModel and its verbs
    networks.py        Stable Diffusion 1, 2, XL and 3
    noise_schedule.py  noise levels, prediction → ε
    batching.py        batches that fit into memory
    lora_file.py       low-rank weights from a file
    loading.py         folder, file or hub → pipeline
    folder.py          what a local folder lacks
    failures.py        why weights do not load
    placement.py       device, precision, offloading
    full_size.py       Stable Diffusion 2's sizes with random weights

Whatever a network predicts leaves this folder as ε.
"""

from geodesic_lightning.models.diffusion.model import DiffusionModel
from geodesic_lightning.models.embedded import pipeline_folder

__all__ = ["EMBEDDED_ALPHA", "DiffusionModel", "embedded"]

# Density exponents of the shipped model by score; docs/study.md says how they were chosen.
EMBEDDED_ALPHA = {"noise_prediction": 0.002, "contrast": 0.1}


def embedded(
    alpha: dict[str, float] | None = None, name: str = "embedded", **options
) -> DiffusionModel:
    """The small model of drawn cats that ships with the project; options as for DiffusionModel."""
    folder = str(pipeline_folder())
    model = DiffusionModel(folder, alpha=alpha or EMBEDDED_ALPHA, name=name, **options)
    model.source = model.source.replace(folder, "shipped")
    return model
