"""Do the ends of a film pop? The first and the last step against those beside them.

    seam = (d_1 + d_n)/2 / mean(d_2, d_3, d_{n−2}, d_{n−1})

of the differences d_j of neighbouring frames, roots of what perceptual.py gives (lengths, not
squares). 1 is even; above, the given images stand out from what is decoded beside them.
"""

from torch import Tensor


def seam(differences: Tensor) -> float:
    """The ratio above.

    A film of one or two steps has none beside its ends, and one whose steps beside the ends are all
    0 has nothing to compare: 1 where its ends stand still too or there is nothing beside them.

    Args:
        differences: (n,) squared, of n + 1 frames.

    Returns:
        The seam, ≥ 0; infinite where the film moves at its ends alone.
    """
    steps = differences.double().sqrt()
    if len(steps) < 3:
        return 1.0
    ends, inner = steps[[0, -1]].mean(), steps[1:-1]
    beside = (inner[:2].mean() + inner[-2:].mean()) / 2
    if not beside > 0:
        return float("inf") if ends > 0 else 1.0
    return float(ends / beside)
