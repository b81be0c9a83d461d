"""Probability-density geodesics in the latent space of diffusion models.

    from geodesic_lightning import interpolate
    solution = interpolate("a.png", "b.png", "a red cat", "a blue cat")
    print(solution.length, solution.log_density)
    solution.save("morph")

Frames become latents, latents a path, scores bend the path, the path becomes frames again.
"""

from pathlib import Path as _Path

from geodesic_lightning.version import __version__

# In a clone callbacks/ stands beside this package, in a wheel inside it. Either way its name is
# geodesic_lightning.callbacks, so that no other project's `callbacks` folder can shadow it.
if not (_Path(__file__).parent / "callbacks").is_dir():
    __path__.append(str(_Path(__file__).parent.parent))
# `python -m geodesic_lightning.dashboard`, `.page`, `.embedded`: they moved, their names stay for a release.
__path__.append(str(_Path(__file__).parent / "aliases"))

_API = (
    *("Frames", "Path", "Settings", "Solution"),
    *("analyse", "extrapolate", "forget", "from_text", "interpolate", "mean", "through"),
)

__all__ = [*_API, "NotConvergedWarning", "__version__"]


def __getattr__(name: str) -> object:
    """Load the public names when first asked for, so that importing the package stays instant."""
    if name == "NotConvergedWarning":
        from geodesic_lightning.errors import NotConvergedWarning

        return NotConvergedWarning
    if name in _API:
        from geodesic_lightning import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
