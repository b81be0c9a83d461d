"""Without what libraries say of things that are as they should be here."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from geodesic_lightning.caller.turn import turn

LOGGERS = ("lightning.pytorch", "lightning.fabric")


def silence() -> None:
    """Filter Lightning's hints on data loaders, checkpoints and devices; errors are still said."""
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\).*")


@contextmanager
def quiet() -> Iterator[None]:
    """The same for a while, in which no other thread is here; the caller's own settings come back."""
    with turn(), warnings.catch_warnings():
        levels = {name: logging.getLogger(name).level for name in LOGGERS}
        silence()
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
