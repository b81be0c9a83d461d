"""What diffusers, transformers and the hub's client say while they work, kept to what a person needs.

Their warnings to each other and the bars of their loading are silenced for a while and come back
afterwards; the bars of a download are shown on a terminal, and that it broke off and is tried again is
said once. A hub that does not answer once is not asked again and again.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from geodesic_lightning.caller.turn import turn

PATIENCE = 3.0  # seconds that the hub has for its first answer


@contextmanager
def hushed() -> Iterator[None]:
    """Warnings and loading bars of the libraries off, download bars on where there is a terminal.

    Weights are loaded within: no other thread is here meanwhile (caller/turn.py).
    """
    import diffusers
    import transformers
    from huggingface_hub import utils as hub

    with turn():
        ours, theirs = diffusers.utils.logging, transformers.utils.logging
        levels = ours.get_verbosity(), theirs.get_verbosity()
        bars = ours.is_progress_bar_enabled(), theirs.is_progress_bar_enabled()
        downloads = not hub.are_progress_bars_disabled()
        client = logging.getLogger("huggingface_hub")  # has a handler of its own beside a run's log
        propagated, client.propagate = client.propagate, False
        ours.set_verbosity_error()
        theirs.set_verbosity_error()
        ours.disable_progress_bar()
        theirs.disable_progress_bar()  # the hub's with it
        if downloads and sys.stderr.isatty():
            hub.enable_progress_bars()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            client.propagate = propagated
            ours.set_verbosity(levels[0])
            theirs.set_verbosity(levels[1])
            if bars[0]:
                ours.enable_progress_bar()
            if bars[1]:
                theirs.enable_progress_bar()
            if downloads:
                hub.enable_progress_bars()


@cache
def hub_answers() -> bool:
    """Whether the hub can be reached: asked once, without retries, for a few seconds at most."""
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=PATIENCE)
    except Exception as error:
        kinds = {kind.__name__ for kind in type(error).__mro__}
        if kinds & {"TransportError", "OfflineModeIsEnabled", "ConnectionError"}:
            return False
        raise
    return True


@contextmanager
def offline() -> Iterator[None]:
    """The hub's client asks nobody for a while, as with HF_HUB_OFFLINE=1: what is cached serves."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
