"""Solvers run on a device without float64, as Apple's GPUs are, from images to frames."""

import pytest
import torch
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.strategies import SingleDeviceStrategy
from no_float64 import device_without_float64
from torch.utils._python_dispatch import _disable_current_modes

from geodesic_lightning.data.frames import SHIPPED
from geodesic_lightning.models.diffusion import loading


def test_the_device_computes_and_refuses():
    with device_without_float64() as device:
        x = torch.arange(6.0).reshape(2, 3).to(device)
        y = torch.nn.Parameter(x.clone())
        (2 * y[:, 1:]).square().sum().backward()
        assert (x.device, y.grad.device) == (device, device)
        assert y.grad.cpu().tolist() == [[0, 8, 16], [0, 32, 40]]
        y.data = torch.ones(4, device=device)
        y.detach().mul_(3)
        assert y.cpu().tolist() == [3.0] * 4
        assert float(x.sum()) == 15
        assert x.cpu().double().dtype == torch.float64
        assert float(torch.tensor(2.0, device=device) + x[0, 1]) == 3
        for refused in (
            lambda: x.double(),
            lambda: torch.zeros(2, 3, dtype=torch.float64).to(x.device),
            lambda: torch.linspace(0, 1, 5, dtype=torch.float64, device=device),
        ):
            with pytest.raises(TypeError, match="no float64"):
                refused()
        with pytest.raises(RuntimeError, match="together"):
            x + torch.ones(2, 3)
        with pytest.raises(RuntimeError, match="generator"):
            torch.randn(2, device=device, generator=torch.Generator())


CATS = "data.images=[{0}/pair_cat_start.png,{0}/pair_cat_end.png,{0}/pair_far_end.png]"
KEYFRAMES = ("data=keyframes", CATS.format(SHIPPED))
CASES = {
    "bvp": (),
    "paper": ("optimizer=paper", "optimizer.iterations=2"),
    "adam": ("optimizer=adam", "optimizer.iterations=3"),
    "lbfgs": ("optimizer=lbfgs", "optimizer.iterations=3"),
    "keyframes": KEYFRAMES,
    "rk4": ("solver=ivp",),
    "strang": ("solver=ivp", "optimizer=strang"),
    "picard": ("solver=ivp", "optimizer=picard"),
    "clip": ("solver=clip", "data=clip_even"),
    "slerp": ("solver=slerp", "retime=metric_length"),
}


QUICK = ("bvp", "rk4")
REST = (pytest.param(case, marks=pytest.mark.slow) for case in CASES if case not in QUICK)


@pytest.mark.parametrize("case", [*QUICK, *REST])
def test_a_solver_needs_no_float64_on_the_device(geodesic, tiny_sd2, monkeypatch, case):
    def load(source):
        """On the CPU, as always: transformers itself uses the device whose name is borrowed here."""
        with _disable_current_modes():
            return loaded(source)

    loaded = loading.load
    monkeypatch.setattr(loading, "load", load)
    monkeypatch.setattr(CPUAccelerator, "setup_device", lambda self, device: None)
    monkeypatch.setattr(SingleDeviceStrategy, "root_device", torch.device("meta"))
    small = ("solver.frames=3", "scheduler.steps=4", "trainer.max_steps=4", "solver.alpha=0.001")
    small += () if case == "clip" else ("solver.segments=4",)
    words = (f"model.pretrained={tiny_sd2}", "callbacks=none", "debug=true", *small, *CASES[case])
    with device_without_float64():
        done = geodesic("model=sd2", *words)
    assert done.code == 0, done.err
