"""An exact density behind the verbs of the diffusion model, so that the whole program runs on it.

How a point stands for a latent and a formula for the network: point_model.py. What is added here is
what only a standard problem has: ends of its own, and a geodesic that is known.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from geodesic_lightning.data.frames import Frames
from geodesic_lightning.errors import UserError
from geodesic_lightning.models.exact.curve_length import curve_length
from geodesic_lightning.models.exact.density import Density
from geodesic_lightning.models.exact.picture import draw
from geodesic_lightning.models.exact.point_model import PointModel
from geodesic_lightning.models.exact.problems import density as standard
from geodesic_lightning.models.exact.references import Reference, reference

__all__ = ["ExactModel"]


class ExactModel(PointModel):
    """A density with known score and log p, in place of a diffusion model.

    Args:
        density: the name of a standard problem, or a Density of one's own.
        batch_size: points scored at a time, or None for all at once; bounds memory.
        device: where latents live.
        scheduler: not looked at: there is one noise level.

    Raises:
        UserError: an unknown density (the valid names are listed), or a batch size below 1.
    """

    def __init__(
        self,
        density: str | Density = "mixture",
        batch_size: int | None = None,
        device: str | torch.device = "cpu",
        scheduler: object = None,
    ) -> None:
        self._standard = not isinstance(density, Density)
        self._density = density if isinstance(density, Density) else standard(density)
        super().__init__(self._density.name, batch_size, device)
        self._ends = self._density.ends

    @property
    def density(self) -> Density:
        """The density, a standard problem or one's own."""
        return self._density

    @property
    def alpha(self) -> float:
        """The standard density exponent of the problem."""
        return self._density.alpha

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

    def sample(
        self, embedding: Tensor, seeds: Sequence[int], guidance: float | None = None
    ) -> Tensor:
        """The standard ends (2, d), whatever is asked for: an exact density knows no prompts."""
        self._ends = self.density.ends
        return self._ends.to(self.device)

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

        length_reference_error is relative; without a reference for these ends, this alpha and this manifold
        both are None.
        """
        length = curve_length(self.density, points.double().cpu(), alpha)
        known = self._known(points, alpha, manifold)
        if known is None:
            return {
                "length_exact": length,
                "length_reference": None,
                "length_reference_error": None,
            }
        return {
            "length_exact": length,
            "length_reference": known.length,
            "length_reference_error": length / known.length - 1,
        }

    def picture(self, points: Tensor, alpha: float, manifold: object) -> Tensor:
        """A still (3, 512, 512) in [0, 1]: path (n, d) over log p, with the known geodesic if there is one."""
        known = self._known(points, alpha, manifold)
        return draw(self.density, points, None if known is None else known.nodes)

    def _known(self, points: Tensor, alpha: float, manifold: object) -> Reference | None:
        """The known geodesic between the path's ends, at this alpha and on this manifold."""
        known, ends = self.reference, self.density.ends
        near = bool((points[[0, -1]].double().cpu() - ends).norm() <= 1e-4 * ends.norm())
        if known is None or not near or known.alpha != alpha or manifold != self.manifold:
            return None
        return known
