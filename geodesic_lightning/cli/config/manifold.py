"""Group manifold."""

from dataclasses import dataclass


@dataclass
class Automatic:
    _target_: str = "geodesic_lightning.geometry.choose_manifold.automatic"
    _partial_: bool = True


@dataclass
class Euclidean:
    _target_: str = "geodesic_lightning.geometry.choose_manifold.euclidean"
    _partial_: bool = True


@dataclass
class Sphere:
    _target_: str = "geodesic_lightning.geometry.choose_manifold.sphere"
    _partial_: bool = True
    radius: float | None = None


@dataclass
class Means:
    _target_: str = "geodesic_lightning.geometry.choose_manifold.means"
    _partial_: bool = True


@dataclass
class MeansAndNorm:
    _target_: str = "geodesic_lightning.geometry.choose_manifold.means_and_norm"
    _partial_: bool = True


@dataclass
class Shell:
    _target_: str = "geodesic_lightning.geometry.choose_manifold.shell"
    _partial_: bool = True


SCHEMAS = {
    "automatic_schema": Automatic,
    "euclidean_schema": Euclidean,
    "means_schema": Means,
    "means_and_norm_schema": MeansAndNorm,
    "shell_schema": Shell,
    "sphere_schema": Sphere,
}
