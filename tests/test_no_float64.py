"""Solvers run on a device without float64, as Apple's GPUs are, from images to frames and all that is shown."""

import pytest
import torch
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.strategies import SingleDeviceStrategy
from no_float64 import device_without_float64
from torch.utils._python_dispatch import _disable_current_modes

from geodesic_lightning.cli.app import CONF
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
        assert x[[0, -1], 1:].cpu().tolist() == [[1.0, 2.0], [4.0, 5.0]]
        assert x.new_tensor([1, 2]).cpu().tolist() == [1.0, 2.0]
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


def choices(group: str) -> list[str]:
    """What a group of conf/ offers."""
    return sorted(file.stem for file in (CONF / group).glob("*.yaml"))


CATS = "data.images=[{0}/pair_cat_start.png,{0}/pair_cat_end.png,{0}/pair_far_end.png]"
KEYFRAMES = ("data=keyframes", CATS.format(SHIPPED))
CASES = {
    "bvp": (),
    "shown": ("callbacks=default",),
    "paper": ("optimizer=paper", "optimizer.iterations=2"),
    "adam": ("optimizer=adam", "optimizer.iterations=3"),
    "lbfgs": ("optimizer=lbfgs", "optimizer.iterations=3"),
    "keyframes": KEYFRAMES,
    "rk4": ("solver=ivp",),
    "rk4_shown": ("solver=ivp", "callbacks=video"),
    "after_a_path": ("solver=ivp", "velocity=continue", "velocity.path=before"),
    "strang": ("solver=ivp", "optimizer=strang"),
    "picard": ("solver=ivp", "optimizer=picard"),
    "clip": ("solver=clip", "data=clip_even"),
    "slerp": ("solver=slerp", "retime=metric_length"),
    "lerp": ("solver=lerp", "retime=perceptual"),
    "mean": ("solver=mean", *KEYFRAMES),
    "closed": (*KEYFRAMES, "data.closed=true", "retime=beta"),
    "gradient_descent": ("optimizer=gradient_descent", "optimizer.iterations=3"),
    "toward_a_prompt": ("solver=ivp", "velocity=prompt", "velocity.prompt=a sad cat"),
    "a_random_fan": ("solver=ivp", "velocity=random", "velocity.count=3"),
    "after_a_clip": ("solver=ivp", "velocity=clip", "data=clip_even"),
    "words_alone": ("data=prompts", "data.prompt_start=a cat", "data.prompt_end=a dog"),
    "score_outer": ("functional=score_outer",),
    "temperature": ("functional=temperature",),
    "measured": ("metrics=default", "perceptual=embedded"),
    "aid": ("solver=aid",),
    "diffmorpher": ("solver=diffmorpher", "decoder.lora.steps=2"),
    "impus": ("solver=impus", "decoder.lora.steps=2"),
    "freemorph": ("solver=freemorph",),
    "noise_diffusion": ("solver=noise_diffusion",),
    "smooth_diffusion": ("solver=smooth_diffusion",),
    "null_text": ("decoder=null_text", "decoder.null_text.steps=2"),
    "textual_inversion": ("condition=textual_inversion", "condition.steps=2"),
    **{
        f"score_{name}": (f"score={name}",)
        for name in ("contrast", "guided", "nfsd", "paper", "sds")
    },
    **{f"manifold_{name}": (f"manifold={name}",) for name in choices("manifold")},
}


QUICK = ("shown", "mean", "rk4")
REST = (pytest.param(case, marks=pytest.mark.slow) for case in CASES if case not in QUICK)


def test_no_solver_is_left_out():
    """Nor a way to step, to score, or to begin: a new one has to stand among the cases."""
    said = {word for words in CASES.values() for word in words}
    usual = {"solver=bvp", "optimizer=semi_implicit", "optimizer=rk4", "score=noise_prediction"}
    usual |= {"velocity=toward", "functional=density"}
    for group in ("solver", "optimizer", "score", "velocity", "functional"):
        assert {f"{group}={name}" for name in choices(group)} <= said | usual


@pytest.mark.parametrize("case", [*QUICK, *REST])
def test_a_solver_needs_no_float64_on_the_device(geodesic, tiny_sd2, monkeypatch, case):
    def load(source):
        """On the CPU, as always: transformers itself uses the device whose name is borrowed here."""
        with _disable_current_modes():
            return loaded(source)

    small = ("solver.frames=3", "scheduler.steps=4", "trainer.max_steps=4", "solver.alpha=0.001")
    small += () if case == "clip" else ("solver.segments=4",)
    small += (f"model.pretrained={tiny_sd2}", "debug=true")
    if case == "after_a_path":
        former = geodesic("model=sd2", *small, "callbacks=video", "hydra.run.dir=before")
        assert former.code == 0, former.err
    loaded = loading.load
    monkeypatch.setattr(loading, "load", load)
    monkeypatch.setattr(CPUAccelerator, "setup_device", lambda self, device: None)
    monkeypatch.setattr(SingleDeviceStrategy, "root_device", torch.device("meta"))
    with device_without_float64():
        done = geodesic("model=sd2", "callbacks=none", *small, *CASES[case])
    assert done.code == 0, done.err
