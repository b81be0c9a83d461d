"""Group manifold."""

from dataclasses import dataclass


@dataclass
class Automatic:
    _target_: str = "geodesic_lightning.solvers.assemble.automatic"
    _partial_: bool = True


@dataclass
class Euclidean:
    _target_: str = "geodesic_lightning.solvers.assemble.euclidean"
    _partial_: bool = True


@dataclass
class Sphere:
    _target_: str = "geodesic_lightning.solvers.assemble.sphere"
    _partial_: bool = True
    radius: float | None = None


SCHEMAS = {
    "automatic_schema": Automatic,
    "euclidean_schema": Euclidean,
    "sphere_schema": Sphere,
}
