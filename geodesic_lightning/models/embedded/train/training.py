"""One training run: data-parallel, resumable, its batches fixed by seed, step and rank alone.

Two processes of one thread each: on a machine shared with others this is several times faster than
one process of two threads, which wait for each other in every convolution.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

if TYPE_CHECKING:
    from geodesic_lightning.models.embedded.train.autoencoder import Autoencoder
    from geodesic_lightning.models.embedded.train.denoiser import Denoiser

SEED, PROCESSES = 0, 2
Batch = Tensor | tuple[Tensor, ...]
Trained = TypeVar("Trained", "Autoencoder", "Denoiser")


class Batches(torch.utils.data.IterableDataset[Batch]):
    """Batches `first` … `steps` − 1, each `size` rows of the arrays in `files`.

    The rows of a batch are drawn by `default_rng((SEED, step, rank))`.
    """

    def __init__(self, files: Sequence[Path], size: int, first: int, steps: int) -> None:
        self.files, self.size, self.first, self.steps = files, size, first, steps

    def __iter__(self) -> Iterator[Batch]:
        arrays = [np.load(file, mmap_mode="r") for file in self.files]
        for step in range(self.first, self.steps):
            rng = np.random.default_rng((SEED, step, rank()))
            rows = np.sort(rng.integers(len(arrays[0]), size=self.size))
            batch = tuple(torch.from_numpy(np.ascontiguousarray(a[rows])) for a in arrays)
            yield batch if len(batch) > 1 else batch[0]


class Share(torch.utils.data.IterableDataset[Batch]):
    """This process's share of a list of validation batches."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Batch]:
        yield from self.batches[rank() :: PROCESSES]


def rank() -> int:
    """Number of this process among those that train together."""
    distributed = torch.distributed
    return distributed.get_rank() if distributed.is_initialized() else 0


def fit(
    module: Trained,
    folder: str | Path,
    files: Sequence[Path],
    batch: int,
    held_out: Sequence[Batch],
    precision: Literal["bf16-mixed", "32-true"],
    every: int = 250,
) -> Trained:
    """Train `module` for `module.steps` steps of `batch` rows, resuming from folder/last.ckpt.

    files: .npy files with a common first axis. held_out: batches, of which each process validates
    its share. every: steps from one validation and
    checkpoint to the next. Returns the module, trained.
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
        training, validation = (
            torch.utils.data.DataLoader(data, batch_size=None)
            for data in (Batches(files, batch // PROCESSES, first, module.steps), Share(held_out))
        )
        trainer.fit(
            module, training, validation, ckpt_path=last if first else None, weights_only=True
        )
    module.load_state_dict(checkpoint(last)["state_dict"])
    return module


def checkpoint(path: str | Path) -> dict[str, Any]:
    """A checkpoint of this project's own making, as a dict; one that could run code is refused by torch."""
    return torch.load(path, map_location="cpu", weights_only=True)


class Report(lightning.Callback):
    """One thread a process, a line of figures at every validation, a checkpoint at the end."""

    def __init__(self, last: Path) -> None:
        self.last = last

    def setup(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, stage: str
    ) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(SEED + 1000 * trainer.global_rank + trainer.global_step)

    def on_validation_end(
        self, trainer: lightning.Trainer, module: lightning.LightningModule
    ) -> None:
        if trainer.global_rank:
            return
        figures = " ".join(f"{k} {float(v):.4f}" for k, v in trainer.callback_metrics.items())
        self.last.parent.mkdir(parents=True, exist_ok=True)
        with (self.last.parent / "log.txt").open("a", encoding="utf-8") as log:
            log.write(f"{time.strftime('%H:%M:%S')} step {trainer.global_step} {figures}\n")

    def on_train_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        trainer.save_checkpoint(self.last)
