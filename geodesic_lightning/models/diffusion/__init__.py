"""Latent diffusion models behind one interface; only this folder imports diffusers.

    model.py           DiffusionModel and its verbs
    networks.py        Stable Diffusion 1, 2, XL and 3
    noise_schedule.py  noise levels, prediction → ε
    prediction.py      what a network predicts
    batching.py        batches that fit into memory
    placement.py       device, precision, offloading
    size.py            sizes of images, square or not
    activations.py     the least memory that an image takes
    loading.py         folder, file or hub → pipeline
    borrowed.py        a pipeline that somebody holds
    folder.py          what a local folder lacks
    failures.py        why weights do not load
    libraries.py       what libraries say; a silent hub
    before_loading.py  what is refused at once
    compiler.py        what torch.compile needs
    weights_used.py    whether all of a file was read
    lora_file.py       low-rank weights from files
    lora_layout.py     the layer of each of them
    dora.py            those with magnitudes
    embeddings.py      textual inversion from files
    prompt_weights.py  (word:1.2)
    full_size.py       Stable Diffusion 2's sizes with random weights

Whatever a network predicts leaves this folder as ε.
"""

from typing import Any

from geodesic_lightning.models.diffusion.model import DiffusionModel
from geodesic_lightning.models.embedded import pipeline_folder

__all__ = ["DiffusionModel", "embedded"]

# dB. Of 195 drawn cats, 60 of them drawn anew, every one comes back from its own latent at 26.7 or more;
# of the 32 photographs, scans and logos in scikit-image and matplotlib none at more than 19.4. (Norms of latents
# tell less: 0.90 to 1.14 of the prior's for cats, 0.90 to 1.63 for the others.)
EMBEDDED_KNOWS = 23.0
# Of eight samples at 1, 2.5, 4 and 7.5 the colours are those asked for from 4 on; guidance ends at the path's level.
EMBEDDED_GUIDANCE = 4.0


def embedded(name: str = "embedded", **options: Any) -> DiffusionModel:
    """The small model of drawn cats that ships with the project; options as for DiffusionModel."""
    folder = str(pipeline_folder())
    options = {"knows": EMBEDDED_KNOWS, **options}
    model = DiffusionModel(folder, name=name, **options)
    model.source = model.source.replace(folder, "shipped")
    model.guidance = EMBEDDED_GUIDANCE
    model.trust()  # it is known what it predicts
    return model
