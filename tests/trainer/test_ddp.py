"""Several processes: the same path, to the last bit where batches are equal, from the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file
from torch import distributed, multiprocessing

from geodesic_lightning.cli import launch_processes as ranks
from geodesic_lightning.cli.compose import Early, early
from geodesic_lightning.models import parallel

TWO = ("trainer.devices=2", "trainer.accelerator=cpu")
ENVIRONMENT = {k: v for k, v in os.environ.items() if k not in ("RANK", "LOCAL_RANK", "WORLD_SIZE")}


def command(folder, *words):
    """The command line, in processes of its own."""
    return subprocess.run(
        [sys.executable, "-m", "geodesic_lightning", *words],
        cwd=folder, env=ENVIRONMENT | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip


def assert_alike(one: torch.Tensor, two: torch.Tensor) -> None:
    """Nodes in float64 that were scored in batches of other sizes, whose sums may run in another order."""
    torch.testing.assert_close(one, two, rtol=0, atol=1e-10)


def nodes(folder):
    return load_file(folder / "path.safetensors")["nodes"]


def scored(rank, port, found):
    """One of three processes: a call on 7 latents, alone, and with gradients."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    distributed.init_process_group("gloo", rank=rank, world_size=3)
    asked = []

    def call(x, t):
        asked.append(len(x))
        return 2 * x + t[:, None]

    x, t = torch.arange(14.0).reshape(7, 2), torch.arange(7.0)
    with torch.no_grad():
        shared = parallel.shared(call, x, t)
        few = parallel.shared(call, x[:2], t[:2])  # the last process has nothing to do
        with parallel.alone():
            parallel.shared(call, x, t)
    parallel.shared(call, x, t)
    right = torch.equal(shared, 2 * x + t[:, None]) and torch.equal(few, shared[:2])
    found.put((rank, right, asked))
    distributed.destroy_process_group()


def test_latents_are_shared_out_and_all_get_all():
    context = multiprocessing.get_context("spawn")
    found = context.Queue()
    with ranks.socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [context.Process(target=scored, args=(rank, port, found)) for rank in range(3)]
    for process in processes:
        process.start()
    seen = sorted(found.get(timeout=300) for _ in processes)
    for process in processes:
        process.join()
    assert [right for _, right, _ in seen] == [True] * 3
    # ⌈7/3⌉ = 3 each and 1 for the last; of 2 one each; then all 7 alone, and with gradients.
    assert [asked for _, _, asked in seen] == [[3, 1, 7, 7], [3, 1, 7, 7], [1, 7, 7]]


def test_how_many_are_asked_for(monkeypatch):
    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    assert [ranks.asked(devices) for devices in (1, 3)] == [1, 3]
    monkeypatch.setenv("RANK", "0")
    assert ranks.asked(3) == 1  # started by torchrun, or by ourselves


def test_what_the_command_and_the_files_of_conf_say_is_known_before_hydra_runs():
    """From the words typed, from an experiment's YAML, and from beside a sweep's list of values."""
    assert early(["trainer.devices=3"]) == Early(devices=3)
    assert early(["data=pair_cat"]) == Early()
    assert early(["-m", "solver.alpha=0.1,0.2", "trainer.devices=2", "debug=true"]) == Early(
        2, True
    )
    assert early(["resume=runs/cat"]).resume == "runs/cat"
    assert early(["solver=no_such", "debug=true"]).debug
    assert early(["--help"]) == Early()


@pytest.mark.slow
def test_two_processes_solve_what_one_does(tmp_path):
    words = (
        "model=exact",
        "model.density=ring",
        "logger=csv",
        "callbacks=video",
        "solver.frames=3",
    )
    one = command(tmp_path, *words, "hydra.run.dir=one")
    two = command(tmp_path, *words, "hydra.run.dir=two", *TWO)
    assert one.returncode == two.returncode == 0, one.stderr + two.stderr
    assert_alike(nodes(tmp_path / "one"), nodes(tmp_path / "two"))
    told = [json.loads((tmp_path / n / "summary.json").read_text()) for n in ("one", "two")]
    assert told[0]["score_evaluations"] == told[1]["score_evaluations"]
    assert two.stdout.count("video.mp4") == 1  # one of them speaks
    left = [{p.name for p in (tmp_path / n).iterdir()} for n in ("one", "two")]
    assert left[0] == left[1]


@pytest.mark.slow
def test_what_is_wrong_is_told_once(tmp_path):
    done = command(tmp_path, "model=exact", "trainer.strategy=fsdp", "hydra.run.dir=x", *TWO)
    assert done.returncode == 1
    assert done.stderr.count("trainer.strategy: got 'fsdp' with several devices") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.slow
class TestSlow:
    """A network, a sweep, a shot: half a minute each."""

    def test_a_network_with_equal_batches(self, tmp_path, tiny_sd2):
        words = (
            "model=sd2", f"model.pretrained={tiny_sd2}", "scheduler.steps=4", "solver.segments=4",
            "solver.frames=4", "logger=csv", "score=contrast", "optimizer.iterations=3",
            "condition=textual_inversion", "condition.steps=2", "condition.cache=null",
        )  # fmt: skip
        alike = (*words, "model.batch_size=1")
        for name, rest in (("one", alike), ("two", (*alike, *TWO)), ("auto", (*words, *TWO))):
            done = command(tmp_path, *rest, f"hydra.run.dir={name}")
            assert done.returncode == 0, done.stderr
        assert torch.equal(nodes(tmp_path / "one"), nodes(tmp_path / "two"))
        frames = [(tmp_path / n / "frames" / "01.png").read_bytes() for n in ("one", "two")]
        assert frames[0] == frames[1]
        # Other batches round otherwise: 1e-7 of a prediction, grown by the steps.
        torch.testing.assert_close(
            nodes(tmp_path / "one"), nodes(tmp_path / "auto"), rtol=1e-3, atol=1e-3
        )

    @pytest.mark.parametrize("way", ["aid", "freemorph", "smooth_diffusion"])
    def test_ways_to_morph(self, tmp_path, tiny_sd2, way):
        """Where frames look at each other every process has them all."""
        words = (
            *(
                "model=sd2",
                f"model.pretrained={tiny_sd2}",
                "scheduler.steps=4",
                "solver.segments=4",
            ),
            *("solver.frames=4", "logger=csv", f"solver={way}", "model.batch_size=5"),
        )
        for name, rest in (("one", ()), ("two", TWO)):
            done = command(tmp_path, *words, *rest, f"hydra.run.dir={name}")
            assert done.returncode == 0, done.stderr
        # Batches differ, and with them the last digits.
        torch.testing.assert_close(
            nodes(tmp_path / "one"), nodes(tmp_path / "two"), rtol=1e-3, atol=1e-3
        )

    def test_inside_a_sweep(self, tmp_path):
        sweep = ("-m", "model=exact", "model.density=ring,gaussian", "logger=csv", "callbacks=log")
        one = command(tmp_path, *sweep, "hydra.sweep.dir=one")
        two = command(tmp_path, *sweep, "hydra.sweep.dir=two", *TWO)
        assert one.returncode == two.returncode == 0, one.stderr + two.stderr
        for job in ("0", "1"):
            assert_alike(nodes(tmp_path / "one" / job), nodes(tmp_path / "two" / job))

    @pytest.mark.parametrize("optimizer", ["rk4", "picard"])
    def test_a_shot(self, tmp_path, optimizer):
        words = (
            "model=exact",
            "solver=ivp",
            f"optimizer={optimizer}",
            "velocity.count=3",
            "logger=csv",
        )
        for name, rest in (("one", ()), ("two", TWO)):
            done = command(tmp_path, *words, *rest, "solver.frames=3", f"hydra.run.dir={name}")
            assert done.returncode == 0, done.stderr
        assert_alike(nodes(tmp_path / "one"), nodes(tmp_path / "two"))

    def test_a_run_on_one_goes_on_on_two(self, tmp_path):
        words = ("model=exact", "model.density=ring", "logger=csv", "callbacks=log")
        whole = command(tmp_path, *words, "hydra.run.dir=whole")
        some = command(tmp_path, *words, "trainer.max_steps=4", "hydra.run.dir=some")
        rest = command(tmp_path, "resume=some", "trainer.max_steps=-1", "hydra.run.dir=rest", *TWO)
        assert [d.returncode for d in (whole, some, rest)] == [0, 0, 0], rest.stderr
        assert_alike(nodes(tmp_path / "whole"), nodes(tmp_path / "rest"))
