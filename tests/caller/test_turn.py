"""Calls from several threads wait for one another: each has the result that one thread alone has."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from geodesic_lightning import forget, interpolate, through
from geodesic_lightning.caller.turn import turn
from geodesic_lightning.data.frames import SHIPPED
from geodesic_lightning.errors import UserError
from geodesic_lightning.models.exact import ExactModel

CATS = SHIPPED / "pair_cat_start.png", SHIPPED / "pair_cat_end.png"
FEW = {"segments": 3, "frames": 3, "tolerance": 1e-1, "alpha": 0.001, "device": "cpu"}
PLANE = [-1.0, 0.0], [1.0, 0.0]


def valley(x):
    return -(x[..., 0] ** 2) - (x[..., 1] - 0.5) ** 2


def in_the_plane(**settings):
    return interpolate(*PLANE, model=valley, segments=4, frames=3, **settings)


def at_once(*calls):
    """What each of the calls returned or raised, all begun at the same time in threads of their own."""
    begin = threading.Barrier(len(calls))

    def one(call):
        begin.wait()
        try:
            return call()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(one, calls))


class Halfway(Exception):
    """What a caller's own function raises."""


def halfway(step, figures):
    raise Halfway


def test_four_threads_load_and_solve_as_one_does(tiny_sd2):
    few = {"model": str(tiny_sd2), **FEW}
    calls = {
        "cats": lambda: interpolate(*CATS, **few),
        "wider": lambda: interpolate(*CATS, **few, size=(16, 32)),
        "three": lambda: through([*CATS, SHIPPED / "pair_ears_end.png"], **few),
        "fails": lambda: interpolate(*CATS, **few, progress=halfway),
    }
    alone = {name: call() for name, call in calls.items() if name != "fails"}
    for _ in range(2):
        forget()  # so that every thread loads weights
        for name, found in zip(calls, at_once(*calls.values())):
            if name == "fails":
                assert isinstance(found, Halfway)
            else:
                assert torch.equal(found.nodes, alone[name].nodes), found
                assert torch.equal(found.frames, alone[name].frames)
    assert torch.equal(
        calls["cats"]().frames, alone["cats"].frames
    )  # the process is as good as before


def test_callers_who_await_their_turn():
    async def both():
        return await asyncio.gather(*(asyncio.to_thread(in_the_plane) for _ in range(3)))

    first, *others = asyncio.run(both())
    assert all(torch.equal(other.nodes, first.nodes) for other in others)


def test_a_progress_callback_may_call_again():
    inner = []

    def again(step, figures):
        inner.append(in_the_plane())

    outer = in_the_plane(progress=again)
    assert len(inner) == outer.summary["steps"]
    assert all(torch.equal(one.frames, outer.frames) for one in inner)


def test_off_the_main_thread_signals_are_left_alone():
    before = {one: signal.getsignal(one) for one in signal.valid_signals()}
    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(in_the_plane).result()
    assert torch.equal(found.frames, in_the_plane().frames)
    assert {one: signal.getsignal(one) for one in signal.valid_signals()} == before


class Busy:
    """Another thread that is in a call as long as this lasts."""

    def __enter__(self):
        self._leave, within = threading.Event(), threading.Event()

        def work():
            with turn():
                within.set()
                self._leave.wait()

        self._thread = threading.Thread(target=work)
        self._thread.start()
        within.wait()

    def __exit__(self, *_):
        self._leave.set()
        self._thread.join()


def test_who_waits_can_be_interrupted():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    with Busy():
        alarm = threading.Timer(0.2, signal.pthread_kill, (threading.get_ident(), signal.SIGINT))
        alarm.start()
        with pytest.raises(KeyboardInterrupt):
            in_the_plane()
    assert in_the_plane().length > 0


def test_what_is_wrong_is_said_without_waiting():
    with Busy(), pytest.raises(UserError, match="strength: got 'much'"):
        in_the_plane(strength="much")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only where processes are forked")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_does_not_wait_for_a_thread_that_it_lacks():
    expected = interpolate(*CATS, model=ExactModel("ring"), frames=3).length
    with Busy():
        child = os.fork()
        if not child:
            code = 1
            try:
                signal.alarm(120)  # so that a child that waits is seen to
                found = interpolate(*CATS, model=ExactModel("ring"), frames=3).length
                code = 0 if found == expected else 2
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
