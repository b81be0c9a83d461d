"""A run that did not converge says so: how far it got, what stopped it, and the one setting to change."""

import json
import warnings
from functools import partial

import numpy as np
import pytest

from geodesic_lightning import NotConvergedWarning, extrapolate, interpolate, mean, through
from geodesic_lightning.models.exact import ExactModel
from geodesic_lightning.optimizers.descent import Descent
from geodesic_lightning.optimizers.paper import Paper
from geodesic_lightning.optimizers.picard import PicardSweeps
from geodesic_lightning.optimizers.semi_implicit import SemiImplicit
from geodesic_lightning.solvers.shortfall import Shortfall, decade, falling

ENDS = [2.0, 0.0], [0.0, 1.0]
STOPS = [*ENDS, [-1.0, 1.0]]
STEEP = ("data.start=[2.0,0.0]", "data.end=[0.0,1.0]", "solver.strength=50")
ON_MIXTURE = ("model=exact", "model.density=mixture", "solver.frames=3", "data=points", *STEEP)


def told(call, *args, **settings):
    """The solution, and the warnings that came with it."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        found = call(*args, model=ExactModel("mixture"), frames=3, **settings)
    return found, [one for one in seen if one.category is NotConvergedWarning]


@pytest.mark.parametrize(
    ("call", "settings", "reason", "setting"),
    [
        (interpolate, {"strength": 50.0}, "25 iterations were too few", "SemiImplicit, iterations=100"),
        (
            interpolate,
            {"optimizer": partial(Descent, method="adam", lr=0.05, iterations=30)},
            "30 iterations were too few",
            "Descent, iterations=120",
        ),
        (interpolate, {"optimizer": partial(Paper, iterations=3)}, "no test", "optimizer=SemiImplicit"),
        (
            interpolate,
            {"optimizer": partial(SemiImplicit, mode="noisy")},
            "mode=noisy has no test",
            'SemiImplicit, mode="auto"',
        ),
        (through, {"strength": 50.0}, "25 iterations were too few", "SemiImplicit, iterations=100"),
        (mean, {"rounds": 2}, "after 2 rounds the mean still moved by", "rounds=8"),
        (
            extrapolate,
            {"optimizer": partial(PicardSweeps, iterations=1)},
            "1 sweeps were too few",
            "PicardSweeps, iterations=4",
        ),
    ],
    ids=["iterations", "adam", "paper", "noisy", "keyframes", "mean", "picard"],
)  # fmt: skip
def test_python_warns_once_and_names_one_setting(call, settings, reason, setting):
    given = (STOPS,) if call in (through, mean) else ENDS
    solution, seen = told(call, *given, **settings)
    (one,) = seen
    words = str(one.message)
    assert words.startswith("Not converged: ")
    assert reason in words
    assert setting in words
    assert "residual" in words
    assert words.count("; try ") == 1
    assert one.filename == __file__  # the line that called
    assert solution.converged is False
    assert solution.summary["not_converged"].startswith("Not converged: ")
    assert "not converged" in repr(solution)


def test_who_does_as_told_converges():
    """The setting that is named is one to set, and enough."""
    few = partial(Descent, method="adam", lr=0.05, iterations=30)
    _, (one,) = told(interpolate, *ENDS, optimizer=few)
    assert "partial(Descent, iterations=120)" in str(one.message)
    more = partial(few, iterations=120)
    solution, seen = told(interpolate, *ENDS, optimizer=more)
    assert solution.converged
    assert not seen
    assert solution.summary["not_converged"] is None


def test_a_mean_has_not_converged_where_its_legs_have_not():
    """Its centre rests at once, for two images on either side of a mode; the paper's scheme never says it is done."""
    solution, (one,) = told(
        mean, [[-1.0, 0.1], [1.0, 0.1]], segments=4, optimizer=partial(Paper, iterations=2), tolerance=1.0
    )  # fmt: skip
    assert not solution.converged
    assert "optimizer=paper has no test" in str(one.message)


def test_the_terminal_the_page_and_the_summary_say_it(geodesic):
    run = geodesic(*ON_MIXTURE)
    assert run.code == 0, run.err
    said = [line for line in run.out.splitlines() if line.startswith("Not converged")]
    assert len(said) == 1
    assert "; try optimizer.iterations=100" in said[0]
    assert "NotConvergedWarning" not in run.err
    summary = json.loads((run.folder / "summary.json").read_text())
    assert summary["converged"] is False
    assert summary["not_converged"] == said[0]
    assert summary["metrics"]["final/converged"] == 0
    assert said[0] in (run.folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "setting"),
    [
        (("trainer.max_steps=2",), "trainer.max_steps=-1"),
        (("optimizer=paper", "optimizer.iterations=3"), "optimizer=semi_implicit"),
        (("optimizer=adam", "optimizer.iterations=3"), "optimizer.iterations=12"),
        (("solver=mean", "solver.rounds=1"), "solver.rounds=4"),
        (("solver=ivp", "optimizer=picard", "optimizer.iterations=1"), "optimizer.iterations=4"),
    ],
    ids=lambda words: words[0] if isinstance(words, tuple) else None,
)
def test_every_solver_says_it_with_the_setting_as_it_is_typed(geodesic, words, setting):
    alone = [word for word in ON_MIXTURE if "strength" not in word]
    run = geodesic(*alone, *words, "callbacks=none")
    assert run.code == 0, run.err
    assert run.out.rstrip().endswith(f"; try {setting}.")


def test_a_clip_whose_rival_was_not_found_says_it(geodesic, tmp_path):
    np.save(tmp_path / "clip.npy", np.linspace(*ENDS, 9))
    run = geodesic(
        *("model=exact", "model.density=mixture", "solver=clip", "solver.strength=50"),
        *("data=clip_points", f"data.path={tmp_path}/clip.npy", "callbacks=none"),
    )
    assert run.code == 0, run.err
    assert "Not converged: 25 iterations were too few" in run.out


def test_who_converges_says_nothing(geodesic):
    calm = [word for word in ON_MIXTURE if "strength" not in word]
    run = geodesic(*calm, "callbacks=log")
    assert "onverged" not in run.out
    summary = json.loads((run.folder / "summary.json").read_text())
    assert summary["converged"] is True
    assert summary["not_converged"] is None
    assert summary["metrics"]["final/converged"] == 1


def test_whether_an_excess_still_falls():
    assert falling([0.5**k for k in range(20)])
    assert not falling([max(0.5**k, 0.1) for k in range(20)])
    assert not falling([0.01 * 2**k for k in range(20)])
    assert falling([0.1, 0.2])  # nobody can tell yet


def test_the_tolerance_that_is_named_is_above_what_was_reached():
    assert [decade(x) for x in (3e-4, 1e-3, 0.02)] == pytest.approx([1e-3, 1e-2, 0.1])


def test_a_setting_in_both_languages():
    """As typed on the command line, and as an argument."""

    def both(*setting: str, simple: bool = True) -> list[str]:
        one = Shortfall("far", "why", *setting)
        return [str(one).partition("try ")[2], one.in_python(simple).partition("try ")[2]]

    assert both("solver.strength", "0.8") == ["solver.strength=0.8.", "strength=0.8."]
    assert both("optimizer.tolerance", "0.001") == [
        "optimizer.tolerance=0.001.",
        "tolerance=0.001.",
    ]
    assert both("optimizer.tolerance", "0.001", simple=False)[1] == (
        "optimizer=partial(SemiImplicit, tolerance=0.001)."
    )
