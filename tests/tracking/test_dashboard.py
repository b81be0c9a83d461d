"""The workspace, built and looked at without a network."""

import json
import os
import socket
import subprocess
import sys

import pytest

from geodesic_lightning.solvers.scalars import FINAL, STEP
from geodesic_lightning.tracking import dashboard

SHOWN_BY_SOME = {"image/fan", "image/mean", "image/picture"}


def keys_of(panel: dict) -> set[str]:
    """What a panel's definition reads."""
    config = panel["config"]
    named = {*config.get("metrics", []), *config.get("mediaKeys", []), config.get("xAxis", "_step")}
    text = json.dumps(config)
    return {key for key in named if "/" in key} | {
        key for key in ("density/path_table", "table/frames") if f'"{key}"' in text
    }


@pytest.fixture(scope="module")
def sections() -> dict[str, list[dict]]:
    """Panels by the name of their section."""
    made = dashboard.definition(dashboard.workspace("entity"))
    found = made["section"]["panelBankConfig"]["sections"]
    return {one["name"]: one["panels"] for one in found}


def test_every_scalar_has_its_panel(sections):
    solving = {title_of(panel): panel["config"] for panel in sections["Solving"]}
    assert set(solving) == set(STEP)
    for name, config in solving.items():
        assert config["metrics"] == [f"solve/{name}"]
        assert bool(config.get("yLogScale")) == (name in dashboard.FALLING)
    axes = {config.get("xAxis", "_step") for config in solving.values()}
    assert axes == {"_step", "solve/score_evaluations"}
    assert {title_of(panel) for panel in sections["Outcome"]} == {f"final/{k}" for k in FINAL}


def title_of(panel: dict) -> str:
    return panel["config"]["chartTitle"]


def test_panels_read_what_runs_log(sections, shown):
    """Keys of the definition against those of a run, and no key of a run that nobody shows."""
    (folder,) = (shown / "wandb").glob("offline-run-*")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--summary", "--json", str(folder)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    logged = {key for key in json.loads(said.stdout)["summary"] if "/" in key}
    shown = set().union(*(keys_of(panel) for panels in sections.values() for panel in panels))
    assert shown - logged <= SHOWN_BY_SOME
    own = {key for key in logged - shown if not key.startswith("solve/")}  # an optimizer's own
    assert own == {"trainer/global_step"}


def test_show_prints_the_definition(capsys):
    dashboard.main(["--show", "--project", "mine"])
    assert "panelBankConfig" in json.loads(capsys.readouterr().out)["section"]


def test_saving_without_a_key_is_one_sentence(monkeypatch):
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", "none")
    with pytest.raises(SystemExit, match="Error: Saving the dashboard takes a W&B key"):
        dashboard.main([])


def test_not_installed_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)  # what Python does for a missing one
    with pytest.raises(SystemExit, match=r"pip install 'geodesic-lightning\[dashboard\]'"):
        dashboard.main(["--show"])


@pytest.mark.slow
def test_without_a_network_saving_is_one_sentence():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening
        port = taken.getsockname()[1]
        env = {"WANDB_API_KEY": "a" * 40, "WANDB_BASE_URL": f"http://127.0.0.1:{port}"}
        env["WANDB_MODE"] = "online"
        done = subprocess.run(
            [sys.executable, "-m", "geodesic_lightning.tracking.dashboard", "--entity", "me"],
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: W&B did not save the dashboard: ")
    assert "Traceback" not in done.stderr
