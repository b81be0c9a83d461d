"""Which ODE sampler carries latents up to the path's noise level and down again, and how finely.

Time runs over `steps` of the training's 1000 timesteps, t = 1, 21, …, 981 for 50; the path stands at the fraction
`noise_level` of them: 0.6 is 30 steps up, at t = 581.
"""

from dataclasses import dataclass

from geodesic_lightning.errors import UserError


@dataclass(frozen=True)
class Scheduler:
    """A pair of diffusers' schedulers by class name, the number of steps, and the path's noise level in (0, 1].

    Raises:
        UserError: a noise level outside (0, 1], or too few steps to reach it.
    """

    sampler: str = "DDIMScheduler"
    inverse: str = "DDIMInverseScheduler"
    steps: int = 50
    noise_level: float = 0.6

    def __post_init__(self) -> None:
        if not 0 < self.noise_level <= 1:
            raise UserError(f"scheduler.noise_level: got {self.noise_level}, expected a number above 0 and at most 1.")
        if not 1 <= self.steps <= 1000:
            raise UserError(f"scheduler.steps: got {self.steps}, expected 1 to 1000.")
        if self.climb < 1:
            raise UserError(
                f"scheduler.steps: {self.steps} steps have none below noise level {self.noise_level}; "
                "take more steps or a higher level."
            )

    @property
    def climb(self) -> int:
        """Steps between the image and the path."""
        return round(self.steps * self.noise_level)
