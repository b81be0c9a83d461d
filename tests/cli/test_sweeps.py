"""Many runs at once: folders of their own, failures that stop nobody, sweeps that go on, launchers."""

import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import hydra.core.utils
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import MissingConfigException
from safetensors.torch import load_file

from geodesic_lightning.cli import config
from geodesic_lightning.cli.app import CONF, explain
from geodesic_lightning.cli.run_folder import claim, set_aside
from geodesic_lightning.cli.sweep import objective
from geodesic_lightning.errors import UserError
from geodesic_lightning.solvers.bvp import BoundaryValueSolver

EXACT = ("model=exact", "callbacks=none", "logger=none")
DENSITIES = "model.density=ring,nope,gaussian"


def summaries(place: Path) -> dict[str, dict]:
    """By job."""
    found = sorted(place.glob("*/summary.json"))
    return {file.parent.name: json.loads(file.read_text()) for file in found}


# -- folders ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_runs_of_the_same_second_have_folders_of_their_own(geodesic, monkeypatch):
    class Noon(datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2026, 1, 2, 12, 0, 0)

    monkeypatch.setattr(hydra.core.utils, "datetime", Noon)
    for _ in range(2):
        assert geodesic("-m", *EXACT, "model.density=ring,gaussian").code == 0
    day = Path("outputs/2026-01-02")
    assert sorted(p.name for p in day.iterdir()) == ["12-00-00", "12-00-00-2"]
    for folder in day.iterdir():
        assert sorted(summaries(folder)) == ["0", "1"]


def test_of_many_that_claim_a_folder_at_once_each_gets_its_own(tmp_path):
    with ThreadPoolExecutor(16) as pool:
        got = list(pool.map(lambda _: claim(tmp_path / "day" / "run"), range(48)))
    assert len(set(got)) == 48
    assert tmp_path / "day" / "run" in got


def test_what_was_left_is_set_aside_and_nothing_is_lost(tmp_path):
    assert set_aside(tmp_path) is None
    for text in ("first", "second"):
        (tmp_path / "metrics.csv").write_text(text)
        assert set_aside(tmp_path) is None  # no checkpoint to go on from
    (tmp_path / "checkpoints").mkdir()
    assert set_aside(tmp_path) == tmp_path / "unfinished-3"
    assert (tmp_path / "unfinished" / "metrics.csv").read_text() == "first"
    assert (tmp_path / "unfinished-2" / "metrics.csv").read_text() == "second"


# -- failures --------------------------------------------------------------------------------------


def test_a_fault_of_the_program_stops_no_other_job_and_is_named(geodesic, monkeypatch):
    step, count = BoundaryValueSolver.training_step, itertools.count()

    def breaks(self, batch, index):
        if next(count) == 0:
            raise RuntimeError("out of order")
        return step(self, batch, index)

    monkeypatch.setattr(BoundaryValueSolver, "training_step", breaks)
    done = geodesic("-m", *EXACT, "model.density=ring,gaussian", "hydra.sweep.dir=sweep")
    assert done.code == 1
    assert "RuntimeError: out of order" in done.err
    assert "Error in job 0 (" in done.err
    assert done.err.splitlines()[-1].startswith("Error: failed: job 0 (")
    assert list(summaries(Path("sweep"))) == ["1"]


# -- going on --------------------------------------------------------------------------------------


def test_started_again_a_sweep_does_what_is_left_and_nothing_twice(geodesic):
    words = ("-m", *EXACT, DENSITIES, "hydra.sweep.dir=sweep")
    first = geodesic(*words)
    assert first.err.splitlines()[-1].endswith("sweep.resume=true hydra.sweep.dir=sweep")
    refused = geodesic(*words)
    assert refused.code == 1
    assert "sweep already holds a run" in refused.err
    assert "add sweep.resume=true" in refused.err
    before = {p: p.stat().st_mtime_ns for p in Path("sweep").glob("*/summary.json")}
    again = geodesic(*words, "sweep.resume=true")
    assert again.code == 1
    assert again.out.count("is done already") == 2
    assert "failed: job 1 (" in again.err
    assert before == {p: p.stat().st_mtime_ns for p in Path("sweep").glob("*/summary.json")}


def test_a_sweep_without_hydra_s_notes_has_its_page_and_resumes_job_by_job(geodesic):
    words = ("-m", *EXACT, DENSITIES, "hydra.sweep.dir=sweep", "hydra.output_subdir=null")
    geodesic(*words)
    page = Path("sweep/index.html").read_text(encoding="utf-8")
    assert all(f"model.density={name}" in page for name in ("ring", "nope", "gaussian"))
    (Path("sweep") / "multirun.yaml").unlink()
    refused = geodesic(*words)
    assert refused.code == 1
    assert "sweep already holds a run" in refused.err


@pytest.mark.slow
def test_an_interrupted_sweep_goes_on_from_the_job_s_checkpoint(geodesic, monkeypatch):
    words = (
        "-m",
        "model=exact",
        "model.density=ring,mixture,gaussian",
        "callbacks=log",
        "logger=csv",
    )
    assert geodesic(*words, "hydra.sweep.dir=whole").code == 0
    steps = [one["steps"] for one in summaries(Path("whole")).values()]
    step, count = BoundaryValueSolver.training_step, itertools.count()

    def interrupts(self, batch, index):
        if next(count) == steps[0] + 3:  # three steps into the second job
            raise KeyboardInterrupt
        return step(self, batch, index)

    with monkeypatch.context() as patched:
        patched.setattr(BoundaryValueSolver, "training_step", interrupts)
        stopped = geodesic(*words, "hydra.sweep.dir=part")
    assert stopped.code == 130
    assert "Interrupted after 3 steps; go on with sweep.resume=true" in stopped.err
    assert list(summaries(Path("part"))) == ["0"]
    again = geodesic(*words, "hydra.sweep.dir=part", "sweep.resume=true")
    assert again.code == 0, again.err
    assert again.out.count("is done already") == 1
    assert (Path("part") / "1" / "unfinished" / "metrics.csv").exists()
    for job in "01":
        found = [load_file(Path(s) / job / "path.safetensors")["nodes"] for s in ("whole", "part")]
        assert torch.equal(*found)
    both = [
        [s["score_evaluations"] for s in summaries(Path(p)).values()] for p in ("whole", "part")
    ]
    assert both[0] == both[1]


def test_only_the_same_sweep_is_gone_on_with(geodesic):
    words = ("-m", *EXACT, "hydra.sweep.dir=sweep")
    assert geodesic(*words, "model.density=ring,gaussian").code == 0
    other = geodesic(*words, "model.density=ring,mixture", "sweep.resume=true")
    assert other.code == 1
    assert "sweep holds another sweep (model=exact" in other.err
    assert "Traceback" not in other.err
    nowhere = geodesic("-m", *EXACT, "model.density=ring,gaussian", "sweep.resume=true")
    assert "say which sweep, with hydra.sweep.dir" in nowhere.err
    alone = geodesic(*EXACT, "sweep.resume=true")
    assert "goes with -m" in alone.err


@pytest.mark.slow
def test_a_finished_job_of_other_settings_is_not_taken_for_this_one(geodesic):
    words = ("-m", *EXACT, "model.density=ring,gaussian", "hydra.sweep.dir=sweep")
    assert geodesic(*words).code == 0
    file = Path("sweep/0/summary.json")
    file.write_text(file.read_text().replace('"model.density=ring"', '"model.density=mixture"'))
    again = geodesic(*words, "sweep.resume=true")
    assert again.code == 1
    assert "holds the result of model=exact" in again.err
    assert "model.density=mixture" in file.read_text()


# -- objectives ------------------------------------------------------------------------------------


def test_the_objective_is_a_number_of_the_summary():
    summary = {"length": 2, "metrics": {"final/energy": 0.5}, "converged": True}
    assert objective("length", summary) == 2.0
    assert objective("metrics.final/energy", summary) == 0.5
    for name, said in (
        ("nothing", "no 'nothing' in the summary's 'nothing', there is length, metrics"),
        ("metrics.energy", "there is final/energy"),
        ("converged", "converged is True, expected a number"),
        ("length.x", "there is nothing"),
    ):
        with pytest.raises(UserError, match=said):
            objective(name, summary)


# Optuna asks its database library in an old way.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
def test_optuna_turns_the_strength_and_starts_again_where_it_was(geodesic):
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    words = ("experiment=tune", *EXACT, "metrics=none", "objective=length", "hydra.sweep.dir=tune")
    space = "solver.strength=interval(4,16)"  # above the preset's own
    first = geodesic("-m", *words, space, "hydra.sweeper.n_trials=2")
    assert first.code == 0, first.err
    found = [one["length"] for one in summaries(Path("tune")).values()]
    more = geodesic("-m", *words, space, "hydra.sweeper.n_trials=3", "sweep.resume=true")
    assert more.code == 0, more.err
    assert more.out.count("is done already") == 2
    both = [one["length"] for one in summaries(Path("tune")).values()]
    assert both[:2] == found
    assert len(set(both)) == 3
    best = (Path("tune") / "optimization_results.yaml").read_text()
    assert f"best_value: {min(both)}" in best


@pytest.mark.filterwarnings("ignore")
def test_optuna_keeps_its_trials_in_a_database(geodesic, tmp_path):
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    words = ("experiment=tune", *EXACT, "metrics=none", "objective=length", "hydra.sweep.dir=kept")
    storage = f"hydra.sweeper.storage=sqlite:///{tmp_path}/study.db"
    run = geodesic(
        "-m", *words, "solver.strength=interval(4,16)", storage, "hydra.sweeper.n_trials=1"
    )
    assert run.code == 0, run.err
    assert (tmp_path / "study.db").stat().st_size > 0


# -- presets and launchers -------------------------------------------------------------------------

SWEEPS = {"pairs": 18, "alpha": 9, "strength": 9, "scores": 4}


def jobs(experiment: str) -> list[tuple[str, ...]]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=[f"experiment={experiment}"], return_hydra_config=True)
        assert cfg.hydra.mode.name == "MULTIRUN"
        given = [f"{key}={value}" for key, value in cfg.hydra.sweeper.params.items()]
    sweeps = [
        one.sweep_string_iterator() for one in OverridesParser.create().parse_overrides(given)
    ]
    keys = [word.partition("=")[0] for word in given]
    return [tuple(map("=".join, zip(keys, job))) for job in itertools.product(*sweeps)]


@pytest.mark.parametrize("experiment", SWEEPS)
def test_every_job_of_a_preset_composes(experiment):
    found = jobs(experiment)
    assert len(found) == SWEEPS[experiment]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for job in found[:: len(found) // 4]:  # each choice at least once, not each with each
            config.check(compose("config", [f"experiment={experiment}", "folder=run", *job]))


def test_a_preset_sweeps_without_being_told_to(geodesic):
    given = ("solver.alpha=0.1,0.2", "scheduler.noise_level=0.6")  # in place of the preset's nine
    done = geodesic(
        "experiment=alpha", *EXACT, "model.density=ring", *given, "hydra.sweep.dir=sweep"
    )
    assert done.code == 0, done.err
    assert [one["alpha"] for one in summaries(Path("sweep")).values()] == [0.1, 0.2]


def test_a_choice_of_a_plugin_that_is_not_there_names_the_extra():
    error = MissingConfigException("", "hydra/launcher/submitit_slurm", ["basic"])
    assert explain(error) == (
        "hydra/launcher=submitit_slurm is not installed: pip install 'geodesic-lightning[slurm]'."
    )


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["cores", "rehearsal"])
def test_a_launcher_runs_all_jobs_and_names_the_failing(geodesic, launcher):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    done = geodesic("-m", *EXACT, DENSITIES, f"hydra/launcher={launcher}", "hydra.sweep.dir=sweep")
    assert done.code == 1
    assert done.err.splitlines()[-1].startswith("Error: failed: job 1 (")
    assert list(summaries(Path("sweep"))) == ["0", "2"]


@pytest.mark.slow
@pytest.mark.parametrize("experiment", ["pairs", "scores"])
def test_presets_run_on_the_drawn_cats(geodesic, experiment):
    few = ("callbacks=video", "logger=none", "solver.segments=4", "solver.frames=3")
    done = geodesic(f"experiment={experiment}", *few, "hydra.sweep.dir=sweep")
    assert done.code == 0, done.err
    assert len(summaries(Path("sweep"))) == SWEEPS[experiment]
