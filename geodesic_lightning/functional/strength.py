"""How hard a density pulls at a path, as one number without a unit.

    κ = α ⟨|P s|⟩ L      radians

is the angle by which the density asks the manifold's own geodesic, of length L, to turn on its way:
γ'' = −α|γ'|² P s, with P s the part of the score across the path. It has no unit and no dimension,
where α has both: |P s| of a noise prediction grows as √d and so does L, so that the same α pulls
eight times harder in eight times the dimensions, and α of one field says nothing of another's.

It is the angle that is asked for. How far the path bends in the end depends on more: a field whose pull changes
direction on the way bends less, and on a sphere a path bends farther than in flat space.

A strength is given, α = κ/(⟨|P s|⟩ L) follows from the first scores, those of the manifold's own
geodesic cut into PIECES; docs/strength.md has what it was chosen by.
"""

from dataclasses import dataclass

from torch import Tensor

from geodesic_lightning.errors import UserError
from geodesic_lightning.functional.length import across
from geodesic_lightning.protocols import Manifold

PIECES = 4  # of the geodesic: what a solver's coarsest level scores first, so that nothing is scored for this alone
DEFAULT = 1.5
ALONG = 1e-6  # of the score: what is across the path is rounding below this, and no pull


@dataclass(frozen=True)
class Strength:
    """κ, in place of an α that follows from it.

    Raises:
        UserError: it is negative or not finite.
    """

    value: float = DEFAULT

    def __post_init__(self) -> None:
        if not 0 <= self.value < float("inf"):
            raise UserError(
                f"solver.strength: got {self.value}, expected a number of at least 0 ({DEFAULT}, say)."
            )

    def alpha(self, pull: float) -> float:
        """The α that has this strength where α = 1 would turn the path by `pull`, radians.

        A density that does not pull bends nothing, whatever α is: it is 0 then.
        """
        return self.value / pull if pull > 0 else 0.0


def pull(points: Tensor, scores: Tensor, manifold: Manifold) -> float:
    """⟨|P s|⟩ L of the path through points (N+1, d), N ≥ 2, with scores (N+1, d): the mean over its interior.

    0 where the score leads along the path but for rounding, as between ends on either side of a mode.
    """
    here = points[1:-1]
    direction = manifold.proju(here, points[2:] - points[:-2])
    direction = direction / direction.norm(dim=-1, keepdim=True)
    tangent = manifold.proju(here, scores[1:-1])
    length = manifold.dist(points[1:], points[:-1]).sum()
    turned, whole = (v.norm(dim=-1).mean() for v in (across(tangent, direction), scores[1:-1]))
    return float(turned * length) if turned > ALONG * whole else 0.0
