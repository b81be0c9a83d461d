"""`python -m geodesic_lightning.tracking.dashboard`: a W&B workspace in which runs of all solvers are laid out alike.

docs/dashboard.md explains every panel. The definition is made without a network (--show prints it);
saving it takes an API key.
"""

import argparse
import contextlib
import io
import json
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from geodesic_lightning.errors import UserError, require
from geodesic_lightning.report.terminal import forgiving
from geodesic_lightning.solvers.scalars import FINAL, STEP

NAME = "Geodesics"
PROJECT = "geodesic-lightning"
FALLING = ("residual", "predicted_excess")  # over decades, so shown in logarithms
FILMS = ("video/final", "video/path")
PICTURES = ("image/strip", "image/curves", "image/fan", "image/mean", "image/picture")
PINNED = ("length", "log_density", "score_evaluations", "seconds")


def main(words: Sequence[str] | None = None) -> None:
    """Save the workspace, or show it; errors of the user are told in one sentence."""
    forgiving()
    parser = argparse.ArgumentParser(
        prog="python -m geodesic_lightning.tracking.dashboard",
        description="Lay out a W&B workspace for this project's runs, as a new view.",
    )
    parser.add_argument("--entity", help="user or team; by default that of the API key")
    parser.add_argument("--project", default=PROJECT, help=f"by default {PROJECT}")
    parser.add_argument("--name", default=NAME, help=f"of the view, by default {NAME}")
    parser.add_argument("--show", action="store_true", help="print it as JSON, and save nothing")
    given = parser.parse_args(words)
    try:
        if given.show:
            made = workspace(given.entity or "entity", given.project, given.name)
            print(json.dumps(definition(made), indent=2))
        else:
            print(save(given.entity, given.project, given.name))
    except UserError as error:
        sys.exit(f"Error: {error}")


def workspace(entity: str, project: str = PROJECT, name: str = NAME) -> Any:
    """The workspace, a wandb_workspaces.workspaces.Workspace, not saved.

    Raises:
        UserError: wandb-workspaces is not installed.
    """
    require(
        "wandb_workspaces",
        "The dashboard is not installed: pip install 'geodesic-lightning[dashboard]'.",
    )
    with warnings.catch_warnings():  # its own, of pydantic's older style
        warnings.simplefilter("ignore")
        import wandb_workspaces.workspaces as ws

    sections = [
        ws.Section(name=title, panels=panels, is_open=True, layout_settings=_layout(columns))
        for title, panels, columns in (
            ("Films and pictures", _media(), 2),
            ("Solving", _solving(), 3),
            ("Density along the path", _density(), 1),
            ("Outcome", _outcome(), 3),
            ("Frames", _frames(), 1),
        )
    ]
    columns = [f"summary:final/{name}" for name in PINNED]
    runs = ws.RunsetSettings(pinned_columns=["run:displayName", *columns])
    return ws.Workspace(
        entity=entity, project=project, name=name, sections=sections, runset_settings=runs
    )


def definition(made: Any) -> dict[str, Any]:
    """What is saved of a workspace, as JSON has it."""
    return json.loads(made._to_model().spec.model_dump_json(by_alias=True, exclude_none=True))


def save(entity: str | None, project: str, name: str) -> str:
    """Save the workspace as a new view of the project; returns its address.

    Raises:
        UserError: there is no key, or W&B does not take it or does not answer.
    """
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    os.environ.setdefault("WANDB_HTTP_TIMEOUT", "10")
    import wandb

    made = workspace(entity or "entity", project, name)
    wandb.setup(wandb.Settings(silent=True))
    if not wandb.login(prompt=False, verify=False):
        raise UserError(
            "Saving the dashboard takes a W&B key: run `wandb login`, or look at it with --show."
        )
    try:
        made.entity = entity or wandb.Api(timeout=10).default_entity
        with contextlib.redirect_stderr(io.StringIO()):  # it says the address too
            return made.save().url
    except Exception as error:
        # W&B raises errors of its own, of requests and of its query language.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise UserError(f"W&B did not save the dashboard: {reason}.") from error


def _layout(columns: int) -> Any:
    import wandb_workspaces.workspaces as ws

    return ws.SectionLayoutSettings(columns=columns, rows=2)


def _media() -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    films = [wr.MediaBrowser(title=key, media_keys=[key], num_columns=2) for key in FILMS]
    return [*films, *(wr.MediaBrowser(title=key, media_keys=[key]) for key in PICTURES)]


def _solving() -> list[Any]:
    """Every scalar against score evaluations, which do not depend on the machine."""
    import wandb_workspaces.reports.v2 as wr

    work = "solve/score_evaluations"
    lines = [
        wr.LinePlot(title=name, x=work, y=[f"solve/{name}"], log_y=name in FALLING or None)
        for name in STEP
        if name != "score_evaluations"
    ]
    return [*lines, wr.LinePlot(title="score_evaluations", x="Step", y=[work])]


def _density() -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    return [
        wr.CustomChart(
            query={"summaryTable": {"tableKey": "density/path_table"}},
            chart_name="wandb/lineseries/v0",
            chart_fields={"step": "step", "lineKey": "lineKey", "lineVal": "lineVal"},
            chart_strings={"title": "log density along the path", "xname": "u"},
        )
    ]


def _outcome() -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    return [wr.BarPlot(title=f"final/{name}", metrics=[f"final/{name}"]) for name in FINAL]


def _frames() -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    return [wr.WeavePanelSummaryTable(table_name="table/frames")]


if __name__ == "__main__":
    main()
