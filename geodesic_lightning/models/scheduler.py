"""How a latent climbs from an image to the path's noise level, and comes down again.

The path stands at the timestep τ that belongs to its noise level: with T = 1000 training steps τ =
1000·level − 19, so that 0.6 is τ = 581, where the 30th of the usual 50 steps t = 1, 21, … stands.
The climb takes round(steps·level) steps from the clean latent to τ, whatever the sampler and the
grid: other step counts change the cost, not the level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from geodesic_lightning.errors import UserError
from geodesic_lightning.models import grid
from geodesic_lightning.models import samplers as ode
from geodesic_lightning.models.multistep import ORDERS

if TYPE_CHECKING:
    from geodesic_lightning.models.diffusion.noise_schedule import Levels


@dataclass(frozen=True)
class Scheduler:
    """A sampler of the probability flow ODE, its number of steps, and the path's noise level.

    Args:
        sampler: one of ode.SAMPLERS.
        steps: from clean latent to pure noise, of which the climb takes its share.
        noise_level: of the path, in (0, 1].
        iterations: fixed-point iterations of each inversion step; 0 is the usual explicit
            inversion.
        grid: where the steps stand, one of grid.GRIDS; None is karras for multistep, else even.
        rho: ρ of the grid karras, at least 1.
        order: of the sampler multistep, 2 or 3.
        corrector: multistep corrects each step by the evaluation where it led.

    Raises:
        UserError: an unknown sampler or grid, a noise level outside (0, 1], or too few steps to
            reach it.
    """

    sampler: str = "multistep"
    steps: int = 16
    noise_level: float = 0.6
    iterations: int = 0
    grid: str | None = None
    rho: float = 4.0
    order: int = 2
    corrector: bool = True

    def __post_init__(self) -> None:
        if self.sampler not in ode.SAMPLERS:
            raise UserError(
                f"scheduler.sampler: got {self.sampler!r}, expected one of "
                f"{', '.join(ode.SAMPLERS)}."
            )
        if not 0 < self.noise_level <= 1:
            raise UserError(
                f"scheduler.noise_level: got {self.noise_level}, expected a number above 0 and at "
                "most 1."
            )
        if not 1 <= self.steps <= 1000:
            raise UserError(f"scheduler.steps: got {self.steps}, expected 1 to 1000.")
        if self.iterations < 0:
            raise UserError(f"scheduler.iterations: got {self.iterations}, expected at least 0.")
        if self.iterations and self.sampler not in ode.INVERTIBLE:
            raise UserError(
                f"scheduler.iterations: the sampler {self.sampler} remembers its last step and has "
                f"no fixed point; expected 0, or one of the samplers {', '.join(ode.INVERTIBLE)}."
            )
        if self.grid is not None and self.grid not in grid.GRIDS:
            raise UserError(
                f"scheduler.grid: got {self.grid!r}, expected one of {', '.join(grid.GRIDS)}."
            )
        if not self.rho >= 1:
            raise UserError(f"scheduler.rho: got {self.rho}, expected at least 1.")
        if self.order not in ORDERS:
            raise UserError(f"scheduler.order: got {self.order}, expected 2 or 3.")
        if self.climb < 1:
            raise UserError(
                f"scheduler.steps: {self.steps} steps have none below noise level "
                f"{self.noise_level}; take more steps or a higher level."
            )

    @property
    def climb(self) -> int:
        """Steps between the image and the path."""
        return round(self.steps * self.noise_level)

    def timesteps(self, levels: Levels) -> list[int]:
        """Timesteps of the climb over a model's levels, rising to τ."""
        total = len(levels)
        last = max(1, round(self.noise_level * total) - total // 50 + 1)
        if (self.grid or _usual(self.sampler)) == "karras":
            return grid.karras(levels.ratios, last, self.climb, self.rho)
        spacing = min(total / self.steps, (last - 1) / max(self.climb - 1, 1))
        return grid.even(last, self.climb, spacing)

    def above(self, levels: Levels, last: int) -> list[int]:
        """Timesteps above τ = `last`, rising to that of pure noise: where sampling comes down from.

        As many as the sampler has in all, since with guidance they decide what a picture shows.
        """
        top = levels.top
        return sorted(
            {last + round((top - last) * k / self.steps) for k in range(1, self.steps + 1)} - {last}
        )


def _usual(sampler: str) -> str:
    """The grid that a sampler is for: one that remembers slopes wants them where they turn."""
    return "karras" if sampler == "multistep" else "even"
