"""How different two frames look.

Every choice is a function (model, n images) → n − 1 squared differences between neighbours, in the
form of LPIPS (Zhang et al., CVPR 2018):

    d(f, g)² = Σ_l (1/H_l W_l) Σ_places |w_l ⊙ (φ_l(f) − φ_l(g))|²,   φ_l normalised to length 1
    over channels at every place

What papers call the LPIPS of two images is d², without a root; a length along a film adds up d.

    embedded      φ_l are the activations after each resolution of the model's own image encoder,
                  w = 1: needs nothing but the model that made the frames
    Lpips         AlexNet or VGG with the published weights w, which torchvision fetches once
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from geodesic_lightning.errors import UserError

__all__ = ["Lpips", "Perceptual", "distances", "embedded", "squared"]

Perceptual = Callable[[object, Tensor], Tensor]


def embedded(model, images: Tensor) -> Tensor:
    """d² between neighbours among images (n, 3, H, W) in [0, 1], by the model's encoder: (n−1,)."""
    return squared(list(model.features(images)))


class Lpips:
    """LPIPS by torchmetrics.

    Args:
        net: alex or vgg.
    """

    def __init__(self, net: str = "alex") -> None:
        if net not in ("alex", "vgg"):
            raise UserError(f"perceptual.net: got {net!r}, expected alex or vgg.")
        self.net = net

    def __call__(self, model, images: Tensor) -> Tensor:
        """LPIPS of neighbours among images (n, 3, H, W) in [0, 1]: (n−1,) float64.

        Raises:
            UserError: the network's weights cannot be fetched.
        """
        from urllib.error import URLError

        from torchmetrics.functional.image.lpips import learned_perceptual_image_patch_similarity

        images = images.float().clamp(0, 1)
        try:
            found = learned_perceptual_image_patch_similarity(
                images[:-1], images[1:], net_type=self.net, reduction="none", normalize=True
            )
        except (URLError, OSError) as error:
            raise UserError(
                f"perceptual: the weights of lpips_{self.net} could not be fetched ({error}): run once "
                "where there is a network, or choose perceptual=embedded."
            ) from error
        return found.flatten().cpu().double()


def squared(features: Sequence[Tensor]) -> Tensor:
    """d² between neighbours among n images, from features (n, C, H, W) a layer: (n−1,) float64."""
    total: Tensor | float = 0.0
    for layer in features:
        layer = layer.double()
        unit = layer / layer.norm(dim=1, keepdim=True).clamp_min(1e-12)
        total = total + (unit[1:] - unit[:-1]).square().sum(1).flatten(1).mean(1)
    return torch.as_tensor(total).cpu()


def distances(features: Sequence[Tensor]) -> Tensor:
    """d between neighbours: (n−1,) float64, on the CPU."""
    return squared(features).sqrt()
