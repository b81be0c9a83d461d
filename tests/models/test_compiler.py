"""torch.compile without a compiler is refused before anything is loaded."""

from __future__ import annotations

import shutil

import pytest

from geodesic_lightning.errors import UserError
from geodesic_lightning.models.diffusion import DiffusionModel
from geodesic_lightning.models.diffusion.compiler import check_compiler


@pytest.mark.parametrize("compiler", ["false", "no-such-compiler"])
@pytest.mark.parametrize(("variable", "cuda"), [("CXX", False), ("CC", True)])
def test_one_that_does_not_run(monkeypatch, compiler, variable, cuda):
    monkeypatch.setenv(variable, compiler)
    with pytest.raises(UserError, match=rf"torch.compile needs .*{compiler}|package triton"):
        check_compiler(cuda)


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler here")
def test_one_that_runs(monkeypatch):
    monkeypatch.setenv("CXX", "env g++")  # a command of several words, as with ccache
    check_compiler(cuda=False)


def test_before_the_weights_are_looked_for(monkeypatch):
    monkeypatch.setenv("CXX", "false")
    monkeypatch.setenv("CC", "false")
    with pytest.raises(UserError, match=r"^model.compile: torch.compile needs"):
        DiffusionModel("/nowhere/at/all", compile=True)


def test_over_the_command_line(monkeypatch, geodesic):
    monkeypatch.setenv("CXX", "false")
    monkeypatch.setenv("CC", "false")
    outcome = geodesic("model=embedded", "model.compile=true", "data=pair_cat", "callbacks=none")
    assert outcome.code == 1
    assert "Error: model.compile: torch.compile needs" in outcome.err
