"""Nothing to solve: straight lines or great circles, measured and shown like any other path."""

from typing import Any

import torch
from torch import Tensor

from geodesic_lightning.decoding.decoder import Decoder
from geodesic_lightning.decoding.morphs import freemorph
from geodesic_lightning.decoding.morphs.coefficients import noise_diffusion
from geodesic_lightning.errors import UserError
from geodesic_lightning.geometry.manifold import Euclidean, Manifold, Sphere
from geodesic_lightning.geometry.path import Path
from geodesic_lightning.geometry.piecewise_path import PiecewisePath
from geodesic_lightning.geometry.rescaling import transformed
from geodesic_lightning.problems.boundary_value import Problem
from geodesic_lightning.protocols import MakeOptimizer, Score
from geodesic_lightning.solvers import layouts
from geodesic_lightning.solvers.base import Solver, exponent

WAYS = ("lerp", "slerp", "noise_diffusion", "freemorph")


class FixedSolver(Solver):
    """The path as it is drawn at first.

    Args:
        path, score, decoder, alpha, strength, segments, frames: as for BoundaryValueSolver.
        way: lerp, the straight line through flat space between the ends' own latents; slerp, the
            great circle between the ends on a sphere, their norms changing evenly; noise_diffusion, the
            curve of morphs/coefficients.py through flat space; freemorph, the frames of morphs/freemorph.py.
        optimizer: not used: nothing is solved.
        label: the name in the summary, of a way to morph that is more than its path; None for the way's.
        seed: of freemorph's noise.
        clean: latents (2, *shape) of the two images before inversion, that noise_diffusion and freemorph want.
        rest: as for Solver.

    Raises:
        UserError: an unknown way, or one that joins two images alone.
    """

    problem: Problem
    path: Path
    decoder: Decoder
    verbs = ("validate",)
    layout = staticmethod(layouts.stops_with_clean)

    def __init__(
        self,
        path: Path | PiecewisePath,
        score: Score,
        decoder: Decoder,
        way: str,
        alpha: float | None = None,
        strength: float | None = None,
        segments: int = 16,
        frames: int = 17,
        optimizer: MakeOptimizer | None = None,
        label: str | None = None,
        seed: int = 0,
        clean: Tensor | None = None,
        **rest: Any,
    ) -> None:
        if way in ("noise_diffusion", "freemorph") and isinstance(path, PiecewisePath):
            raise UserError(f"solver={way} joins two images: give data=pair.")
        # Of the geodesic that this way is compared with: of the path as it was given.
        compared = Problem(path, score, exponent(score, alpha, strength))
        path, norms = released(path, decoder.norms)
        path, decoder = drawn(path, way, norms), decoder.with_norms(norms)
        problem = Problem(path, score, compared.alpha)
        super().__init__(problem, decoder, segments, frames, name=label or way, **rest)
        path.set_nodes(path.baseline(segments)[1:-1])
        self.way, self.seed, self._clean, self._compared = way, seed, clean, compared
        # FreeMorph inverts all frames together: its ends are its own.
        self.moving = ("path.start", "path.end") if way == "freemorph" else ()
        if way == "noise_diffusion" and clean is not None:
            # The width of somebody's own density may be above 1; it is no noise level.
            self._mix(clean, max(1 - score.model.sigma**2, 0.0) ** 0.5)

    @property
    def strength(self) -> float:
        """Of the geodesic under the same α."""
        return self._compared.strength

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if self.way == "freemorph" and self._clean is not None:
            self._together(self._clean)
            self._clean = None

    def _together(self, clean: Tensor) -> None:
        """Put the path through FreeMorph's latents."""
        model, decoder = self.problem.score.model, self.decoder
        if model.denoiser is None:
            raise UserError(
                f"solver=freemorph: model={model.name} has no network whose attention could be shared."
            )
        u = torch.linspace(0, 1, self.segments + 1)
        found = freemorph.frames(model, decoder.condition, clean, u, self.seed)
        self.decoder = decoder.with_norms(found[[0, -1]].flatten(1).norm(dim=-1))
        with torch.no_grad():
            self.path.start.copy_(found[0])
            self.path.end.copy_(found[-1])
        self.path.set_nodes(found[1:-1].flatten(1))

    def _mix(self, clean: Tensor, signal: float) -> None:
        ends = torch.stack([self.path.start, self.path.end])
        u = torch.linspace(0, 1, self.path.segments + 1)[1:-1]
        self.path.set_nodes(noise_diffusion(ends, clean, signal, u).flatten(1))


def released(path: Path | PiecewisePath, own: Tensor) -> tuple[Path | PiecewisePath, Tensor]:
    """The path between the stops' own latents in flat space, and their norms (n,).

    A path in flat space or on a sphere, which these ways start from as it is, comes back itself.

    Args:
        own: the stops' statistics on the path's manifold.
    """
    if isinstance(path.manifold, Euclidean | Sphere):
        return path, own
    scale, shift = path.manifold.restoring(_stops(path).flatten(1), own)
    latents = path.chart(transformed(_stops(path).flatten(1), scale, shift))
    return _between(path, latents, Euclidean()), latents.flatten(1).norm(dim=-1)


def drawn(path: Path | PiecewisePath, way: str, norms: Tensor) -> Path | PiecewisePath:
    """The path, or one between the same stops in the space that the way is straight in.

    Args:
        norms: that the stops' latents had before they were put on the path's manifold.
    """
    if way not in WAYS:
        raise UserError(f"solver.way: got {way!r}, expected one of {', '.join(WAYS)}.")
    wanted = Sphere if way == "slerp" else Euclidean
    if isinstance(path.manifold, wanted):
        return path
    stops = _stops(path)
    sizes = stops.flatten(1).norm(dim=-1)
    space = Sphere(float(sizes.mean())) if way == "slerp" else Euclidean()
    if wanted is Euclidean:
        stops = stops * (norms.to(stops) / sizes).reshape(-1, *[1] * (stops.dim() - 1))
    return _between(path, stops, space)


def _stops(path: Path | PiecewisePath) -> Tensor:
    """What the path passes through, its ends included, the first again where it is closed."""
    if isinstance(path, PiecewisePath):
        return torch.stack([leg.start for leg in path.legs] + [path.end])
    return torch.stack([path.start, path.end])


def _between(path: Path | PiecewisePath, stops: Tensor, space: Manifold) -> Path | PiecewisePath:
    """A path of the same kind through other stops, in another space."""
    if isinstance(path, PiecewisePath):
        return PiecewisePath(
            stops[:-1] if path.closed else stops, space, 2, path.closed, path.rounding
        )
    return Path(stops[0], stops[1], space)
