"""Settings of the Python interface: of another kind they are one sentence, before anything is loaded."""

from __future__ import annotations

import inspect
import math
from fractions import Fraction
from functools import partial
from typing import get_args, get_type_hints

import numpy as np
import pytest
import torch

from geodesic_lightning import analyse, extrapolate, forget, from_text, interpolate, mean, through
from geodesic_lightning.data.frames import SHIPPED
from geodesic_lightning.decoding.retime import EvenInMetricLength
from geodesic_lightning.errors import UserError
from geodesic_lightning.functional.alternatives import Temperature
from geodesic_lightning.models.exact import ExactModel
from geodesic_lightning.models.scheduler import Scheduler
from geodesic_lightning.optimizers.integrator import Integrator
from geodesic_lightning.optimizers.semi_implicit import SemiImplicit
from geodesic_lightning.report.solution import Solution
from geodesic_lightning.solvers.settings import KINDS, Settings

CATS = SHIPPED / "pair_cat_start.png", SHIPPED / "pair_cat_end.png"
THREE = [*CATS, SHIPPED / "pair_ears_end.png"]
CLIP = SHIPPED.parent / "clips" / "clip_even.mp4"
PLANE = [-1.0, 0.0], [1.0, 0.0]
FEW = {"segments": 3, "frames": 3, "alpha": 0.001, "device": "cpu"}


def valley(x):
    return -(x[..., 0] ** 2) - (x[..., 1] - 0.5) ** 2


def sentence(refused, *words):
    told = str(getattr(refused, "value", refused))
    assert told.endswith((".", "?")), told
    assert "\n" not in told
    assert len(told) < 500
    for word in words:
        assert word in told, told
    return told


# Each function with what it needs beside settings; wrong settings are refused before the model is looked at.
FUNCTIONS = {
    interpolate: CATS,
    through: (THREE,),
    from_text: ("a cat", "a b", "b"),
    mean: (THREE,),
    extrapolate: (CATS[0],),
    analyse: (CLIP,),
}
DATA = {
    "start",
    "end",
    "toward",
    "images",
    "film",
}  # pictures, which are checked where they are read
WRONG = {
    "text": "four",
    "fraction": 4.3,
    "None": None,
    "list": ["a", 2],
    "object": object(),
    "nan": math.nan,
    "inf": math.inf,
    "flag": True,
    "tensor": torch.ones(2, 2),
}


def may_be_none(function, name):
    hints = get_type_hints(function) | get_type_hints(Settings)
    return type(None) in get_args(hints[name])


def settings_of(function):
    names = []
    for name, place in inspect.signature(function).parameters.items():
        if place.kind is place.VAR_KEYWORD:
            names += Settings.__annotations__
        elif place.kind is not place.VAR_POSITIONAL and name not in DATA:
            names.append(name)
    return names


EVERY = [(function, name) for function in FUNCTIONS for name in settings_of(function)]


def test_every_setting_has_a_kind():
    assert {name for _, name in EVERY} | {"prompts"} == set(KINDS)


class Begun(Exception):
    """The first step is done: all settings were taken."""


def begun(step, figures):
    raise Begun


@pytest.mark.filterwarnings(
    "ignore::geodesic_lightning.NotConvergedWarning"
)  # of values that are taken
@pytest.mark.parametrize(
    ("function", "name"),
    [
        # What all functions take is tried with one of them, and with the others in the slow tests.
        pytest.param(function, name, marks=pytest.mark.slow)
        if function is not interpolate and name in Settings.__annotations__
        else (function, name)
        for function, name in EVERY
    ],
    ids=lambda x: x if isinstance(x, str) else x.__name__,
)
def test_whatever_is_given_is_taken_or_refused_in_one_sentence(function, name, loads, tiny_sd2):
    for value in WRONG.values():
        if value is None and may_be_none(function, name):
            continue  # it is what is taken where nothing is given
        given = {"model": str(tiny_sd2), "progress": begun, **FEW, name: value}
        if function is analyse:
            given.setdefault("range", (0, 4))
        if name == "strength":
            del given["alpha"]
        try:
            found = function(*FUNCTIONS[function], **given)
        except UserError as refused:
            sentence(refused, name)
            assert not loads or name == "model"
        except Begun:
            assert loads or name == "model"
        else:
            assert isinstance(found, Solution)
        loads.clear()
        forget()


# -- what is taken ------------------------------------------------------------------------------------


@pytest.mark.parametrize("eight", [8.0, np.int64(8), np.float32(8), torch.tensor(8), np.array([8])])
def test_whole_numbers_of_any_type(eight):
    found = interpolate(*PLANE, model=valley, segments=eight, frames=3)
    assert len(found.u) == 9


@pytest.mark.parametrize("one", [torch.tensor(1.5), np.float64(1.5), Fraction(3, 2), np.array(1.5)])
def test_numbers_of_any_type(one):
    few = {"model": valley, "segments": 4, "frames": 3}
    found = interpolate(*PLANE, **few, strength=one, tolerance=np.float32(1e-3))
    expected = interpolate(*PLANE, **few, strength=1.5, tolerance=float(np.float32(1e-3)))
    assert torch.equal(found.nodes, expected.nodes)
    assert isinstance(found.summary["strength"], float)


def test_lists_of_any_type(tiny_sd2):
    few = {"model": str(tiny_sd2), **FEW}
    expected = from_text("a cat", "a b", **few, seeds=(1, 2), size=(16, 16))
    found = from_text(["a cat", "a b"], **few, seeds=np.array([1, 2]), size=np.array([16, 16]))
    assert torch.equal(found.frames, expected.frames)


# -- what is refused ------------------------------------------------------------------------------------

REFUSED = {
    "segments": (4.5, "segments: got 4.5, expected a whole number: write segments=16."),
    "frames": (torch.tensor(2.5), "frames: got tensor(2.5000), expected a whole number"),
    "seed": (1.5, "seed: got 1.5, expected a whole number of at least 0"),
    "tolerance": ("x", "tolerance: got 'x', expected a finite number above 0"),
    "strength": (math.nan, "strength: got nan, expected a finite number"),
    "scheduler": ("ddim", "write scheduler=Scheduler('ddim', 50), with Scheduler from geodesic_"),
    "device": ("gpu", "device: got 'gpu', expected 'cpu', 'cuda'"),
    "prompt_start": (7, "prompt_start: got 7, expected text"),
    "timing": (EvenInMetricLength, "a Timing that is made"),
    "functional": (Temperature, "write functional=Temperature(10.0)"),
    "condition": ("a cat", "condition: got 'a cat', expected a maker"),
    "optimizer": ("fast", "write optimizer=partial(SemiImplicit"),
    "size": ((512, 0.5), "size: got (512, 0.5), expected (height, width) in px"),
    "alpha": (10**400, "alpha: got 1000"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_to_do_is_said(name, loads):
    value, words = REFUSED[name]
    with pytest.raises(UserError) as refused:
        interpolate(*CATS, **{name: value})
    sentence(refused, words)
    assert not loads


OUT_OF_RANGE = [
    (interpolate, {"segments": 1}),
    (interpolate, {"frames": 1}),
    (interpolate, {"strength": -1}),
    (interpolate, {"alpha": -1}),
    (interpolate, {"tolerance": 0}),
    (interpolate, {"seed": -1}),
    (interpolate, {"optimizer": partial(SemiImplicit, mode="slow")}),
    (interpolate, {"optimizer": Integrator}),
    (through, {"rounding": 1.5}),
    (from_text, {"seeds": [-1, 2]}),
    (from_text, {"guidance": 0.5}),
    (mean, {"tolerance": -1}),
    (extrapolate, {"length": 0}),
    (extrapolate, {"functional": Temperature(2.0)}),
    (extrapolate, {"optimizer": partial(Integrator, method="euler")}),
    (analyse, {"stride": 0}),
    (analyse, {"range": (5, 2)}),
]


@pytest.mark.parametrize(("function", "given"), OUT_OF_RANGE)
def test_out_of_range_before_anything_is_loaded(function, given, loads):
    with pytest.raises(UserError) as refused:
        function(*FUNCTIONS[function], **given)
    sentence(refused, *given)
    assert not loads


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there():
    with pytest.raises(UserError) as refused:
        interpolate(*CATS, device="cuda")
    sentence(refused, "device: got 'cuda', but torch finds no such device here", "leave device out")


def test_a_setting_that_there_is_not():
    with pytest.raises(UserError) as refused:
        interpolate(*CATS, segmets=4)
    sentence(refused, "interpolate() got the setting 'segmets', expected", "did you mean segments?")
    with pytest.raises(UserError) as refused:
        extrapolate(CATS[0], guage="metric")
    sentence(refused, "extrapolate() got", "did you mean gauge?")
    with pytest.raises(UserError) as refused:
        mean(CATS, wqxz=1)
    sentence(refused, "mean() got", "leave it out.")


@pytest.mark.parametrize(
    "prompts", [(), ("a cat",), (["a cat"],), (7, "a cat"), (["a cat", None],)]
)
def test_prompts_that_join_nothing(prompts, loads):
    with pytest.raises(UserError) as refused:
        from_text(*prompts)
    sentence(refused, "prompts: got")
    assert not loads


def test_what_python_says_of_missing_arguments_stays():
    with pytest.raises(TypeError, match=r"interpolate\(\) missing a required argument: 'end'"):
        interpolate(CATS[0])
    with pytest.raises(TypeError, match=r"analyse\(\) too many positional arguments"):
        analyse(CLIP, "a cat", 2)


def test_a_scheduler_is_made_as_the_sentence_says(tiny_sd2):
    found = interpolate(*CATS, model=str(tiny_sd2), scheduler=Scheduler("ddim", 50), **FEW)
    assert found.length > 0


# -- what writes a solution ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def solution():
    return interpolate(*CATS, model=ExactModel("ring"), frames=3, segments=4)


@pytest.mark.parametrize("fps", ["12", 0, -1, math.nan, math.inf, None, [12], True])
def test_a_speed_that_is_none(solution, fps, tmp_path):
    for write, name in (
        (solution.video, "a.gif"),
        (solution.report, "a.html"),
        (solution.save, "a"),
    ):
        with pytest.raises(UserError) as refused:
            write(tmp_path / name, fps=fps)
        sentence(refused, "fps")
        assert not (tmp_path / name).exists()  # nothing is begun


def test_a_picture_of_no_known_kind(solution, tmp_path):
    for name in ("noext", "a.xyz", "a.mp4"):
        with pytest.raises(UserError) as refused:
            solution.curves(tmp_path / name)
        sentence(refused, name, "expected a name in .png, .jpg or .webp")
    assert not list(tmp_path.iterdir())
    assert solution.curves(tmp_path / "a.JPG").stat().st_size > 1000
