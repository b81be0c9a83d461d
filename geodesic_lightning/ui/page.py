"""The page, by Gradio: controls on one side, what becomes of them on the other.

What a browser sends is text, numbers, choices and uploaded files; tickets of jobs are drawn by the server. Files
that it gets are copies of those of its own job, which Gradio serves from a folder of this process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from geodesic_lightning.errors import UserError
from geodesic_lightning.ui import look, view
from geodesic_lightning.ui.desk import Desk
from geodesic_lightning.ui.examples import examples
from geodesic_lightning.ui.job import Job
from geodesic_lightning.ui.order import order
from geodesic_lightning.ui.wish import FRAMES, MODELS, RETIMES, STRENGTH, WAYS, Wish, key

__all__ = ["build"]

EVERY = 0.5  # s between two looks at a run
HEAD = "## Geodesic Lightning\nTwo pictures and what they show, or one of the examples; then *Run*."


def build(desk: Desk, fixed: Sequence[str], home: Path) -> gr.Blocks:
    """The page.

    Args:
        desk: takes the jobs.
        fixed: settings that hold for every run; their controls are not shown.
        home: a folder for archives to download.
    """
    held = {key(word) for word in fixed}
    with gr.Blocks(title="Geodesic Lightning", analytics_enabled=False) as page:
        ticket, kept_ticket = gr.State(None), gr.BrowserState(None, storage_key="geodesic-job")
        gr.Markdown(HEAD)
        with gr.Row():
            with gr.Column(min_width=320):
                with gr.Group(visible="data" not in held, elem_id="ends"):
                    with gr.Row():
                        start, end = _picture("From"), _picture("To")
                    with gr.Row():
                        said = gr.Textbox(
                            label="Prompt of the first", placeholder="a happy orange cat"
                        )
                        then = gr.Textbox(label="Prompt of the last", placeholder="a sly blue cat")
                offered = examples(home)
                pairs = gr.Dataset(
                    components=[gr.Image(visible=False)], samples=[[one.shown] for one in offered], type="index",
                    label="Examples: one click, then Run", visible="data" not in held, elem_id="examples",
                )  # fmt: skip
                with gr.Accordion("More pictures between", open=False, visible="data" not in held):
                    more = gr.File(
                        label="In their order",
                        file_count="multiple",
                        allow_reordering=True,
                        height=160,
                    )
                    inner_prompts = gr.Textbox(label="Their prompts, one a line", lines=2)
                    closed = gr.Checkbox(label="Back to the first picture (three or more)")
                with gr.Row():
                    model = _choice("Model", MODELS, "embedded", "model" not in held)
                    way = _choice("Way to morph", WAYS, "bvp", "solver" not in held)
                with gr.Accordion("Settings", open=False):
                    strength = gr.Slider(
                        0, 4, STRENGTH, step=0.05, label="Strength",
                        info="how hard the density pulls at the path", visible="solver.strength" not in held,
                    )  # fmt: skip
                    frames = gr.Slider(
                        2, 65, FRAMES, step=1, label="Frames", visible="solver.frames" not in held
                    )
                    retime = _choice("Frames are placed", RETIMES, "", "retime" not in held)
                    watch = gr.Checkbox(
                        True, label="Show the path while it is solved",
                        info="a film every second step; off, a film where it costs little",
                    )  # fmt: skip
                with gr.Row():
                    run = gr.Button("Run", variant="primary", elem_id="run", min_width=120)
                    stop = gr.Button("Stop", interactive=False, elem_id="stop", min_width=120)
            with gr.Column(min_width=320):
                status = gr.HTML(view.empty())
                go_on = gr.Button("Go on from here", visible=False, elem_id="go-on")
                grown = gr.Image(
                    label="The path while it is solved, a row a film", visible=False, format="png",
                    buttons=["fullscreen"], elem_classes="named", elem_id="grown",
                )  # fmt: skip
                film = gr.Video(
                    label="Film",
                    visible=False,
                    interactive=False,
                    autoplay=True,
                    loop=True,
                    height=380,
                )
                strip = gr.Image(
                    label="Strip", visible=False, buttons=[], elem_classes="named", elem_id="strip"
                )
                curves = gr.Image(
                    label="Curves",
                    visible=False,
                    buttons=["fullscreen"],
                    elem_classes="named",
                    elem_id="curves",
                )
                found = gr.HTML(visible=False)
                again = gr.Code(
                    label="The command line that makes it again", language="shell", visible=False,
                    wrap_lines=True, show_line_numbers=False, interactive=False, lines=1, buttons=["copy"],
                    elem_id="again",
                )  # fmt: skip
                archive = gr.DownloadButton("Download all of it", visible=False, elem_id="archive")
                files = gr.File(
                    label="Files",
                    visible=False,
                    interactive=False,
                    file_count="multiple",
                    height=260,
                    elem_id="files",
                )

        results = {
            "film": film, "strip": strip, "curves": curves, "found": found, "archive": archive, "files": files,
        }  # fmt: skip
        outputs = [ticket, kept_ticket, status, run, stop, go_on, grown, again, *results.values()]

        async def follow(number: Any) -> AsyncIterator[dict[Any, Any]]:
            """What is to be shown of a job, until it is over."""
            job, films = desk.find(number), 0
            if job is None:
                yield {status: view.empty()}
                return
            yield {
                **{one: gr.update(visible=False) for one in (*results.values(), grown, go_on)},
                ticket: number, kept_ticket: number, stop: gr.update(interactive=True),
                again: gr.update(value=job.command, visible=True),
            }  # fmt: skip
            while not job.over:
                now: dict[Any, Any] = {status: view.status(job, desk.before(job))}
                count = len(list(job.folder.glob("videos/*.mp4")))
                if count != films and (sheet := await asyncio.to_thread(look.growing, job.folder)):
                    films, now[grown] = count, gr.update(value=sheet, visible=True)
                yield now
                await asyncio.sleep(EVERY)
            last = await asyncio.to_thread(_last, job, home)
            if not films and (sheet := await asyncio.to_thread(look.growing, job.folder)):
                yield {grown: gr.update(value=sheet, visible=True)}
            yield {
                status: view.status(job),
                stop: gr.update(interactive=False),
                go_on: gr.update(visible=job.resumable),
                **{results[name]: gr.update(**shown) for name, shown in last.items()},
            }

        async def begin(first: Any, second: Any, a: str, b: str, others: Any, lines: str, loop: bool,
                        which: str, how: str, bend: float, count: int, timing: str, seen: bool) -> Any:  # fmt: skip
            """Make a job of what stands on the page, and follow it."""
            inner = dict(enumerate((lines or "").splitlines()))
            ends = ((first, a), (second, b))
            rows = [
                ends[0],
                *((one, inner.get(k, "")) for k, one in enumerate(others or ())),
                ends[1],
            ]
            if any(one for one, _ in rows):
                rows = [(one, prompt) for one, prompt in rows if one]
            wish = Wish(
                pictures=tuple(Path(one) for one, _ in rows if one), prompts=tuple(prompt or "" for _, prompt in rows),
                model=which, way=how, strength=float(bend), frames=int(count), retime=timing or "", closed=loop,
                watch=seen,
            )  # fmt: skip
            try:
                number = await asyncio.to_thread(order, desk, wish, fixed)
            except UserError as why:
                yield {status: view.error(f"Error: {why}")}
                return
            async for shown in follow(number):
                yield shown

        async def resume(number: Any) -> Any:
            """A new run from where the former one was stopped."""
            job = desk.find(number)
            if job is not None and job.resumable:
                number = desk.add(Job(desk.folder(), [f"resume={job.folder}"]))
            async for shown in follow(number):
                yield shown

        hidden: dict[str, Any] = {
            "show_progress": "hidden",
            "api_visibility": "private",
            "concurrency_limit": None,
        }
        asked = [
            *(start, end, said, then, more, inner_prompts, closed),
            *(model, way, strength, frames, retime, watch),
        ]

        def chosen(number: int) -> list[Any]:
            """What an example puts on the page."""
            one = offered[number]
            return [one.start, one.end, *one.prompts]

        pairs.click(chosen, [pairs], [start, end, said, then], **hidden)
        run.click(begin, asked, outputs, **hidden)
        go_on.click(resume, [ticket], outputs, **hidden)
        stop.click(desk.stop, [ticket], None, **hidden)
        page.load(follow, [kept_ticket], outputs, **hidden)
        # A film a step costs the drawn cats a second, a large model minutes.
        model.change(lambda name: name == "embedded", [model], [watch], **hidden)
    return page


def _choice(label: str, choices: dict[str, str], value: str, visible: bool) -> gr.Dropdown:
    return gr.Dropdown(
        [(told, name) for name, told in choices.items()],
        value=value,
        label=label,
        visible=visible,
        min_width=200,
    )


def _picture(label: str) -> gr.Image:
    """A place for a picture, whose file is left as it was uploaded: what is no picture, the run says."""
    made = gr.Image(label=label, type="filepath", height=220, sources=["upload"])
    # On the instance: for a derived class Gradio writes a stub beside our source.
    setattr(made, "preprocess", lambda payload: None if payload is None else payload.path)  # noqa: B010
    return made


def _last(job: Job, home: Path) -> dict[str, dict[str, Any]]:
    """What there is to see and to download of a job that is over."""
    written = look.files(job.folder)
    shown: dict[str, dict[str, Any]] = {}
    by_name = {file.name: str(file) for file in written}
    pictures = {
        "film": by_name.get("video.mp4"),
        "strip": by_name.get("strip.png"),
        "curves": by_name.get("curves.png"),
    }
    for name, file in pictures.items():
        shown[name] = {"value": file, "visible": file is not None}
    shown["found"] = {"value": view.table(job), "visible": job.state == "done"}
    shown["files"] = {"value": [str(file) for file in written], "visible": bool(written)}
    if job.state == "done":
        shown["archive"] = {"value": str(look.packed(job.folder, home)), "visible": True}
    return shown
