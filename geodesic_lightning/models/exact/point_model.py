"""A density over R^d behind the verbs of the diffusion model, whoever wrote it.

A latent here is a point x of R^d, and the network is replaced by the formula

    epsilon(x, t, c) = -sigma c score(x),   sigma the density's smallest width,

so that score = -epsilon/sigma as for a diffusion model. The embedding c is a single number: 1 for
any prompt of the path's own, 0 for what a score contrasts it with (no prompt, or a negative one),
which stands for the flat density. A prompt contrast (epsilon_negative - epsilon_prompt)/2 is then
exactly sigma/2 times the score. There is one noise level: the timestep is ignored, inversion and
denoising are the identity, and decoding draws the point over the density.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Self

import torch
from torch import Tensor

from geodesic_lightning.data.clip import Clip
from geodesic_lightning.data.frames import Frames
from geodesic_lightning.errors import UserError
from geodesic_lightning.geometry.manifold import Euclidean, Sphere
from geodesic_lightning.models import parallel
from geodesic_lightning.models.exact.density import Density
from geodesic_lightning.models.exact.picture import draw_frames

__all__ = ["PointModel"]


class PointModel(ABC):
    """What all models of points have in common; one says which density it is of, and which ends it takes.

    Args:
        name: what summaries call it.
        batch_size: points scored at a time, or None for all at once; bounds memory.
        device: where latents live.

    Attributes:
        evaluations: points scored by `noise_prediction` so far.
        image_size: 256 px. timestep, timesteps: 0 of 1, the only noise level there is.
        passes, rough_passes: 0, nothing leads down.

    Raises:
        UserError: a batch size below 1.
    """

    image_size = 256
    timestep, timesteps = 0, 1
    passes = rough_passes = 0

    def __init__(self, name: str, batch_size: int | None, device: str | torch.device) -> None:
        if batch_size is not None and batch_size < 1:
            raise UserError(f"model.batch_size: got {batch_size}, expected at least 1.")
        self.name, self.batch_size, self.device = name, batch_size, torch.device(device)
        self.evaluations = 0
        self.source: str | None = None  # there are no weights
        self.facts: dict[str, str] = {}

    @property
    @abstractmethod
    def density(self) -> Density:
        """The density, which knows its dimension, its width and its manifold."""

    @property
    @abstractmethod
    def alpha(self) -> float | None:
        """A density exponent of its own, or None."""

    @abstractmethod
    def encode(self, frames: Frames) -> Tensor:
        """The frames' points (n, d) float64, on the manifold."""

    @abstractmethod
    def sample(
        self, embedding: Tensor, seeds: Sequence[int], guidance: float | None = None
    ) -> Tensor:
        """Points (n, d) of the model's own, where it has some."""

    @abstractmethod
    def judge(self, points: Tensor, alpha: float, manifold: object) -> dict[str, float | None]:
        """What is known exactly of the path through points (n, d)."""

    @abstractmethod
    def picture(self, points: Tensor, alpha: float, manifold: object) -> Tensor | None:
        """The path (n, d) over its density, (3, H, W) in [0, 1]."""

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """(d,)."""
        return (self.density.dimension,)

    @property
    def sigma(self) -> float:
        """The density's smallest width."""
        return self.density.sigma

    @property
    def manifold(self) -> Euclidean | Sphere:
        """The density's own space."""
        return self.density.manifold

    @property
    def denoiser(self) -> None:
        """There is no network."""
        return None

    def parameters(self) -> Iterator[Tensor]:
        """None: a density has nothing to train."""
        return iter(())

    def alpha_cumprod(self, t: int) -> float:
        """1 at every t: x is the data itself, and moving it to another timestep changes nothing."""
        return 1.0

    def sigma_at(self, t: int) -> float:
        """sigma at every t: there is one noise level."""
        return self.sigma

    def to(self, device: str | torch.device) -> Self:
        """Encode to that device from now on."""
        self.device = torch.device(device)
        return self

    # -- verbs ---------------------------------------------------------------------------------

    def prepare(self, frames: Frames | Clip) -> None:
        """Nothing: a density has no size and looks at no pictures."""
        return None

    def embed(self, prompts: Sequence[str], negative: bool = False, long: str = "refuse") -> Tensor:
        """n prompts give (n, 1, 1) float64: 1 each, whatever they say, 0 for negative ones."""
        flags = [0.0 if negative else 1.0 for _ in prompts]
        return torch.tensor(flags, dtype=torch.float64, device=self.device)[:, None, None]

    def invert(self, latents: Tensor, embedding: Tensor) -> Tensor:
        """The latents (n, d) themselves."""
        return latents

    def noise_prediction(self, x: Tensor, t: Tensor | int, embedding: Tensor) -> Tensor:
        """-sigma c score(x) at x (n, d) for embeddings c (n, 1, 1) or (1, 1, 1); t is ignored."""
        self.evaluations += len(x)
        return -self.sigma * embedding.reshape(-1, 1).to(x) * parallel.shared(self.score, x)

    def denoise(self, x: Tensor, embedding: Tensor) -> Tensor:
        """The latents (n, d) themselves."""
        return x

    def sketch(self, x: Tensor, embedding: Tensor) -> Tensor:
        """The latents (n, d) themselves."""
        return x

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures (n, 3, 256, 256) in [0, 1]: the path of all latents (n, d), the i-th marked."""
        return draw_frames(self.density, latents, self.image_size)

    def features(self, images: Tensor) -> list[Tensor]:
        """The images (n, 3, H, W) themselves, every picture as one vector: there is no network."""
        return [images.flatten(1)[..., None, None]]

    def given(self, frames: Frames) -> None:
        """None: a density has no images of its own to stand at the ends."""
        return None

    # -- what only a density can say -----------------------------------------------------------

    def log_density(self, x: Tensor) -> Tensor:
        """log p in nats at x (n, d), shape (n,)."""
        parts = x.split(self.batch_size or max(len(x), 1))
        return torch.cat([self.density.log_density(part) for part in parts])

    def score(self, x: Tensor) -> Tensor:
        """grad log p at x (n, d), shape (n, d)."""
        parts = x.split(self.batch_size or max(len(x), 1))
        return torch.cat([self.density.score(part) for part in parts])
