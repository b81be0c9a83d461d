"""Checkpoints that were distilled to sample in a few steps: turbo, LCM, Lightning, Hyper, schnell.

They were trained to jump, at some noise levels or at all, to a picture that a discriminator or a teacher
accepts (Song et al., 2023; Luo et al., 2023; Sauer et al., 2023; Lin et al., 2024). What they predict there
is not E[ε | x] of a density, so no probability flow goes through their samples, and to invert it is to
invert another map than the one that made them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

NAMES = re.compile(
    r"(?<![a-z])(turbo|lcm|(?<!geodesic[-_])lightning|hyper-(?:sd|flux)|schnell)(?![a-wyz])",
    re.IGNORECASE,
)


def distilled_to_few(source: str, pipeline: Any = None) -> str | None:
    """What says that weights are of this kind: a word of their name, or a part that only they have.

    Args:
        source: folder, file or hub id; of a path the last part counts.
        pipeline: of diffusers, None where there is only the name.
    """
    found = NAMES.search(Path(source).name)
    if found:
        return f"{found[1]} in its name"
    if type(getattr(pipeline, "scheduler", None)).__name__ in ("LCMScheduler", "TCDScheduler"):
        return f"its {type(pipeline.scheduler).__name__}"
    unet = getattr(pipeline, "unet", None)
    if unet is not None and unet.config.get("time_cond_proj_dim"):
        return "its embedding of the guidance"
    return None


def warning(name: str, sign: str) -> str:
    """One sentence for the user of such weights."""
    return (
        f"{name}: weights distilled to few steps ({sign}) have no probability flow that could be inverted: a "
        "picture need not come back from its latent; take the model they were made from."
    )
