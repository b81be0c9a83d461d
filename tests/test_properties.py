"""The properties of the house: what every later change has to keep."""

import itertools
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

# Few steps everywhere: these runs show how parts fit, not how well they solve.
SMALL = (*("solver.segments=4", "solver.frames=3", "trainer.max_steps=4", "scheduler.steps=10"),)
RING = ("model=exact", "model.density=ring")


def nodes(folder: Path) -> torch.Tensor:
    return load_file(folder / "path.safetensors")["nodes"]


# -- 1: the nodes, and nothing else ----------------------------------------------------------------


@pytest.mark.parametrize(
    "optimizer",
    ["semi_implicit", *(pytest.param(name, marks=pytest.mark.slow) for name in ("paper", "adam"))],
)
def test_parameters_are_the_nodes_and_a_checkpoint_is_kilobytes(
    geodesic, tiny_sd2, monkeypatch, optimizer
):
    from geodesic_lightning.solvers.base import Solver

    seen = []
    monkeypatch.setattr(Solver, "setup", spy(Solver.setup, seen))
    run = geodesic(*sd2(tiny_sd2), *SMALL, f"optimizer={optimizer}", "callbacks=log")
    assert run.code == 0, run.err
    assert [name for name, _ in seen[0].named_parameters()] == ["path.nodes"]
    file = run.folder / "checkpoints" / "last.ckpt"
    assert file.stat().st_size < 200_000
    state = torch.load(file, weights_only=True)["state_dict"]
    assert sorted(state) == ["path.end", "path.nodes", "path.start"]


def spy(method, seen: list):
    def spied(self, *args, **options):
        seen.append(self)
        return method(self, *args, **options)

    return spied


def sd2(folder: Path) -> tuple[str, ...]:
    """The embedded model's command line with a pipeline of its own; α as its scores' sizes ask."""
    return ("model=sd2", f"model.pretrained={folder}", "solver.alpha=0.001")


# -- 2: the arrows: test_import_rule.py -----------------------------------------------------------


# -- 3: callbacks observe, and a seed says everything ----------------------------------------------


@pytest.mark.parametrize(
    "score", ["noise_prediction", pytest.param("paper", marks=pytest.mark.slow)]
)
def test_nodes_are_the_same_with_all_callbacks_and_with_hardly_any(geodesic, tiny_sd2, score):
    short = "score.negative_prompt=blurry"  # the tiny tokenizer spells everything out
    usual = (*sd2(tiny_sd2), *SMALL, f"score={score}", short)
    often = "callbacks.decode.every_n_steps=1"
    found = []
    for name, chosen in (
        ("all", ("callbacks=default", often)),
        ("log", ("callbacks=log",)),
    ):
        run = geodesic(*usual, *chosen, f"hydra.run.dir={name}")
        assert run.code == 0, run.err
        found.append(nodes(run.folder))
    assert torch.equal(found[0], found[1])  # and so a run repeats itself


def test_nodes_are_the_same_with_no_callback_at_all(geodesic, monkeypatch):
    from geodesic_lightning.solvers.base import Solver

    seen = []
    monkeypatch.setattr(Solver, "setup", spy(Solver.setup, seen))
    for callbacks in ("log", "none"):
        run = geodesic(*RING, f"callbacks={callbacks}", f"hydra.run.dir={callbacks}")
        assert run.code == 0, run.err
    first, last = seen[0].path.nodes, seen[-1].path.nodes
    assert first is not last
    assert torch.equal(first, last)


# -- 4: one command line ---------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["exact", "embedded", "sd2"])
def test_only_the_model_changes(geodesic, tiny_sd2, model):
    chosen = sd2(tiny_sd2) if model == "sd2" else (f"model={model}",)
    run = geodesic("solver=bvp", *chosen, *SMALL)
    assert run.code == 0, run.err
    summary = json.loads((run.folder / "summary.json").read_text())
    assert summary["solver"] == "bvp"
    assert len(summary["u"]) == len(summary["log_density"]) == 5
    assert (run.folder / "video.mp4").exists()


# -- 5: any shape of latent ------------------------------------------------------------------------


@pytest.fixture(scope="session")
def odd_sd2(tmp_path_factory) -> Path:
    """Latents of 6×12×12, images of 24 px."""
    import tiny
    import transformers
    from diffusers import StableDiffusionPipeline

    folder = tmp_path_factory.mktemp("odd")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tokens = tiny.tokenizer()
        network = tiny.unet(sample_size=12, in_channels=6, out_channels=6)
        StableDiffusionPipeline(
            *(tiny.autoencoder(6), transformers.CLIPTextModel(tiny.text_config(tokens)), tokens),
            *(network, tiny.scheduler(), None, None),
            requires_safety_checker=False,
        ).save_pretrained(folder)
    return folder


def test_any_shape_of_latent(geodesic, odd_sd2):
    run = geodesic(*sd2(odd_sd2), *SMALL)
    assert run.code == 0, run.err
    assert nodes(run.folder).shape == (3, 6, 12, 12)


# -- 6: interrupted and resumed --------------------------------------------------------------------


FURTHER = ("trainer.max_steps=-1",)  # than the run that is resumed, whose settings hold otherwise
OPTIMIZERS = {
    "semi_implicit": ("optimizer.tolerance=1e-7",),
    "paper": ("optimizer.end_early=false", "optimizer.iterations=3", "optimizer.lr=0.01"),
    "adam": ("optimizer.iterations=12",),
    "lbfgs": ("optimizer.iterations=12",),
}


@pytest.mark.parametrize(
    ("score", "optimizer"),
    [  # with and without a seed to go on from; test_former_runs.py resumes every optimizer
        ("noise_prediction", "semi_implicit"),
        *(
            pytest.param(score, name, marks=pytest.mark.slow)
            for score in ("noise_prediction", "paper")
            for name in OPTIMIZERS
            if (score, name) != ("noise_prediction", "semi_implicit")
        ),
    ],
)
def test_resumed_run_ends_where_the_run_without_a_stop_does(geodesic, optimizer, score):
    usual = (*RING, f"optimizer={optimizer}", f"score={score}", "callbacks=log")
    usual += OPTIMIZERS[optimizer]
    whole = geodesic(*usual, "hydra.run.dir=whole")
    part = geodesic(*usual, "hydra.run.dir=part", "trainer.max_steps=4")
    resumed = geodesic(*usual, "hydra.run.dir=resumed", f"resume={part.folder}", *FURTHER)
    assert whole.code == part.code == resumed.code == 0, resumed.err
    assert not torch.equal(padded(nodes(part.folder)), padded(nodes(whole.folder)))
    assert torch.equal(nodes(resumed.folder), nodes(whole.folder))
    counts = [json.loads((run.folder / "summary.json").read_text()) for run in (whole, resumed)]
    assert counts[0]["score_evaluations"] == counts[1]["score_evaluations"]


def padded(found: torch.Tensor) -> torch.Tensor:
    """Nodes of a coarser level differ in number too."""
    return torch.nn.functional.pad(found, (0, 0, 0, 64 - len(found)))


def test_run_that_was_interrupted_says_how_to_go_on(geodesic, monkeypatch):
    from geodesic_lightning.solvers.bvp import BoundaryValueSolver

    usual = (*RING, "callbacks=log", "callbacks.checkpoint.every_n_seconds=1000")
    whole = geodesic(*usual, "hydra.run.dir=whole")
    step, count = BoundaryValueSolver.training_step, itertools.count()

    def interrupts(self, batch, index):
        if next(count) == 4:
            raise KeyboardInterrupt
        return step(self, batch, index)

    with monkeypatch.context() as patched:
        patched.setattr(BoundaryValueSolver, "training_step", interrupts)
        stopped = geodesic(*usual, "hydra.run.dir=stopped")
    assert stopped.code == 130
    assert f"Interrupted after 4 steps; go on with resume={stopped.folder}" in stopped.err
    resumed = geodesic(*usual, "hydra.run.dir=resumed", f"resume={stopped.folder}")
    assert resumed.code == 0, resumed.err
    assert torch.equal(nodes(resumed.folder), nodes(whole.folder))
