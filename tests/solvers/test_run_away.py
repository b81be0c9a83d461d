"""A density that grows without bound has no geodesic to offer: the path is stopped and named, whatever the solver."""

import math
from functools import partial

import pytest
import torch
from safetensors.torch import load_file

from geodesic_lightning import interpolate, mean, through
from geodesic_lightning.errors import UserError
from geodesic_lightning.optimizers.descent import Descent

ENDS = [-1.0, 0.5], [1.0, 0.5]
STOPS = [*ENDS, [0.0, 1.0]]


def square(x):
    """The sign that people forget."""
    return x.square().sum(-1)


def slope(x):
    return x[..., 1]


@pytest.mark.parametrize(
    ("call", "given"), [(interpolate, ENDS), (through, (STOPS,)), (mean, (STOPS,))]
)
@pytest.mark.parametrize(
    "density", [square, lambda x: x.pow(4).sum(-1), lambda x: torch.exp(x).sum(-1)]
)
def test_it_is_one_sentence(call, given, density):
    with pytest.raises(UserError, match=r"The path runs away: a node is .* log p and not -log p"):
        call(*given, model=density, frames=2)


def test_plain_descent_runs_away_as_well():
    with pytest.raises(UserError, match="runs away"):
        interpolate(
            *ENDS, model=square, frames=2, optimizer=partial(Descent, lr=0.4, iterations=5000)
        )


@pytest.mark.parametrize("strength", [1.0, 3.0])
def test_a_slope_whose_geodesic_exists_is_solved(strength):
    """Below π, however far it leads: log p = y makes of the line's length sin(κ/2)/(κ/2) times it."""
    found = interpolate(*ENDS, model=slope, frames=2, strength=strength, segments=64)
    assert found.converged
    assert found.length == pytest.approx(2 * math.sin(strength / 2) / (strength / 2), rel=1e-3)


def test_a_slope_beyond_has_none():
    with pytest.raises(UserError, match="runs away"):
        interpolate(*ENDS, model=slope, frames=2, strength=10.0)


def test_files_hold_finite_numbers_and_the_command_fails(geodesic, tmp_path):
    (tmp_path / "place" / "grows_without_bound.py").write_text(
        "def square(x):\n    return (x**2).sum(-1)\n"
    )
    run = geodesic(
        *("model=python", "model.target=grows_without_bound.square", "data=points"),
        *("data.start=[-1,0.5]", "data.end=[1,0.5]", "callbacks=log"),
    )
    assert run.code == 1
    assert run.err.startswith("Error: The path runs away: a node is ")
    assert len(run.err.splitlines()) == 1
    assert not (run.folder / "summary.json").exists()
    for tensor in load_file(run.folder / "path.safetensors").values():
        assert torch.isfinite(tensor).all()
    logged = (run.folder / "metrics.csv").read_text()
    assert "inf" not in logged
    assert "nan" not in logged
