"""A quick start: Lightning without the libraries that no run of this project uses.

Importing Lightning imports torchmetrics, and that imports whatever it finds installed for metrics
nobody asks for here: torchvision, transformers, scipy.signal, matplotlib. Without them it takes two
fifths less.
"""

from contextlib import contextmanager, suppress
from unittest.mock import patch

SPARED = ("torchvision", "transformers", "scipy", "matplotlib")


def import_lightning():
    """Lightning, imported while torchmetrics believes that `SPARED` are not installed."""
    with (
        suppress(AttributeError, ImportError),
        _believing_absent(),
    ):  # a later release may be built otherwise
        import torchmetrics  # noqa: F401
    import lightning

    return lightning


@contextmanager
def _believing_absent():
    from lightning_utilities.core import imports

    asked, found = imports.RequirementCache.__bool__, imports.package_available

    def available(requirement) -> bool:
        return not (requirement.requirement or "").startswith(SPARED) and asked(requirement)

    with (
        patch.object(imports.RequirementCache, "__bool__", available),
        patch.object(imports, "package_available", lambda name: name not in SPARED and found(name)),
    ):
        yield
