"""Ctrl+C, once and twice, and before anything has begun: one line, and nothing that tidies up is cut off."""

from __future__ import annotations

import signal
import sys

import pytest

from geodesic_lightning.__main__ import main
from geodesic_lightning.cli.resume import Terminated, terminable

RAISED = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}


@pytest.fixture(autouse=True)
def in_the_foreground():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it


@pytest.mark.parametrize("first", RAISED)
@pytest.mark.parametrize("second", RAISED)
def test_what_tidies_up_is_not_cut_off(first, second):
    tidied = []

    def run() -> None:
        with terminable(), terminable():
            try:
                signal.raise_signal(first)
            finally:
                signal.raise_signal(second)
                tidied.append(True)

    with pytest.raises(RAISED[first]):
        run()
    assert tidied
    signal.raise_signal(second)  # the process is on its way out
    with terminable():
        signal.raise_signal(second)


def test_afterwards_signals_are_as_before():
    before = [signal.getsignal(one) for one in RAISED]
    with terminable():
        assert [signal.getsignal(one) for one in RAISED] != before
    assert [signal.getsignal(one) for one in RAISED] == before


def test_others_handlers_are_theirs():
    heard = []
    signal.signal(signal.SIGINT, lambda *_: heard.append("mine"))
    with terminable():
        signal.raise_signal(signal.SIGINT)
    assert heard == ["mine"]


@pytest.mark.parametrize("words", [[], ["distance", "a", "b"]])
def test_while_libraries_are_imported(monkeypatch, capsys, words):
    class Impatient:
        """Ctrl+C when a library is looked for."""

        @staticmethod
        def find_spec(name, path=None, target=None):
            if name.startswith("geodesic_lightning."):
                raise KeyboardInterrupt

    for name in [name for name in sys.modules if name.startswith("geodesic_lightning.")]:
        if not name.endswith(("__main__", "resume")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Impatient, *sys.meta_path])
    monkeypatch.setattr(sys, "argv", ["geodesic", *words])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 130
    assert capsys.readouterr().err == "Interrupted.\n"
