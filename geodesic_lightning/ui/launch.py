"""The page, served on this machine alone."""

from __future__ import annotations

import time

import gradio as gr

from geodesic_lightning.ui.style import CSS, FONT, MONO

__all__ = ["LARGEST", "launch"]

LARGEST = "64mb"  # of one upload


def launch(page: gr.Blocks, port: int | None, share: bool) -> None:
    """Serve it until Ctrl+C; with `share` by Gradio's relay as well.

    Raises:
        OSError: the port is taken.
    """
    look = gr.themes.Default(
        primary_hue="indigo", secondary_hue="indigo", font=FONT, font_mono=MONO
    )
    _, here, public = page.queue(api_open=False).launch(
        server_name="127.0.0.1",
        server_port=port,
        share=share,
        max_file_size=LARGEST,
        allowed_paths=[],  # what is shown are copies in Gradio's own folder, which __main__ makes
        theme=look,
        css=CSS,
        footer_links=[],
        quiet=True,
        prevent_thread_lock=True,
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
    )
    also = f", and {public} for everybody who has that address" if public else ""
    print(f"The page is at {here}{also}; Ctrl+C ends it.", flush=True)
    try:
        while True:  # no lock: on Windows Ctrl+C does not reach a thread that waits for one
            time.sleep(3600)
    finally:
        page.close(verbose=False)
