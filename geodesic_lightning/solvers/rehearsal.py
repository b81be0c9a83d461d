"""Parts put together in the plane, which takes milliseconds: what is out of range is said before a model is loaded."""

from __future__ import annotations

from typing import Any

__all__ = ["rehearse"]


def rehearse(parts: dict[str, Any]) -> None:
    """Assemble a solver between two points of an exact density, and forget it.

    Whatever is out of range is refused by the constructors themselves.

    Args:
        parts: what `assemble.assemble` takes beside model and frames.

    Raises:
        UserError: a setting of a part is out of its range, or parts do not fit together.
    """
    from geodesic_lightning.data.frames import points
    from geodesic_lightning.geometry.choose_manifold import CHANNELWISE, automatic
    from geodesic_lightning.integrators.initial_velocity import Toward
    from geodesic_lightning.models.exact import ExactModel
    from geodesic_lightning.solvers.assemble import assemble

    if parts.get("velocity") is not None:  # what it was made from need not fit the plane
        parts = parts | {"velocity": Toward()}
    if getattr(parts.get("manifold"), "func", None) in CHANNELWISE:  # the plane has no channels
        parts = parts | {"manifold": automatic}
    plane = ExactModel("gaussian")
    plane.image_size = 1  # its pictures are not those of the run
    assemble(plane, points([2.0, 0.0], [0.0, 1.0]), **parts)
