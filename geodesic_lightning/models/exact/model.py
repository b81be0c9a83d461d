"""An exact density behind the verbs of the diffusion model, so that the whole program runs on it.

A latent here is a point x of R^d, and the network is replaced by the formula

    epsilon(x, t, c) = -sigma c score(x),   sigma the density's smallest noise width,

so that score = -epsilon/sigma as for a diffusion model. The embedding c is a single number: 1 for
any prompt of the path's own, 0 for what a score contrasts it with (no prompt, or a negative one),
which stands for the flat density. A prompt contrast (epsilon_negative - epsilon_prompt)/2 is then
exactly sigma/2 times the score. There is one noise level: the timestep is ignored, inversion and
denoising are the identity, and decoding draws the point over the density.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from geodesic_lightning.data.clip import Clip
from geodesic_lightning.data.frames import Frames
from geodesic_lightning.errors import UserError
from geodesic_lightning.models import parallel
from geodesic_lightning.models.exact.curve_length import curve_length
from geodesic_lightning.models.exact.density import Density
from geodesic_lightning.models.exact.picture import draw, draw_frames
from geodesic_lightning.models.exact.problems import density as standard
from geodesic_lightning.models.exact.references import Reference, reference

__all__ = ["ExactModel"]


class ExactModel:
    """A density with known score and log p, in place of a diffusion model.

    Args:
        density: the name of a standard problem, or a Density of one's own.
        batch_size: points scored at a time, or None for all at once; bounds memory.
        device: where latents live.
        scheduler: not looked at: there is one noise level.

    Attributes:
        evaluations: points scored by `noise_prediction` so far.
        latent_shape: (d,). sigma, alpha, manifold: the density's own. image_size: 256 px.
        timestep, timesteps: 0 of 1, the only noise level there is. passes, rough_passes: 0, nothing leads down.
        density: the Density.

    Raises:
        UserError: an unknown density (the valid names are listed), or a batch size below 1.
    """

    image_size = 256
    timestep, timesteps = 0, 1
    passes = rough_passes = 0

    def __init__(
        self,
        density: str | Density = "mixture",
        batch_size: int | None = None,
        device: str | torch.device = "cpu",
        scheduler: object = None,
    ) -> None:
        if batch_size is not None and batch_size < 1:
            raise UserError(f"model.batch_size: got {batch_size}, expected at least 1.")
        self._standard = not isinstance(density, Density)
        self.density = density if isinstance(density, Density) else standard(density)
        self.batch_size, self.device = batch_size, torch.device(device)
        self.name = self.density.name
        self.latent_shape = (self.density.dimension,)
        self.sigma, self.alpha = self.density.sigma, self.density.alpha
        self.manifold = self.density.manifold
        self.evaluations = 0
        self.source: str | None = None  # there are no weights
        self.facts: dict[str, str] = {}
        self._ends = self.density.ends

    def to(self, device: str | torch.device) -> ExactModel:
        """Encode to that device from now on."""
        self.device = torch.device(device)
        return self

    @property
    def denoiser(self) -> None:
        """There is no network."""

    def parameters(self) -> Iterator[Tensor]:
        """None: an exact density has nothing to train."""
        return iter(())

    def alpha_cumprod(self, t: int) -> float:
        """1 at every t: x is the data itself, and moving it to another timestep changes nothing."""
        return 1.0

    def sigma_at(self, t: int) -> float:
        """sigma at every t: there is one noise level."""
        return self.sigma

    # -- verbs ---------------------------------------------------------------------------------

    def prepare(self, frames: Frames | Clip) -> None:
        """Nothing: an exact density has no size and looks at no pictures."""

    def encode(self, frames: Frames) -> Tensor:
        """The frames' points (n, d) float64, on the manifold; without points the standard ends.

        Images have no place in an exact density, and are not looked at. Raises UserError where
        the points have another dimension than the density.
        """
        points, d = frames.points, self.density.dimension
        if points is None:
            self._ends = self.density.ends
        elif points.dim() == 2 and points.shape[-1] == d:
            self._ends = self.manifold.projx(points.detach().double().cpu())
        else:
            raise UserError(
                f"Got points of shape {tuple(points.shape)}, expected (n, {d}) for the density "
                f"{self.name}: give every point {d} coordinates."
            )
        return self._ends.to(self.device)

    def embed(self, prompts: Sequence[str], negative: bool = False, long: str = "refuse") -> Tensor:
        """n prompts give (n, 1, 1) float64: 1 each, whatever they say, 0 for negative ones."""
        flags = [0.0 if negative else 1.0 for _ in prompts]
        return torch.tensor(flags, dtype=torch.float64, device=self.device)[:, None, None]

    def invert(self, latents: Tensor, embedding: Tensor) -> Tensor:
        """The latents (n, d) themselves."""
        return latents

    def sample(
        self, embedding: Tensor, seeds: Sequence[int], guidance: float | None = None
    ) -> Tensor:
        """The standard ends (2, d), whatever is asked for: an exact density knows no prompts."""
        self._ends = self.density.ends
        return self._ends.to(self.device)

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
        """None: an exact density has no images of its own to stand at the ends."""

    # -- what only an exact density can say ------------------------------------------------------

    def log_density(self, x: Tensor) -> Tensor:
        """log p in nats at x (n, d), shape (n,)."""
        parts = x.split(self.batch_size or max(len(x), 1))
        return torch.cat([self.density.log_density(part) for part in parts])

    def score(self, x: Tensor) -> Tensor:
        """grad log p at x (n, d), shape (n, d)."""
        parts = x.split(self.batch_size or max(len(x), 1))
        return torch.cat([self.density.score(part) for part in parts])

    @property
    def reference(self) -> Reference | None:
        """The known geodesic between the standard ends at the standard alpha; compare its alpha.

        None once other ends were encoded, and for a density of one's own.
        """
        ends = self.density.ends
        if not self._standard or self._ends.shape != ends.shape:
            return None
        if not torch.allclose(self._ends, ends, rtol=1e-6):
            return None
        return reference(self.name)

    def judge(self, points: Tensor, alpha: float, manifold: object) -> dict[str, float | None]:
        """The exact length of the spline through points (n, d), against the known geodesic's.

        length_error is relative; without a reference for these ends, this alpha and this manifold
        both are None.
        """
        points = points.double().cpu()
        length = curve_length(self.density, points, alpha)
        known, ends = self.reference, self.density.ends
        near = bool((points[[0, -1]] - ends).norm() <= 1e-4 * ends.norm())
        if known is None or not near or known.alpha != alpha or manifold != self.manifold:
            return {"length_exact": length, "length_reference": None, "length_error": None}
        return {
            "length_exact": length,
            "length_reference": known.length,
            "length_error": length / known.length - 1,
        }

    def picture(self, points: Tensor) -> Tensor:
        """A still (3, 512, 512) in [0, 1]: path (n, d) over log p, with the known geodesic if there is one."""
        known = self.reference
        return draw(self.density, points, None if known is None else known.nodes)
