"""Train the network that proposes a cat for a picture: drawings in, parameters out.

Drawings are softened and noised by chance, as the autoencoder leaves its frames.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from geodesic_lightning.models.embedded import redraw
from geodesic_lightning.models.embedded.train import dataset

SEED, DRAWINGS, BATCH = 2026, 24000, 64


def train(work: Path, steps: int = 6000, lr: float = 2e-3) -> Path:
    """Draw what is not drawn yet, train, and write redraw.WEIGHTS; returns its path."""
    torch.manual_seed(0)
    folder = work / "redraw"
    dataset.write(folder, DRAWINGS, redraw.SIZE, SEED)
    pictures = dataset.drawings(folder)
    vectors = torch.from_numpy(np.load(folder / "cats.npy")).float()
    network = redraw.Proposer()
    optimizer = torch.optim.AdamW(network.parameters(), lr, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, steps)
    generator = torch.Generator().manual_seed(0)
    for step in range(steps):
        index = torch.randint(len(vectors), (BATCH,), generator=generator)
        batch = torch.from_numpy(pictures[index.numpy()]).permute(0, 3, 1, 2).float() / 255
        found = network(disturbed(batch, generator))
        loss = torch.nn.functional.smooth_l1_loss(found, redraw.target(vectors[index]), beta=0.1)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 500 == 0:
            print(f"step {step}: {loss.item():.4f}", flush=True)
    save_file({k: v.half() for k, v in network.state_dict().items()}, redraw.WEIGHTS)
    return redraw.WEIGHTS


def disturbed(batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A little noise and softness, as decoding leaves: pictures (n, 3, H, W) in [0, 1]."""
    size = batch.shape[-1]
    soft = torch.nn.functional.interpolate(batch, scale_factor=0.75, mode="area")
    soft = torch.nn.functional.interpolate(soft, (size, size), mode="bilinear")
    share = torch.rand((len(batch), 1, 1, 1), generator=generator)
    noise = torch.randn(batch.shape, generator=generator)
    return (batch + share * (soft - batch) + 0.02 * share * noise).clamp(0, 1)
