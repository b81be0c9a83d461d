"""Nothing to solve: straight lines or great circles, measured and shown like any other path."""

import torch
from torch import Tensor

from geodesic_lightning.chain import Chain
from geodesic_lightning.decoder import Decoder
from geodesic_lightning.errors import UserError
from geodesic_lightning.manifold import Euclidean, Sphere
from geodesic_lightning.morphs.coefficients import noise_diffusion
from geodesic_lightning.path import Path
from geodesic_lightning.score import Score
from geodesic_lightning.solvers.base import Solver

WAYS = ("lerp", "slerp", "noise_diffusion")


class FixedSolver(Solver):
    """The path as it is drawn at first.

    Args:
        way: lerp, the straight line through flat space between the ends' own latents; slerp, the
            great circle between the ends on a sphere, their norms changing evenly; noise_diffusion, the
            curve of morphs/coefficients.py through flat space.
        label: the name in the summary, of a way to morph that is more than its path; None for the way's.
        path, score, decoder, alpha, segments, frames: as for Solver.
    """

    verbs = ("validate",)

    def __init__(
        self,
        path: Path,
        score: Score,
        decoder: Decoder,
        way: str,
        alpha: float | None = None,
        segments: int = 16,
        frames: int = 17,
        optimizer=None,
        label: str | None = None,
    ) -> None:
        super().__init__(drawn(path, way, decoder.norms), score, decoder, alpha, segments, frames)
        self.name = label or way
        if way == "noise_diffusion":
            self._mix(path, (1 - score.model.sigma**2) ** 0.5)

    def _mix(self, given: Path | Chain, signal: float) -> None:
        if isinstance(given, Chain):
            raise UserError("solver=noise_diffusion joins two images: give data=pair.")
        ends = torch.stack([self.path.start, self.path.end])
        u = torch.linspace(0, 1, self.path.segments + 1)[1:-1]
        self.path.place(noise_diffusion(ends, given.clean, signal, u).flatten(1))


def drawn(path: Path | Chain, way: str, norms: Tensor) -> Path | Chain:
    """The path, or one between the same stops in the space that the way is straight in.

    Args:
        norms: that the stops' latents had before they were put on the path's manifold.
    """
    if way not in WAYS:
        raise UserError(f"solver.way: got {way!r}, expected one of {', '.join(WAYS)}.")
    wanted = Sphere if way == "slerp" else Euclidean
    if isinstance(path.manifold, wanted):
        return path
    chain = isinstance(path, Chain)
    stops = (
        torch.stack([leg.start for leg in path.legs] + [path.end])
        if chain
        else torch.stack([path.start, path.end])
    )
    sizes = stops.flatten(1).norm(dim=-1)
    space = Sphere(float(sizes.mean())) if way == "slerp" else Euclidean()
    if wanted is Euclidean:
        stops = stops * (norms.to(stops) / sizes).reshape(-1, *[1] * (stops.dim() - 1))
    if chain:
        return Chain(stops[:-1] if path.closed else stops, space, 2, path.closed, path.rounding)
    return Path(stops[0], stops[1], space)
