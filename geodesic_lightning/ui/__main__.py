"""`python -m geodesic_lightning.ui [--port N] [--share] [group=choice …]`, and `geodesic ui`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from geodesic_lightning.errors import UserError
from geodesic_lightning.report.terminal import forgiving

__all__ = ["main"]

# Settings that are the page's own for each run.
OURS = ("hydra", "folder", "resume", "sweep", "callbacks.progress.every_n_seconds")


def main(words: Sequence[str] | None = None) -> None:
    """Serve the page until Ctrl+C; the run that is on then is stopped, and can be resumed."""
    forgiving()
    asked = parser().parse_args(sys.argv[1:] if words is None else list(words))
    try:
        check(asked.words)
        serve(asked.port, asked.share, asked.words)
    except UserError as error:
        sys.exit(f"Error: {error}")


def parser() -> argparse.ArgumentParser:
    """What may be said when the page is started."""
    made = argparse.ArgumentParser(
        prog="python -m geodesic_lightning.ui",
        description="A page to morph in, at http://127.0.0.1:7860, on this machine alone.",
    )
    made.add_argument(
        "--port", type=int, help="a port; the first free one from 7860 on if not given"
    )
    made.add_argument(
        "--share", action="store_true",
        help="also by a public address of Gradio's relay: whoever has it may use this machine",
    )  # fmt: skip
    made.add_argument(
        "words", nargs="*", metavar="group=choice",
        help="settings of every run: model=diffusers model.pretrained=folder, trainer.accelerator=cpu",
    )  # fmt: skip
    return made


def check(words: Sequence[str]) -> None:
    """Raise UserError for words that are no settings, do not compose, or are the page's own."""
    from geodesic_lightning.cli.compose import CONF, composed
    from geodesic_lightning.cli.error_messages import sentence
    from geodesic_lightning.cli.words import as_typed, sweeps
    from geodesic_lightning.ui.wish import key

    for word in words:
        if "=" not in word or key(word).startswith(OURS):
            raise UserError(
                f"ui: got {word}, expected settings of every run that the page does not make itself."
            )
    if sweeps(words, CONF):
        raise UserError(
            f"ui: {' '.join(words)} is a sweep, expected settings of one run: leave experiment= out."
        )
    try:
        composed(["folder=outputs", *as_typed(words)])
    except Exception as error:
        told = sentence(error)
        if told is None:
            raise
        raise UserError(f"ui: {told}") from error


def serve(port: int | None, share: bool, words: Sequence[str]) -> None:
    """Until Ctrl+C or SIGTERM.

    Raises:
        UserError: Gradio is not installed, or the port is taken.
    """
    from geodesic_lightning.ui.desk import Desk

    # A shell that starts us in the background has Ctrl+C ignored, which the runs would inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="geodesic-ui-", ignore_cleanup_errors=True) as home:
        os.environ |= {"GRADIO_TEMP_DIR": home, "GRADIO_ANALYTICS_ENABLED": "False"}
        os.environ.pop("GRADIO_ALLOWED_PATHS", None)
        try:
            from geodesic_lightning.ui.launch import launch
            from geodesic_lightning.ui.page import build
        except ModuleNotFoundError as error:
            raise UserError(
                "ui: Gradio is not installed, expected it for the page: pip install 'geodesic-lightning[ui]'."
            ) from error
        desk = Desk()
        try:
            launch(build(desk, words, Path(home)), port, share)
        except KeyboardInterrupt:
            print("Ended.")
        except OSError as error:
            raise UserError(
                f"ui: port {port or '7860 to 7959'} cannot be had ({error}): give another --port."
            ) from error
        finally:
            desk.close()


if __name__ == "__main__":
    main()
