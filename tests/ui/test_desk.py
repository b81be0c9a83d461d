"""Jobs as processes: they wait for one another, say how far they are, stop when they are told to."""

import signal
import sys
import time
from pathlib import Path

import pytest

from geodesic_lightning.errors import UserError
from geodesic_lightning.ui import view
from geodesic_lightning.ui.desk import MOST, Desk
from geodesic_lightning.ui.job import Job

SLEEPS = "import time; print('0:01 solving: step 3', flush=True); time.sleep(60)"


@pytest.fixture(autouse=True)
def heard():
    """What a shell starts in the background has Ctrl+C ignored, and so has what that starts; the page does the same."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path / "outputs")
    yield made
    made.close(5)


def job(desk, script):
    return Job(desk.folder(), ["data=pair_cat"], (sys.executable, "-c", script))


def until(true, seconds=20):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


def test_one_at_a_time_and_in_order(desk):
    first, second, third = (job(desk, SLEEPS) for _ in range(3))
    tickets = [desk.add(one) for one in (first, second, third)]
    until(lambda: first.said() == "0:01 solving: step 3")
    assert (first.state, second.state, third.state) == ("running", "waiting", "waiting")
    assert [desk.before(one) for one in (first, second, third)] == [0, 1, 2]
    assert "2 runs are before it" in view.status(third, desk.before(third))
    assert "Solving: step 3" in view.status(first)
    desk.stop(tickets[1])  # while it waits: it never begins
    desk.stop(tickets[0])
    until(lambda: third.state == "running")
    assert (first.state, second.state) == ("stopped", "stopped")
    assert second.began is None
    assert second.told() == "Stopped before it began."


def test_stop_is_ctrl_c(desk):
    hears = (
        "import signal, sys, time\n"
        "def leave(*_):\n"
        "    sys.exit('Interrupted after 3 steps.')\n"
        "signal.signal(getattr(signal, 'SIGBREAK', signal.SIGINT), leave)\n"
        "print('0:00 ready', flush=True); time.sleep(60)"
    )
    one = job(desk, hears)
    ticket = desk.add(one)
    until(lambda: one.said() == "0:00 ready")
    desk.stop(ticket)
    until(lambda: one.over)
    assert (one.state, one.told()) == ("stopped", "Interrupted after 3 steps.")


def test_an_error_is_told_as_it_is_and_a_fault_as_one(desk):
    told = job(
        desk,
        "import sys; print('a note', file=sys.stderr); sys.exit('Error: a.png is <b>no</b> picture.')",
    )
    broke = job(desk, "raise RuntimeError('odd')")
    desk.add(told)
    desk.add(broke)
    until(lambda: broke.over)
    assert (told.state, broke.state) == ("failed", "failed")
    assert told.told() == "Error: a.png is <b>no</b> picture."
    assert "<b>" not in view.status(told)  # escaped
    assert told.warnings() == ["a note"]
    assert "fault of the program: RuntimeError: odd" in broke.told()


def test_what_cannot_be_started_is_no_end_of_the_desk(desk):
    bad = Job(desk.folder(), [], (str(desk.outputs / "nothing"),))
    good = job(desk, "pass")
    desk.add(bad)
    desk.add(good)
    until(lambda: good.over)
    assert (bad.state, good.state) == ("failed", "done")
    assert "could not be started" in bad.told()


def test_folders_are_of_one_run_each(desk):
    assert len({desk.folder() for _ in range(3)}) == 3


def test_the_queue_is_bounded_and_tickets_are_ours(desk):
    first = job(desk, SLEEPS)
    desk.add(first)
    until(lambda: first.state == "running")
    for _ in range(MOST):
        desk.add(job(desk, "pass"))
    with pytest.raises(UserError, match="are waiting already"):
        desk.add(job(desk, "pass"))
    for guess in ("", None, 0, "../outputs", ["a"]):
        assert desk.find(guess) is None
        desk.stop(guess)


def test_closing_stops_the_one_that_is_on(tmp_path):
    desk = Desk(Path(tmp_path))
    on, waits = job(desk, SLEEPS), job(desk, SLEEPS)
    desk.add(on)
    desk.add(waits)
    until(lambda: on.said())
    desk.close(10)
    until(lambda: on.over)
    assert on.state == "stopped"
    assert waits.began is None
