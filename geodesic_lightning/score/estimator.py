"""The score ∇log p of noisy latents, from a frozen model's noise predictions: a field, looked at along the path.

A latent x at the path's noise level τ is ᾱ_τ-scaled; σ_t = √(1 − ᾱ_t). A field (fields.py) may be looked at around τ
instead of at it: t ~ U(τ − range, τ + range) and a fresh ε move x to t by x̂₀ = (x − σ_τ ε)/√ᾱ_τ,
x_t = √ᾱ_t x̂₀ + σ_t ε.

However a path was solved, it is measured by the field at τ, where x_t = x whatever ε: without randomness, and the same
for all. (The ε that score distillation subtracts is then its mean, 0.)
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from geodesic_lightning.data.text import check_text
from geodesic_lightning.errors import UserError
from geodesic_lightning.protocols import AnyCondition, Model
from geodesic_lightning.score.condition import fixed
from geodesic_lightning.score.fields import Draw, Field, ScoreDistillation

WEIGHTS = ("uniform", "variance", "inverse_deviation")


class Score:
    """A field on the path: callable on latents and their places.

    Args:
        model: anything with `noise_prediction(x, t, embedding)`, `timestep`, `alpha_cumprod(t)`.
        condition: prompts along the path.
        field: what to make of the noise predictions.
        timestep_range: (low, high) relative to the path's timestep τ, drawn anew at each call; (0, 0) is τ itself
            and the field is deterministic. With `absolute` the bounds are timesteps themselves.
        samples: draws averaged a call, in one batch.
        chunk: latents that share a t; all of a call if not given. Each has an ε of its own all the same.
        weighting: uniform 1, variance 1 − ᾱ_t, inverse_deviation 1/σ_t.
        fresh: draw anew at each call; otherwise always the same draws, the same noise at every node, so that the
            field is a fixed smooth function (common random numbers) and `chunk` is not looked at.
        seed: of the draws; draw k of seed s is the same on every machine.
        negative_prompt: of the fields that want one.

    Attributes:
        stochastic: two calls may differ.
        at_level: the field is looked at at τ itself, nothing is drawn.
        curvature_bound: λ with −∇²log p ≤ λ, 1/σ_τ² for a plain score of a noised density, else None.
    """

    def __init__(
        self,
        model: Model,
        condition: AnyCondition,
        field: Field,
        timestep_range: tuple[int, int] = (0, 0),
        absolute: bool = False,
        samples: int = 1,
        weighting: str = "uniform",
        fresh: bool = True,
        seed: int = 0,
        negative_prompt: str = "",
        chunk: int | None = None,
    ) -> None:
        if samples < 1:
            raise UserError(f"score.samples: got {samples}, expected at least 1.")
        if chunk is not None and chunk < 1:
            raise UserError(
                f"score.chunk: got {chunk}, expected at least 1, or null for one timestep for all."
            )
        if weighting not in WEIGHTS:
            raise UserError(
                f"score.weighting: got {weighting!r}, expected one of {', '.join(WEIGHTS)}."
            )
        if len(timestep_range) != 2 or timestep_range[0] > timestep_range[1]:
            raise UserError(
                f"score.timestep_range: got {list(timestep_range)}, expected two numbers, the smaller first."
            )
        check_text("score.negative_prompt", negative_prompt)
        self.model, self.condition, self.field = model, condition, field
        self._fixed = {
            "unconditional": fixed(model, "", condition)
            if "unconditional" in field.needs
            else None,
            "negative": fixed(model, negative_prompt, condition)
            if "negative" in field.needs
            else None,
        }
        shift = 0 if absolute else model.timestep
        steps = model.timesteps
        self.low, self.high = (min(max(t + shift, 0), steps - 1) for t in timestep_range)
        self.samples, self.weighting, self.fresh, self.seed = samples, weighting, fresh, seed
        self.chunk = chunk if fresh else None
        self.at_level = self.low == self.high == model.timestep and not isinstance(
            field, ScoreDistillation
        )
        self.stochastic = fresh and not self.at_level
        plain = field.bounded and self.at_level and weighting == "uniform"
        self.curvature_bound = 1 / model.sigma**2 if plain else None

    def __call__(self, x: Tensor, u: Tensor, rng_step: int | None = None) -> Tensor:
        """The field at latents x (n, *shape) whose places are u (n,): like x.

        `rng_step` numbers the randomness; None takes none, for measuring: the field at τ.
        """
        samples = 1 if self.at_level or rng_step is None else self.samples
        moved, draws = zip(*(self._look(x, rng_step, k) for k in range(samples)))
        chunks = self._chunks(x)
        times = torch.cat(
            [torch.full((len(c),), d.t) for look in draws for c, d in zip(chunks, look)]
        )
        names, count = self.field.needs, len(x) * samples
        latents = torch.cat(moved).repeat(len(names), *[1] * (x.dim() - 1))
        embedding = torch.cat([self._embedding(name, u).repeat(samples, 1, 1) for name in names])
        noise = self.model.noise_prediction(latents, times.repeat(len(names)), embedding).split(
            count
        )
        predictions = [dict(zip(names, parts)) for parts in zip(*(n.split(len(x)) for n in noise))]
        return torch.stack([self._combined(n, d) for n, d in zip(predictions, draws)]).mean(0)

    def _combined(self, noise: dict[str, Tensor], draws: list[Draw]) -> Tensor:
        """The field of one look, a draw a chunk."""
        chunks = [dict(zip(noise, c)) for c in zip(*map(self._chunks, noise.values()))]
        return torch.cat([self.field.combine(n, d) for n, d in zip(chunks, draws)])

    def _embedding(self, name: str, u: Tensor) -> Tensor:
        fixed = self._fixed.get(name)
        return self.condition(u) if fixed is None else fixed.expand(len(u), -1, -1)

    def _chunks(self, x: Tensor) -> Sequence[Tensor]:
        """x in parts of one draw each."""
        return x.split(self.chunk or max(len(x), 1))

    def _look(self, x: Tensor, rng_step: int | None, sample: int) -> tuple[Tensor, list[Draw]]:
        """x moved to a timestep, chunk by chunk, and what was drawn to do so for each."""
        chunks = self._chunks(x)
        if self.at_level or rng_step is None:
            return x, [self._drawn(self.model.timestep, torch.zeros(()))] * len(chunks)
        number = rng_step + 1 if self.fresh else 0
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + number) * 1_009 + sample)
        moved, draws = zip(*(self._moved(chunk, generator) for chunk in chunks))
        return torch.cat(moved), list(draws)

    def _moved(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Draw]:
        model = self.model
        t = int(torch.randint(self.low, self.high + 1, (1,), generator=generator))
        noise = (
            torch.randn(x.shape if self.fresh else x.shape[1:], generator=generator)
            .to(x)
            .expand_as(x)
        )
        level, there = model.alpha_cumprod(model.timestep), model.alpha_cumprod(t)
        clean = (x - (1 - level) ** 0.5 * noise) / level**0.5
        return there**0.5 * clean + (1 - there) ** 0.5 * noise, self._drawn(t, noise)

    def _drawn(self, t: int, noise: Tensor) -> Draw:
        sigma = self.model.sigma_at(t)
        weight = {"uniform": 1.0, "variance": sigma**2, "inverse_deviation": 1 / sigma}[
            self.weighting
        ]
        return Draw(t, sigma, weight, noise)
