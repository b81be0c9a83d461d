"""Training of UNet and text encoder together, a LightningModule.

x_t = √ᾱ_t z + √(1 − ᾱ_t) ε; loss = w_t |ε̂(x_t, t, c) − ε|², w_t = min(SNR_t, 5)/SNR_t (Hang et al.,
"Efficient diffusion training via min-SNR weighting", 2023). One caption in ten is replaced by "".
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
    from transformers import CLIPTokenizer

DROPPED, CLIPPED_SNR = 0.1, 5.0
Batch = tuple[Tensor, Tensor, Tensor]


class Denoiser(lightning.LightningModule):
    """Holds `learning` (unet, text) and `average`, their running mean: it is shipped.

    A batch is (means, deviations, ids): float16
    (n, channels, h, w) twice, int64 (n, wordings, 24).
    """

    signal: Tensor
    empty: Tensor

    def __init__(self, tokens: CLIPTokenizer, steps: int, rate: float = 1e-3) -> None:
        super().__init__()
        self.learning = torch.nn.ModuleDict(
            {"unet": networks.unet(), "text": networks.text_encoder(tokens)}
        )
        self.average = Average(self.learning, 0.9995)
        self.register_buffer("signal", networks.scheduler().alphas_cumprod, persistent=False)
        self.register_buffer("empty", networks.ids(tokens, [""]), persistent=False)
        self.steps, self.rate = steps, rate

    def loss(
        self, pair: torch.nn.ModuleDict, batch: Batch, generator: torch.Generator | None = None
    ) -> Tensor:
        """The loss of `pair` (unet, text) on one batch; all random numbers from `generator`."""
        means, deviations, ids = batch
        n, device = len(means), means.device
        noise = torch.randn(2, *means.shape, generator=generator, device=device)
        latents = means.float() + deviations.float() * noise[0]
        wording = torch.randint(ids.shape[1], (n,), generator=generator, device=device)
        chosen = ids[torch.arange(n, device=device), wording]
        dropped = torch.rand(n, generator=generator, device=device) < DROPPED
        chosen = torch.where(dropped[:, None], self.empty, chosen)
        t = torch.randint(len(self.signal), (n,), generator=generator, device=device)
        signal = self.signal[t].view(-1, 1, 1, 1)
        noisy = signal.sqrt() * latents + (1 - signal).sqrt() * noise[1]
        condition = pair["text"](chosen).last_hidden_state
        predicted = pair["unet"](noisy, t, condition).sample
        snr = signal / (1 - signal)
        weight = (snr.clamp(max=CLIPPED_SNR) / snr).flatten()
        return (weight * (predicted - noise[1]).square().mean(dim=(1, 2, 3))).mean()

    def training_step(self, batch: Batch, index: int) -> Tensor:
        return self.loss(self.learning, batch)

    def on_train_batch_end(self, outputs: Any, batch: Batch, index: int) -> None:
        self.average.update(self.learning)

    def validation_step(self, batch: Batch, index: int) -> None:
        generator = torch.Generator(self.device).manual_seed(index)
        value = self.loss(self.average.network, batch, generator)
        self.log("loss_held_out", value, batch_size=len(batch[0]), sync_dist=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return adamw(self.learning.parameters(), self.rate, self.steps)
