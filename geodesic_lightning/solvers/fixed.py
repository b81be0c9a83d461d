"""Nothing to solve: the straight line or the great circle, measured and shown like any other path."""

from geodesic_lightning.decoder import Decoder
from geodesic_lightning.errors import UserError
from geodesic_lightning.manifold import Euclidean, Sphere
from geodesic_lightning.path import Path
from geodesic_lightning.score import Score
from geodesic_lightning.solvers.base import Solver

WAYS = ("lerp", "slerp")


class FixedSolver(Solver):
    """The path as it is drawn at first.

    Args:
        way: lerp, the straight line through flat space between the ends' own latents; slerp, the great circle between
            the ends on a sphere, their norms changing evenly.
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
    ) -> None:
        if way not in WAYS:
            raise UserError(f"solver.way: got {way!r}, expected one of {', '.join(WAYS)}.")
        if way == "slerp" and not isinstance(path.manifold, Sphere):
            radius = float((path.start.norm() + path.end.norm()) / 2)
            path = Path(path.start, path.end, Sphere(radius))
        elif way == "lerp" and not isinstance(path.manifold, Euclidean):
            own = decoder.norms.to(path.start)
            start, end = (e * n / e.norm() for e, n in zip((path.start, path.end), own))
            path = Path(start, end, Euclidean())
        super().__init__(path, score, decoder, alpha, segments, frames)
        self.name = way
