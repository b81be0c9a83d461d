"""One training run: data-parallel, resumable, its batches fixed by seed, step and rank alone.

Two processes of one thread each: on a machine shared with others this is several times faster than
one process of two threads, which wait for each other in every convolution.
"""

import time
from pathlib import Path

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

SEED, PROCESSES = 0, 2


class Batches(torch.utils.data.IterableDataset):
    """Batches `first` … `steps` − 1, each `size` rows of the arrays in `files`.

    The rows of a batch are drawn by `default_rng((SEED, step, rank))`.
    """

    def __init__(self, files, size, first, steps):
        self.files, self.size, self.first, self.steps = files, size, first, steps

    def __iter__(self):
        arrays = [np.load(file, mmap_mode="r") for file in self.files]
        for step in range(self.first, self.steps):
            rng = np.random.default_rng((SEED, step, rank()))
            rows = np.sort(rng.integers(len(arrays[0]), size=self.size))
            batch = tuple(torch.from_numpy(np.ascontiguousarray(a[rows])) for a in arrays)
            yield batch if len(batch) > 1 else batch[0]


class Share(torch.utils.data.IterableDataset):
    """This process's share of a list of validation batches."""

    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        yield from self.batches[rank() :: PROCESSES]


def rank():
    """Number of this process among those that train together."""
    distributed = torch.distributed
    return distributed.get_rank() if distributed.is_initialized() else 0


def fit(module, folder, files, batch, held_out, precision, every=250):
    """Train `module` for `module.steps` steps of `batch` rows, resuming from folder/last.ckpt.

    files: .npy files with a common first axis. held_out: a list of batches, of which each process
    validates its share. Returns the module, trained.
    """
    last = Path(folder) / "last.ckpt"
    first = checkpoint(last)["global_step"] if last.exists() else 0
    if first < module.steps:
        lightning.seed_everything(SEED + first)
        checkpoints = ModelCheckpoint(
            folder,
            save_last=True,
            save_top_k=0,
            every_n_train_steps=every,
            enable_version_counter=False,
        )
        trainer = lightning.Trainer(
            accelerator="cpu",
            devices=PROCESSES,
            strategy="ddp_spawn",
            precision=precision,
            max_steps=module.steps,
            gradient_clip_val=1.0,
            callbacks=[checkpoints, Report(last)],
            val_check_interval=every,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        loaders = [
            torch.utils.data.DataLoader(data, batch_size=None)
            for data in (Batches(files, batch // PROCESSES, first, module.steps), Share(held_out))
        ]
        trainer.fit(module, *loaders, ckpt_path=last if first else None, weights_only=False)
    module.load_state_dict(checkpoint(last)["state_dict"])
    return module


def checkpoint(path):
    """A checkpoint of this project's own making, as a dict."""
    return torch.load(path, map_location="cpu", weights_only=False)


class Report(lightning.Callback):
    """One thread a process, a line of figures at every validation, a checkpoint at the end."""

    def __init__(self, last):
        self.last = last

    def setup(self, trainer, module, stage):
        torch.set_num_threads(1)
        torch.manual_seed(SEED + 1000 * trainer.global_rank + trainer.global_step)

    def on_validation_end(self, trainer, module):
        if trainer.global_rank:
            return
        figures = " ".join(f"{k} {float(v):.4f}" for k, v in trainer.callback_metrics.items())
        self.last.parent.mkdir(parents=True, exist_ok=True)
        with (self.last.parent / "log.txt").open("a") as log:
            log.write(f"{time.strftime('%H:%M:%S')} step {trainer.global_step} {figures}\n")

    def on_train_end(self, trainer, module):
        trainer.save_checkpoint(self.last)
