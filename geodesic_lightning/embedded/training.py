"""Two runs, one after the other: the autoencoder, then the denoiser in its latents.

Both are resumable: the batch of step k depends on the seed and k alone, and `last.ckpt` holds the rest.
"""

from pathlib import Path

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

SEED = 0


class Batches(torch.utils.data.IterableDataset):
    """Batches `first` … `steps` − 1 of rows of `arrays`, each drawn by `default_rng((SEED, step))`."""

    def __init__(self, arrays, size, first, steps):
        self.arrays, self.size, self.first, self.steps = arrays, size, first, steps

    def __iter__(self):
        for step in range(self.first, self.steps):
            rng = np.random.default_rng((SEED, step))
            rows = np.sort(rng.integers(len(self.arrays[0]), size=self.size))
            batch = tuple(
                torch.from_numpy(np.ascontiguousarray(array[rows])) for array in self.arrays
            )
            yield batch if len(batch) > 1 else batch[0]


def fit(module, folder, arrays, batch, held_out, precision, every=250):
    """Train `module` for `module.steps` steps of `batch` rows, resuming from folder/last.ckpt if it is there.

    held_out: a list of batches for validation. Returns the module, trained.
    """
    last = Path(folder) / "last.ckpt"
    first = torch.load(last, weights_only=False)["global_step"] if last.exists() else 0
    if first >= module.steps:
        module.load_state_dict(torch.load(last, weights_only=False)["state_dict"])
        return module
    lightning.seed_everything(SEED + first)
    checkpoints = ModelCheckpoint(folder, save_last=True, save_top_k=0, every_n_train_steps=every)
    trainer = lightning.Trainer(
        accelerator="cpu",
        precision=precision,
        max_steps=module.steps,
        gradient_clip_val=1.0,
        callbacks=[checkpoints, Report(folder)],
        val_check_interval=every,
        limit_val_batches=len(held_out),
        num_sanity_val_steps=0,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    batches = torch.utils.data.DataLoader(
        Batches(arrays, batch, first, module.steps), batch_size=None
    )
    validation = torch.utils.data.DataLoader(held_out, batch_size=None)
    trainer.fit(module, batches, validation, ckpt_path=last if first else None, weights_only=False)
    trainer.save_checkpoint(last)
    return module


class Report(lightning.Callback):
    """Appends one line of figures to folder/log.txt at every validation."""

    def __init__(self, folder):
        self.path = Path(folder) / "log.txt"

    def on_validation_end(self, trainer, module):
        import time

        figures = " ".join(
            f"{name} {float(value):.4f}" for name, value in trainer.callback_metrics.items()
        )
        line = f"{time.strftime('%H:%M:%S')} step {trainer.global_step} {figures}"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as log:
            log.write(line + "\n")
