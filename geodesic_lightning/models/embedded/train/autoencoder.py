"""Training of the autoencoder, a LightningModule.

Loss = |x̂ − x| + ½ |∇x̂ − ∇x| + ½ (x̂ − x)² + 5e-4 KL, each a mean over its elements; pixels are in
[-1, 1].
"""

import lightning
import torch

from geodesic_lightning.models.embedded.train import networks
from geodesic_lightning.models.embedded.train.average import Average
from geodesic_lightning.models.embedded.train.schedule import adamw


class Autoencoder(lightning.LightningModule):
    """Holds `vae`, the network that learns, and `average`, the one that is shipped."""

    def __init__(self, steps, rate=2e-3):
        super().__init__()
        self.vae = networks.autoencoder()
        self.average = Average(self.vae, 0.998)
        self.steps, self.rate = steps, rate

    def training_step(self, batch, index):
        pictures = to_unit(batch)
        posterior = self.vae.encode(pictures).latent_dist
        decoded = self.vae.decode(posterior.sample()).sample.float()
        error = decoded - pictures
        loss = error.abs().mean() + 0.5 * (error**2).mean() + 5e-4 * divergence(posterior)
        for axis in (2, 3):
            loss = loss + 0.25 * error.diff(dim=axis).abs().mean()
        self.log("psnr", psnr(error.detach()), batch_size=len(batch))
        return loss

    def on_train_batch_end(self, outputs, batch, index):
        self.average.update(self.vae)

    def validation_step(self, batch, index):
        pictures = to_unit(batch)
        vae = self.average.network
        error = vae.decode(vae.encode(pictures).latent_dist.mean).sample.float() - pictures
        self.log("psnr_held_out", psnr(error), batch_size=len(batch), sync_dist=True)

    def configure_optimizers(self):
        return adamw(self.vae.parameters(), self.rate, self.steps)


def to_unit(pictures):
    """uint8 (n, h, w, 3) → float (n, 3, h, w) in [-1, 1]."""
    return pictures.permute(0, 3, 1, 2).float() / 127.5 - 1.0


def psnr(error):
    """Mean over pictures of 10 log₁₀(2²/mse), in dB; errors (n, c, h, w) of pixels in [-1, 1]."""
    return (10 * torch.log10(4.0 / error.float().square().mean(dim=(1, 2, 3)))).mean()


def divergence(posterior):
    """KL(q(z|x) ‖ N(0, 1)), mean over latent elements, in nats."""
    mean, logvar = posterior.mean.float(), posterior.logvar.float()
    return 0.5 * (mean**2 + logvar.exp() - 1.0 - logvar).mean()
