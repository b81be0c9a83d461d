"""What a caller has set for itself does not reach a call, and is as it was after it."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
import torch

from geodesic_lightning import extrapolate, forget, from_text, interpolate, mean, through
from geodesic_lightning.data.frames import SHIPPED

# Four segments are too few for the banana, which a call says.
pytestmark = pytest.mark.filterwarnings("ignore::geodesic_lightning.NotConvergedWarning")
CATS = SHIPPED / "pair_cat_start.png", SHIPPED / "pair_cat_end.png"
FEW = {"segments": 4, "frames": 3}
CORNERS = [[-1.0, 1.0], [1.0, 1.0], [0.0, -1.0]]


def banana(x):
    return -(x[..., 0] ** 2) - (x[..., 1] - x[..., 0] ** 2) ** 2


POINTS = {
    "interpolate": lambda: interpolate(*CORNERS[:2], model=banana, **FEW),
    "through": lambda: through(CORNERS, closed=True, model=banana, **FEW),
    "mean": lambda: mean(CORNERS, model=banana, tolerance=0.1, segments=3, frames=3),
    "extrapolate": lambda: extrapolate(CORNERS[0], model=banana, seed=3, **FEW),
}


@pytest.fixture(scope="module")
def calls(tiny_sd2):
    few = {"model": str(tiny_sd2), "alpha": 0.001, "tolerance": 0.1, "device": "cpu", **FEW}
    return POINTS | {
        "from_text": lambda: from_text("a cat", "a b", **few),
        "cats": lambda: interpolate(*CATS, **few),
    }


@pytest.fixture(scope="module")
def plain(calls):
    return {name: call() for name, call in calls.items()}


@contextlib.contextmanager
def setting(change, before):
    change()
    try:
        yield
    finally:
        before()


AROUND = {
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "no_grad": torch.no_grad,
    "no gradients from now on": lambda: setting(
        lambda: torch.set_grad_enabled(False), lambda: torch.set_grad_enabled(True)
    ),
    "inference_mode": torch.inference_mode,
    "float64": lambda: setting(
        lambda: torch.set_default_dtype(torch.float64),
        lambda: torch.set_default_dtype(torch.float32),
    ),
    "float16": lambda: setting(
        lambda: torch.set_default_dtype(torch.float16),
        lambda: torch.set_default_dtype(torch.float32),
    ),
    # A device that computes nothing stands for one that is not the CPU.
    "with a device": lambda: torch.device("meta"),
}


def can_undo_a_default_device() -> bool:
    """Whether torch knows its default device after set_default_device(None): torch 2.8 raises from then on."""
    found = []

    def look():
        torch.set_default_device(None)
        with contextlib.suppress(AttributeError):
            found.append(torch.get_default_device())

    thread = threading.Thread(target=look)  # the default device is a thread's own
    thread.start()
    thread.join()
    return bool(found)


if can_undo_a_default_device():
    AROUND["default device"] = lambda: setting(
        lambda: torch.set_default_device("meta"), lambda: torch.set_default_device(None)
    )


def state():
    """What is a program's own: by name, comparable."""
    flags = (
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.deterministic,
        torch.get_float32_matmul_precision(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_num_threads(),
        torch.is_anomaly_enabled(),
    )
    numbers = np.random.get_state()  # noqa: NPY002
    return {
        "grad": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "autocast": (torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")),
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "flags": flags,
        "random": (
            torch.get_rng_state().numpy().tobytes(),
            random.getstate(),
            numbers[1].tobytes(),
            numbers[2:],
        ),
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "signals": {one: signal.getsignal(one) for one in signal.valid_signals()},
        "warnings": (list(warnings.filters), warnings.showwarning),
        "threads": threading.excepthook,
    }


def pairs():
    """Each surrounding around a network, two around every function, and the others in the slow tests."""
    for name in (*POINTS, "from_text", "cats"):
        for around in AROUND:
            quick = name == "cats" or around in ("no_grad", "float64")
            yield pytest.param(name, around, marks=() if quick else pytest.mark.slow)


@pytest.mark.parametrize(("name", "around"), list(pairs()))
def test_neither_reaches_the_other(name, around, calls, plain):
    with AROUND[around]():
        before = state()
        found = calls[name]()
        after = state()
    assert after == before
    assert found.frames.device.type == "cpu"
    assert torch.equal(found.frames, plain[name].frames)
    assert torch.equal(found.nodes, plain[name].nodes)
    assert not found.frames.is_inference()  # the caller may go on with it


def test_nor_while_a_model_is_loaded(calls, plain):
    for around in ("autocast", "float64", "with a device", "inference_mode"):
        forget()
        with AROUND[around]():
            before = state()
            found = calls["cats"]()
            assert state() == before
        assert torch.equal(found.frames, plain["cats"].frames), around
    # A model that was made in inference mode serves later calls as well.
    assert torch.equal(calls["cats"]().frames, plain["cats"].frames)


@pytest.mark.parametrize("failing", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_call_that_fails_leaves_all_as_it_was(failing):
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def fail(step, figures):
        torch.manual_seed(5)
        random.seed(5)
        raise failing

    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        before = state()
        with pytest.raises(failing):
            interpolate(*CORNERS[:2], model=banana, progress=fail, **FEW)
        assert state() == before


def test_what_is_told_of_progress_finds_the_callers_own():
    seen = []

    def look(step, figures):
        seen.append((torch.is_grad_enabled(), torch.get_default_dtype(), torch.ones(1).dtype))

    with torch.no_grad(), AROUND["float64"]():
        interpolate(*CORNERS[:2], model=banana, progress=look, **FEW)
    assert set(seen) == {(False, torch.float64, torch.float64)}


def test_a_density_may_count_on_the_callers_default_dtype():
    def turned(x):
        return banana(x @ torch.tensor([[0.6, 0.8], [-0.8, 0.6]]))

    with AROUND["float64"]():
        found = interpolate(*CORNERS[:2], model=turned, **FEW)
    turn = torch.tensor([[0.6, 0.8], [-0.8, 0.6]], dtype=torch.float64)
    expected = interpolate(*CORNERS[:2], model=lambda x: banana(x @ turn), **FEW)
    assert torch.equal(found.nodes, expected.nodes)


# -- Ctrl-C ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("main", [True, False])
def test_an_interruption_is_one(main):
    def stop(step, figures):
        raise KeyboardInterrupt("enough")

    caught = []

    def call():
        try:
            interpolate(*CORNERS[:2], model=banana, progress=stop, **FEW)
        except KeyboardInterrupt as stopped:
            caught.append(str(stopped))

    if main:
        call()
    else:
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
    assert caught == ["enough"]


PROGRAM = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from geodesic_lightning import interpolate

def density(x):
    return -(x[..., 0] ** 2) - (x[..., 1] - x[..., 0] ** 2) ** 2

def ctrl_c(step, figures):
    os.kill(os.getpid(), signal.SIGINT)

for _ in range(2):
    try:
        interpolate([-1.0, 1.0], [1.0, 1.0], model=density, progress=ctrl_c)
    except KeyboardInterrupt:
        print("stopped", signal.getsignal(signal.SIGINT) is signal.default_int_handler)
print(interpolate([-1.0, 1.0], [1.0, 1.0], model=density).length > 0)
"""


@pytest.mark.slow
def test_ctrl_c_reaches_a_program_that_expects_it():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["stopped True", "stopped True", "True"], done.stderr
    assert done.returncode == 0
