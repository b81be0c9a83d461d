"""The families of pipelines, by the names of their classes.

StableDiffusion    1.x and 2.x: 77 token states
StableDiffusionXL  77 token states of two encoders side by side, pooled; the image's own size
StableDiffusion3   3 and 3.5: 77 token states of two encoders and 256 of a third, pooled; flow
"""

from __future__ import annotations

from typing import Any

from geodesic_lightning.errors import UserError
from geodesic_lightning.models.diffusion.flux import Flux
from geodesic_lightning.models.diffusion.network import Network
from geodesic_lightning.models.diffusion.pixart import PixArtSigma
from geodesic_lightning.models.diffusion.stable_diffusion_3 import StableDiffusion3
from geodesic_lightning.models.diffusion.unets import StableDiffusion, StableDiffusionXL


def network_of(pipeline: Any) -> Network:
    """The network of a loaded pipeline; those from image to image and for inpainting have the same parts.

    Raises:
        UserError: a pipeline of another family, without some part, or whose network sees more than latents.
    """
    kinds = [kind.__name__ for kind in type(pipeline).__mro__]
    bare = [kind.replace("Img2Img", "").replace("Inpaint", "") for kind in kinds]
    family = next((FAMILIES[name] for name in bare if name in FAMILIES), None)
    if family is None:
        raise UserError(f"model: got a {kinds[0]}, expected one of {', '.join(FAMILIES)}.")
    for part in family.needs:
        if getattr(pipeline, part, None) is None:
            raise UserError(f"model: this {kinds[0]} has no {part}: load it with all its parts.")
    network = family(pipeline)
    channels, own = network.latent_shape[0], pipeline.vae.config.latent_channels
    if channels != own:
        raise UserError(
            f"model: the network of this {kinds[0]} takes {channels} channels, expected the {own} of a "
            "latent: it was trained to see a mask or a picture beside it, take the one it was made from."
        )
    return network


FAMILIES: dict[str, type[Network]] = {
    "StableDiffusionPipeline": StableDiffusion,
    "StableDiffusionXLPipeline": StableDiffusionXL,
    "StableDiffusion3Pipeline": StableDiffusion3,
    "FluxPipeline": Flux,
    "PixArtSigmaPipeline": PixArtSigma,
}
