"""Training of the autoencoder, a LightningModule.

Loss = |x̂ − x| + ½ |∇x̂ − ∇x| + ½ (x̂ − x)² + 5e-4 KL, each a mean over its elements; pixels are in
[-1, 1].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from geodesic_lightning.models.embedded.train import networks
from geodesic_lightning.models.embedded.train.average import Average
from geodesic_lightning.models.embedded.train.schedule import adamw

if TYPE_CHECKING:
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution


class Autoencoder(lightning.LightningModule):
    """Holds `vae`, the network that learns, and `average`, the one that is shipped.

    A batch is uint8 (n, h, w, 3).
    """

    def __init__(self, steps: int, rate: float = 2e-3) -> None:
        super().__init__()
        self.vae = networks.autoencoder()
        self.average = Average(self.vae, 0.998)
        self.steps, self.rate = steps, rate

    def training_step(self, batch: Tensor, index: int) -> Tensor:
        pictures = to_unit(batch)
        posterior = self.vae.encode(pictures).latent_dist
        decoded = self.vae.decode(posterior.sample()).sample.float()
        error = decoded - pictures
        loss = error.abs().mean() + 0.5 * (error**2).mean() + 5e-4 * divergence(posterior)
        for axis in (2, 3):
            loss = loss + 0.25 * error.diff(dim=axis).abs().mean()
        self.log("psnr", psnr(error.detach()), batch_size=len(batch))
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Tensor, index: int) -> None:
        self.average.update(self.vae)

    def validation_step(self, batch: Tensor, index: int) -> None:
        pictures = to_unit(batch)
        vae = self.average.network
        error = vae.decode(vae.encode(pictures).latent_dist.mean).sample.float() - pictures
        self.log("psnr_held_out", psnr(error), batch_size=len(batch), sync_dist=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return adamw(self.vae.parameters(), self.rate, self.steps)


def to_unit(pictures: Tensor) -> Tensor:
    """uint8 (n, h, w, 3) → float (n, 3, h, w) in [-1, 1]."""
    return pictures.permute(0, 3, 1, 2).float() / 127.5 - 1.0


def psnr(error: Tensor) -> Tensor:
    """Mean over pictures of 10 log₁₀(2²/mse), in dB; errors (n, c, h, w) of pixels in [-1, 1]."""
    return (10 * torch.log10(4.0 / error.float().square().mean(dim=(1, 2, 3)))).mean()


def divergence(posterior: DiagonalGaussianDistribution) -> Tensor:
    """KL(q(z|x) ‖ N(0, 1)), mean over latent elements, in nats."""
    mean, logvar = posterior.mean.float(), posterior.logvar.float()
    return 0.5 * (mean**2 + logvar.exp() - 1.0 - logvar).mean()
