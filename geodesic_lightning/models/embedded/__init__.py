"""The small diffusion model shipped with the project, a world of drawn cats. Cheap to import."""

from pathlib import Path


def pipeline_folder() -> Path:
    """The diffusers folder `StableDiffusionPipeline.from_pretrained` loads, a `pathlib.Path`."""
    return Path(__file__).resolve().parent / "pipeline"


def pairs_folder() -> Path:
    """The folder of the shipped pairs of pictures and their `pairs.json`, a `pathlib.Path`."""
    return Path(__file__).resolve().parent / "pairs"
